"""Folders that must not lie in each other: what is watched, and what is ours."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from gurney.settings.model import Settings
from gurney.settings.mounts import MOUNTINFO, real_path
from gurney.settings.problems import KeyPath

__all__ = ["Overlap", "find_overlaps"]


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two keys whose folders overlap, and what would come of it."""

    key: KeyPath
    message: str


@dataclass(frozen=True, slots=True)
class _Folder:
    key: KeyPath
    word: str
    path: str
    deep: bool = True

    def takes_in(self, other: _Folder) -> bool:
        """Say whether files in ``other`` are seen through this folder."""
        if self.path == other.path:
            return True
        return self.deep and os.path.commonpath((self.path, other.path)) == self.path


def find_overlaps(settings: Settings, mountinfo: str = MOUNTINFO) -> Iterator[Overlap]:
    """Yield every pair of folders of which one would swallow the other's files."""
    spool = _Folder(("spool", "path"), "the spool", real_path(settings.spool_path, mountinfo))
    data = _Folder(("node", "data_dir"), "the data folder", real_path(settings.node.data_dir, mountinfo))
    watched = [
        _Folder(("watch", index, "path"), f'watch "{watch.name}"', real_path(watch.path, mountinfo), watch.recursive)
        for index, watch in enumerate(settings.watch)
    ]
    targets = [
        _Folder(("watch", index, "move_to"), f'the target of watch "{watch.name}"', real_path(watch.move_to, mountinfo))
        for index, watch in enumerate(settings.watch)
        if watch.after == "move" and watch.move_to
    ]
    if spool.takes_in(data):
        yield Overlap(spool.key, "takes in the data folder: the ledger would lie among images")
    yield from _watched(watched, [spool, data])
    for target in targets:
        for other in watched:
            if other.takes_in(target):
                yield Overlap(target.key, f"lies in {other.word}: what is moved away would come in again")
        for other in (spool, data):
            if other.takes_in(target):
                yield Overlap(target.key, f"lies in {other.word}: moved files are not ours to clean up")


def _watched(watched: list[_Folder], ours: list[_Folder]) -> Iterator[Overlap]:
    for index, folder in enumerate(watched):
        for other in ours:
            if folder.takes_in(other) or other.takes_in(folder):
                yield Overlap(folder.key, f"overlaps {other.word}: our own files would be taken for new ones")
                break
        for other in watched[:index]:
            if folder.takes_in(other) or other.takes_in(folder):
                yield Overlap(folder.key, f"overlaps {other.word}: one file would have two owners")
