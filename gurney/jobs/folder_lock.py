"""One owner for a data folder: an advisory lock that ends with its process, however that ends."""

from __future__ import annotations

import fcntl
import os
from types import TracebackType
from typing import Final, Self

from gurney.jobs.errors import FolderInUseError

__all__ = ["FolderLock"]

LOCK_FILE: Final = "gurney.lock"


class FolderLock:
    """Own a folder, as a context manager or by :meth:`acquire` and :meth:`release`.

    The lock belongs to the open file, so the kernel gives it back at a kill -9, and a lock file that was left behind
    means nothing. Programs that we start don't inherit it; a bare fork would, and keep the folder owned while it lives.
    """

    def __init__(self, folder: str) -> None:
        """Name the folder; it must exist."""
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> None:
        """Own the folder; doing so twice is the same as once.

        Raises :class:`FolderInUseError` with the other's process id, ``OSError`` for a folder that can't be written.
        """
        if self._fd is not None:
            return
        # Not truncated on opening: until we own the file, what is written there is the other's.
        fd = os.open(os.path.join(self._folder, LOCK_FILE), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            raise FolderInUseError(
                f"{self._folder} is in use by process {owner}: stop that one first, or give this one its own data_dir"
            ) from None
        except OSError:
            os.close(fd)
            raise
        self._fd = fd

    def release(self) -> None:
        """Give the folder up; doing so twice is the same as once."""
        if self._fd is not None:
            # Closed, not unlocked: an unlock in a forked child would take the lock from its parent.
            os.close(self._fd)
            self._fd = None

    def owner(self) -> int | None:
        """Return the process id of whoever owns the folder now; None when nobody does."""
        try:
            fd = os.open(os.path.join(self._folder, LOCK_FILE), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            return int(text) if text.isdigit() else None
        else:
            return None
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
