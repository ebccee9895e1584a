"""Files of instances on their way into a folder: how they are named and held, and what killed processes left of them.

A process that is killed can't clear up. Whoever next takes instances into the folder does, of those files whose writer
is surely gone. A writer holds a lock (flock) on its file as long as it lives, whichever container it lives in; the
system gives it up with the process. Whether that lock is seen by another host depends on how a shared folder is
mounted: so the name says under which boot of which kernel it was given, and the files of another are left alone. Those
of before a restart of this host are as well: nothing surely tells them from another host's.
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
    """Name the boot of this kernel; one that nobody else has where that is not told."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").replace("-", "")[:16]
    return secrets.token_hex(8)


# Names that nobody else gives, on whichever host; a process that was forked has another ID.
_BOOT, _RUN, _NUMBERS = _boot(), secrets.token_hex(8), itertools.count()
_OURS = re.compile(rf"{re.escape(INCOMING)}{re.escape(_BOOT)}-[0-9a-f]{{16}}-[0-9]+-[0-9]+")

_cleared: set[tuple[int, int]] = set()
_MOST_REMEMBERED = 10_000


def incoming_name() -> str:
    """Make a name for a file on its way."""
    return f"{INCOMING}{_BOOT}-{_RUN}-{os.getpid()}-{next(_NUMBERS)}"


def is_held(fd: int) -> bool:
    """Hold a new file as long as it is open; False where somebody has cleared it away before it was held."""
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
    """Do so the first time that this process takes something into the folder, which may hold very many files."""
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
        # Its writer, where it is only just about to hold it, sees that it is gone, and makes another.
        os.unlink(path)
    finally:
        os.close(fd)
    return True
