"""What of ours, not of the peer's, kept instances from being stored: a disk, or a length that we do not take."""

from __future__ import annotations

from pathlib import Path

from gurney.pacs.errors import FolderFailed, InstanceTooLong
from gurney.pacs.wire.arrival import TooLong

__all__ = ["Shortfall"]


class Shortfall:
    """Take note of each instance that we had to refuse, and say so when the peer has been heard."""

    def __init__(self, folder: Path, limit: int | None) -> None:
        self._folder = folder
        self._limit = limit
        self._too_long = 0
        self._failure: OSError | None = None

    @property
    def is_of_folder(self) -> bool:
        """Tell whether the folder failed: whatever comes next has no place either."""
        return self._failure is not None

    def note(self, failure: OSError) -> None:
        """Take note of one."""
        if isinstance(failure, TooLong):
            self._too_long += 1
        else:
            self._failure = self._failure or failure

    def check(self, *, at_the_end: bool = False) -> None:
        """Raise FolderFailed for a folder that failed; at the end InstanceTooLong for instances of too many bytes."""
        if self._failure is not None:
            raise FolderFailed(self._folder, self._failure) from self._failure
        if at_the_end and self._too_long and self._limit is not None:
            raise InstanceTooLong(self._too_long, self._limit)
