"""Folders that applications name: whether there is one, and what it holds, found lazily in the order of its names.

Nothing disappears silently: what is no file, or can't be looked into, is told as a result.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gurney.pacs.instance import StoreResult, UnusableFileError
from gurney.pacs.sources import unsent
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["existing_folder", "files_in"]

_SPECIAL: Final = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
}


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder that is there. Without it a peer would be asked for what we then refuse one by one.

    Raises OSError: FileNotFoundError or NotADirectoryError for what is none, whatever the system says else.
    """
    path = Path(folder)
    if not stat.S_ISDIR(path.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
    return path


def files_in(folder: str | os.PathLike[str], *, recursive: bool = True) -> Iterator[str | StoreResult]:
    """Yield the path of each regular file in a folder, and a result for everything else.

    Of each folder its files come first. The names of one folder are held at a time, with the folders that are yet to be
    seen. A link is not followed, a FIFO or device not opened. Raises OSError if the folder itself can't be listed.
    """
    top = os.fspath(folder)
    to_see = [top]
    while to_see:
        seen = to_see.pop()
        try:
            names = sorted(os.listdir(seen))
        except OSError as error:
            if seen == top:
                raise
            yield unsent(seen, UnusableFileError.of(error).event)
            continue
        inner = []
        for name in names:
            path = os.path.join(seen, name)
            try:
                kind = stat.S_IFMT(os.lstat(path).st_mode)
            except OSError as error:
                yield unsent(path, UnusableFileError.of(error).event)
                continue
            if kind == stat.S_IFREG:
                yield path
            elif kind == stat.S_IFDIR and recursive:
                inner.append(path)
            else:
                words = "a folder in the folder" if kind == stat.S_IFDIR else _SPECIAL.get(kind, "a device, not a file")
                yield unsent(path, Event(EventKind.UNFIT, detail=words), skipped=True)
        to_see.extend(reversed(inner))
