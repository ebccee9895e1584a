"""The folder that an application names for what it retrieves."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["existing_folder"]


def existing_folder(folder: str | os.PathLike[str]) -> Path:
    """Return a folder that exists: without it a peer would send instances only for each to be refused.

    Raises FileNotFoundError, NotADirectoryError, or whatever other OSError the system gives.
    """
    path = Path(folder)
    if not stat.S_ISDIR(path.stat().st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), os.fspath(path))
    return path
