"""The folder that an application names for what it retrieves."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["existing_folder"]


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder that is there. Without it a peer would be asked for what we then refuse one by one.

    Raises OSError: FileNotFoundError or NotADirectoryError for what is none, whatever the system says else.
    """
    path = Path(folder)
    if not stat.S_ISDIR(path.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
    return path
