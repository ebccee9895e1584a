"""Files of instances on their way into a folder: how they are named and held, and what killed processes left of them.

A process that is killed can't clear up. Whoever next takes instances into the folder does, of those files whose writer
is certainly gone. A writer holds a lock (flock) on its file as long as it lives, whichever container it lives in; the
system gives it up with the process. Whether that lock is seen by another host depends on how a shared folder is
mounted: so the name carries the boot ID of the kernel under which it was given, and files with any other are left
alone. That includes those from before a restart of this host: nothing reliably tells them from another host's.
"""

from __future__ import annotations

import fcntl
import itertools
import logging
import os
import re
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from gurney.dicom.incoming import INCOMING

__all__ = ["clear_leftovers", "clear_leftovers_once", "incoming_name", "is_held"]

_log = logging.getLogger(__name__)


def _boot() -> str:
    """Return the ID of this boot of the kernel, or a random one where the kernel does not tell."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")[:16]
    return secrets.token_hex(8)


# With the process ID, which a fork changes, these make names that no other process on any host gives.
_BOOT, _RUN, _NUMBERS = _boot(), secrets.token_hex(8), itertools.count()
_OURS = re.compile(rf"{re.escape(INCOMING)}{re.escape(_BOOT)}-[0-9a-f]{{16}}-[0-9]+-[0-9]+")

_cleared: set[tuple[int, int]] = set()
_MOST_REMEMBERED = 10_000


def incoming_name() -> str:
    """Make a name for a file on its way."""
    return f"{INCOMING}{_BOOT}-{_RUN}-{os.getpid()}-{next(_NUMBERS)}"


def is_held(fd: int) -> bool:
    """Lock a new file for as long as it is open; False where somebody cleared it away before it was locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A filesystem without locks: then nobody else gets one either, and the file is left alone.
        return True
    return os.fstat(fd).st_nlink > 0


def clear_leftovers(folder: str | os.PathLike[str]) -> int:
    """Remove what processes that are gone left on its way into a folder, and say how many files that were.

    What can't be looked at or removed stays: it costs room, and no instance.
    """
    count = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _OURS.fullmatch(entry.name):
                with suppress(OSError):
                    count += _remove_if_free(entry.path)
    if count:
        _log.info("leftovers_cleared count=%d", count)
    return count


def clear_leftovers_once(folder: str | os.PathLike[str]) -> None:
    """Clear a folder the first time that this process takes something into it: it may hold very many files."""
    try:
        status = os.stat(folder)
    except OSError:
        return
    key = status.st_dev, status.st_ino
    if key not in _cleared:
        if len(_cleared) >= _MOST_REMEMBERED:
            _cleared.clear()
        _cleared.add(key)
        clear_leftovers(folder)


def _remove_if_free(path: str) -> bool:
    """Remove a file that nobody holds. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return False
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # A writer that has made it and is just about to lock it sees that it is gone, and makes another.
        os.unlink(path)
    finally:
        os.close(fd)
    return True
