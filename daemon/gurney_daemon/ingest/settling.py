"""Decide when a file counts as written: its size and time of modification have not changed for a while.

Pure: times are passed in. "A while" is measured by a monotonic clock from the last change that was seen, so that
neither a wall clock that jumps nor a time of modification in the future makes a file look settled, or never settled.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Final, NamedTuple

from gurney_daemon.ingest.signature import Signature

__all__ = ["SettledFile", "Settling"]

# A file that looks old at first sight is looked at once more, this many seconds later.
_GLANCE: Final = 0.1
# How often a file that is not whole gets another window, each twice as long as the one before.
_PATIENCE: Final = 5


class SettledFile(NamedTuple):
    """A file whose window has passed. ``tries`` counts how often it was not whole before."""

    path: bytes
    signature: Signature
    tries: int = 0

    def __repr__(self) -> str:
        # Not the path, which may name a patient.
        return f"SettledFile(signature={self.signature!r}, tries={self.tries!r})"


class _Entry(NamedTuple):
    signature: Signature
    due: float
    tries: int


class Settling:
    """The files that are being waited for: at most ``capacity``, each due at an exact time.

    ``window`` is in seconds. ``trust_mtime``: the time of modification is by this host's clock, so that a file that
    was last written a window ago need not be waited for again.
    """

    def __init__(self, window: float, *, trust_mtime: bool, capacity: int = 10_000) -> None:
        """Start with no file."""
        self.window, self._trust_mtime, self._capacity = window, trust_mtime, capacity
        self._entries: dict[bytes, _Entry] = {}
        self._heap: list[tuple[float, int, bytes]] = []
        self._sequence = count()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def room(self) -> int:
        """How many more files can be waited for."""
        return self._capacity - len(self._entries)

    def observe(self, path: bytes, signature: Signature, now: float, wall_ns: int) -> bool:
        """Note how a file looks at ``now`` (monotonic seconds; ``wall_ns`` is the time of day). False: there's no room.

        The first sight gives credit for the time since the last modification; a change that was seen gives none.
        """
        entry = self._entries.get(path)
        if entry is not None and entry.signature == signature:
            return True
        if entry is not None:
            self._put(path, _Entry(signature, now + self.window, 0))
            return True
        if self.room <= 0:
            return False
        age = (wall_ns - signature.mtime_ns) / 1e9 if self._trust_mtime else 0.0
        wait = min(self.window, max(self.window - max(age, 0.0), _GLANCE))
        self._put(path, _Entry(signature, now + wait, 0))
        return True

    def begin_again(self, path: bytes, signature: Signature, now: float) -> None:
        """Wait a whole window for a file that changed while it was being looked at."""
        self._put(path, _Entry(signature, now + self.window, 0))

    @staticmethod
    def may_wait(settled: SettledFile) -> bool:
        """Tell whether a file that is not whole gets another window."""
        return settled.tries < _PATIENCE

    def wait_again(self, settled: SettledFile, now: float) -> None:
        """Give a file that is not whole a longer window."""
        wait = max(self.window, _GLANCE) * 2**settled.tries
        self._put(settled.path, _Entry(settled.signature, now + wait, settled.tries + 1))

    def take_due(self, now: float, limit: int) -> list[SettledFile]:
        """Remove and return the files whose window has passed, the longest waiting first."""
        due: list[SettledFile] = []
        while self._heap and self._heap[0][0] <= now and len(due) < limit:
            when, _, path = heapq.heappop(self._heap)
            entry = self._entries.get(path)
            # A later change has put the path into the heap once more.
            if entry is not None and entry.due == when:
                del self._entries[path]
                due.append(SettledFile(path, entry.signature, entry.tries))
        return due

    def next_due(self) -> float | None:
        """Return when the next window passes; None when nothing is waited for."""
        while self._heap:
            when, _, path = self._heap[0]
            entry = self._entries.get(path)
            if entry is not None and entry.due == when:
                return when
            heapq.heappop(self._heap)
        return None

    def _put(self, path: bytes, entry: _Entry) -> None:
        self._entries[path] = entry
        heapq.heappush(self._heap, (entry.due, next(self._sequence), path))
