"""What a folder holds that is to be stored, found lazily in the order of its names.

Nothing disappears silently: what is no file, or can't be looked into, is told as a result.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from typing import Final

from gurney.dicom.incoming import is_incoming
from gurney.pacs.store.sources import unsent
from gurney.pacs.wire.instance import StoreResult, UnusableFileError
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["files_in"]

_SPECIAL: Final = {
    stat.S_IFLNK: "a symbolic link, which is not followed",
    stat.S_IFIFO: "a FIFO, not a file",
    stat.S_IFSOCK: "a socket, not a file",
}


def files_in(folder: str | os.PathLike[str], *, recursive: bool = True) -> Iterator[str | StoreResult]:
    """Yield the path of each regular file in a folder, and a result for everything else.

    Of each folder its files come first. The names of one folder are held at a time, with the folders that are yet to be
    seen. A link is not followed, a FIFO or device not opened; a file that a retrieve is writing, or that a killed one
    left, is nobody's instance. Raises OSError if the folder itself can't be listed.
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
            if kind == stat.S_IFREG and is_incoming(name):
                yield unsent(
                    path, Event(EventKind.UNFIT, detail="an instance on its way here, not whole"), skipped=True
                )
            elif kind == stat.S_IFREG:
                yield path
            elif kind == stat.S_IFDIR and recursive:
                inner.append(path)
            else:
                words = "a folder in the folder" if kind == stat.S_IFDIR else _SPECIAL.get(kind, "a device, not a file")
                yield unsent(path, Event(EventKind.UNFIT, detail=words), skipped=True)
        to_see.extend(reversed(inner))
