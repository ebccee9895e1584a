"""Watched folders whose files are sent from where they lie: tell a file that has gone from a share that is away.

A file that the spool does not hold is looked for in its folder. Where nothing is mounted any more an empty folder is
left, and every file would seem to be gone: that says nothing of any of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

from gurney.settings import Settings
from gurney.settings.mounts import is_mounted

__all__ = ["Folder", "Folders", "folders_of"]


@dataclass(frozen=True, slots=True)
class Folder:
    """A watched folder by its name. ``must_be_mounted``: it lies on a share, and means nothing without it."""

    name: str
    root: str
    must_be_mounted: bool = False

    def is_there(self) -> bool:
        """Tell whether a file that is not found here has really gone.

        Touches the folder: on a share whose server does not answer this may never return.
        """
        mounted = is_mounted(self.root)
        if self.must_be_mounted and not mounted:
            return False
        try:
            with os.scandir(self.root) as entries:
                return mounted or next(entries, None) is not None
        except OSError:
            return False


class Folders:
    """All watched folders."""

    def __init__(self, folders: Iterable[Folder]) -> None:
        # The innermost first: one may be watched inside another.
        self._folders = sorted(folders, key=lambda folder: len(folder.root), reverse=True)

    def of(self, path: bytes) -> Folder | None:
        """Return the folder in which a file lies, from its path alone; None for one that came by another way."""
        for folder in self._folders:
            if path.startswith(os.fsencode(folder.root).rstrip(b"/") + b"/"):
                return folder
        return None


def folders_of(settings: Settings) -> Folders:
    """Return the folders that are watched."""
    return Folders(Folder(watch.name, watch.path, watch.require_mount) for watch in settings.watch)
