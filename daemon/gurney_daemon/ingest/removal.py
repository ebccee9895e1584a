"""Take one file out of a watched folder: into a trash on the same filesystem, or to where the operator wants it.

Nothing is overwritten, and what does not look as it did when it was accepted is left alone. Each function may be called
again after a crash and finishes what it had begun.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from typing import Final

from gurney.dicom.content import same_dataset
from gurney.ledger.disposal import Disposable
from gurney_daemon.ingest.errors import FileChanged

__all__ = ["TRASH", "empty_trash", "move", "open_unchanged", "to_trash"]

TRASH: Final = b".gurney-trash"

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK: Final = 1024 * 1024
_CANT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOENT})


def to_trash(root: bytes, file: Disposable) -> None:
    """Rename a file into the trash of its folder. Raises FileChanged, FileNotFoundError, OSError."""
    os.close(open_unchanged(file))
    folder = os.path.join(root, TRASH, time.strftime("%Y%m%d%H", time.gmtime()).encode())
    os.makedirs(folder, mode=0o750, exist_ok=True)
    place = os.path.join(folder, b"%d" % file.file_id)
    os.rename(file.path, place)
    status = os.lstat(place)
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        # Somebody put another file there in the last moment: it goes back, unless yet another has come.
        os.link(place, file.path, follow_symlinks=False)
        os.unlink(place)
        raise FileChanged(None)


def empty_trash(root: bytes, grace_seconds: float, now: float) -> int:
    """Delete what was thrown away longer ago than the grace; return how many files. ``now`` is the time of day."""
    trash = os.path.join(root, TRASH)
    oldest = time.strftime("%Y%m%d%H", time.gmtime(now - grace_seconds)).encode()
    deleted = 0
    try:
        hours = sorted(os.listdir(trash))
    except FileNotFoundError:
        return 0
    for hour in hours:
        if not hour.isdigit() or hour >= oldest:
            continue
        folder = os.path.join(trash, hour)
        for name in os.listdir(folder):
            os.unlink(os.path.join(folder, name))
            deleted += 1
        os.rmdir(folder)
    return deleted


def move(root: bytes, target: bytes, file: Disposable) -> None:
    """Move a file to the same relative path below ``target``; where another file lies there, beside it.

    Raises FileChanged, FileNotFoundError, OSError.
    """
    fd = open_unchanged(file)
    try:
        place = os.path.join(target, os.path.relpath(file.path, root))
        folder, name = os.path.split(place)
        os.makedirs(folder, mode=0o750, exist_ok=True)
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if not _put(fd, folder_fd, name):
                _put(fd, folder_fd, name + b".%d" % file.file_id)
            os.fsync(folder_fd)
        finally:
            os.close(folder_fd)
        if _identity(os.lstat(file.path)) != _identity(os.fstat(fd)):
            raise FileChanged(None)
        os.unlink(file.path)
    finally:
        os.close(fd)


def open_unchanged(file: Disposable) -> int:
    """Open a file that looks as it did when it was accepted. Raises FileChanged, FileNotFoundError, OSError."""
    fd = os.open(file.path, _READ)
    status = os.fstat(fd)
    if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
        os.close(fd)
        raise FileChanged(None)
    return fd


def _identity(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _put(fd: int, folder_fd: int, name: bytes) -> bool:
    """Give an open file a name in a folder, or copy it there; False when another file has that name."""
    try:
        # Through /proc: this very file, whatever its old name means by now.
        os.link(f"/proc/self/fd/{fd}", name, dst_dir_fd=folder_fd)
    except FileExistsError:
        return _is_copy(fd, folder_fd, name)
    except OSError as error:
        if error.errno not in _CANT_LINK:
            raise
        return _put_copy(fd, folder_fd, name)
    return True


def _put_copy(fd: int, folder_fd: int, name: bytes) -> bool:
    draft = b".gurney-" + secrets.token_hex(8).encode()
    try:
        _copy(fd, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640, dir_fd=folder_fd))
        try:
            os.link(draft, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        except FileExistsError:
            return _is_copy(fd, folder_fd, name)
        except OSError as error:
            if error.errno not in _CANT_LINK:
                raise
            os.rename(draft, name, src_dir_fd=folder_fd, dst_dir_fd=folder_fd)
        return True
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder_fd)


def _is_copy(fd: int, folder_fd: int, name: bytes) -> bool:
    """Tell whether what has the name is this file or a copy of it: an earlier move that was broken off."""
    other = os.open(name, _READ, dir_fd=folder_fd)
    try:
        return same_dataset(fd, 0, other, 0)
    finally:
        os.close(other)


def _copy(fd: int, out_fd: int) -> None:
    with open(out_fd, "wb") as out:
        position = 0
        while block := os.pread(fd, _BLOCK, position):
            out.write(block)
            position += len(block)
        out.flush()
        status = os.fstat(fd)
        os.utime(out_fd, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.fsync(out_fd)
