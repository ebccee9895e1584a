"""Real files from which a read does not return, as from a share whose server has gone.

The kernel asks a listener of fanotify(7) for permission before it reads; this one never answers. A reader hangs in its
system call as it would in a dead NFS mount: no timeout and no signal but SIGKILL ends that. Only root may listen so.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

__all__ = ["HangingFile", "hanging_file"]

_FAN_CLASS_CONTENT, _FAN_CLOEXEC, _FAN_MARK_ADD, _FAN_ACCESS_PERM, _FAN_ALLOW = 0x4, 0x1, 0x1, 0x20000, 0x1
_AT_FDCWD = -100
# struct fanotify_event_metadata: length, version, reserved, its own length, mask, a descriptor, who reads.
_EVENT = struct.Struct("=IBBHQii")
_ANSWER = struct.Struct("=iI")


class HangingFile:
    """A file of which reads hang until :func:`hanging_file` ends, after the first few were let through."""

    def __init__(self, fd: int, let_through: int) -> None:
        self._fd, self._let_through = fd, let_through
        self._ended = threading.Event()
        self._hangs = threading.Event()
        self._listening = threading.Thread(target=self._listen, name="fanotify", daemon=True)
        self._listening.start()

    def wait_until_read(self, seconds: float = 30.0) -> None:
        """Wait until a reader hangs."""
        assert self._hangs.wait(seconds), "nobody reads the file"

    def end(self) -> None:
        """Let all readers go on."""
        self._ended.set()
        self._listening.join()
        os.close(self._fd)

    def _listen(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._fd], [], [], 0.05)[0]:
                continue
            data = os.read(self._fd, 4096)
            for at in range(0, len(data), _EVENT.size):
                fd = _EVENT.unpack_from(data, at)[5]
                if self._let_through > 0:
                    self._let_through -= 1
                    os.write(self._fd, _ANSWER.pack(fd, _FAN_ALLOW))
                else:
                    self._hangs.set()
                with suppress(OSError):
                    os.close(fd)


@contextmanager
def hanging_file(path: Path, *, let_through: int = 0) -> Iterator[HangingFile]:
    """Let reads of a file hang inside the block, whatever its hard links are called; skip where that can't be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = libc.fanotify_init(_FAN_CLASS_CONTENT | _FAN_CLOEXEC, os.O_RDONLY | os.O_CLOEXEC)
    if fd < 0:
        pytest.skip(f"only root may let a file hang: {os.strerror(ctypes.get_errno())}")
    if libc.fanotify_mark(fd, _FAN_MARK_ADD, ctypes.c_uint64(_FAN_ACCESS_PERM), _AT_FDCWD, os.fsencode(path)) < 0:
        os.close(fd)
        pytest.skip(f"this kernel asks nobody before it reads: {os.strerror(ctypes.get_errno())}")
    hanging = HangingFile(fd, let_through)
    try:
        yield hanging
    finally:
        hanging.end()
