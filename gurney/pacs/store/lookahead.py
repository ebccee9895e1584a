"""What is to be stored next, a bounded number of requests ahead: contexts are planned for what comes, not for all.

A million paths are never held, nor a thousand data sets. What the open association has no context for waits until the
next one, while others pass it; so a change of SOP class back and forth does not cost an association each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterator
from typing import cast

from gurney.dicom.presentation import MAX_CONTEXTS, ContextProposal
from gurney.pacs.store.compression import Compression
from gurney.pacs.store.refusals import held_back
from gurney.pacs.wire.instance import StoreRequest, StoreResult

__all__ = ["LOOK_AHEAD", "Feed", "LookAhead", "Pair", "plan_ahead"]

LOOK_AHEAD = 1000
_DATASETS = 16
"""Data sets are heavier than paths."""
_MANY_ASIDE = 100

Entry = StoreRequest | StoreResult
Pair = tuple[str, str]
"""SOP class and the transfer syntax that an instance is in."""


class LookAhead:
    """A window over requests, and over the results of what could not become one.

    What the source raises waits until all that came before it was taken: those entries exist nowhere else.
    """

    def __init__(self, entries: Iterator[Entry], size: int = LOOK_AHEAD) -> None:
        if size < 1:
            raise ValueError(f"look_ahead must be 1 at least, not {size}")
        self._entries = entries
        self._size = size
        self._fresh: deque[Entry] = deque()
        self._passed: deque[Entry] = deque()
        self._datasets = 0
        self._failure: Exception | None = None

    def fill(self) -> bool:
        """Look ahead as far as it goes, what was passed over first; tell whether anything is in sight.

        Raises what the source raised, once nothing is.
        """
        self._fresh = self._passed + self._fresh
        self._passed = deque()
        self._fill()
        if self._failure is not None and not self._fresh:
            raise self._failure
        return bool(self._fresh)

    def pairs(self) -> list[Pair]:
        """Return what the requests in sight need, in their order."""
        return list(dict.fromkeys(_pair(entry) for entry in self._fresh if isinstance(entry, StoreRequest)))

    def leading_results(self) -> Iterator[StoreResult]:
        """Take the results in front of the first request."""
        while True:
            if not self._fresh:
                self._fill()
            if not self._fresh or not isinstance(self._fresh[0], StoreResult):
                return
            yield cast(StoreResult, self._fresh.popleft())

    def take(self, covered: Container[Pair]) -> Entry | None:
        """Take the next entry that is a result, or whose pair is covered; None if no such is in sight."""
        while True:
            if not self._fresh:
                self._fill()
                if not self._fresh:
                    return None
            entry = self._fresh.popleft()
            if isinstance(entry, StoreResult):
                return entry
            if _pair(entry) in covered:
                self._datasets -= entry.dataset is not None
                return entry
            self._passed.append(entry)

    def hold_back(self) -> Iterator[StoreResult]:
        """Take all that is in sight as results, requests as held back. Raises as :meth:`fill`."""
        entries, self._fresh, self._passed = self._passed + self._fresh, deque(), deque()
        for entry in entries:
            yield entry if isinstance(entry, StoreResult) else held_back(entry)
        if self._failure is not None:
            raise self._failure

    def _fill(self) -> None:
        while len(self._fresh) + len(self._passed) < self._size and self._datasets < _DATASETS:
            if self._failure is not None:
                return
            try:
                entry = next(self._entries, None)
            except Exception as error:  # noqa: BLE001  (the application's own, of whatever kind, is raised in its turn)
                self._failure = error
                return
            if entry is None:
                return
            self._fresh.append(entry)
            if isinstance(entry, StoreRequest):
                self._datasets += entry.dataset is not None


class Feed:
    """The requests that one association has contexts for, and the results that were met on the way."""

    def __init__(self, ahead: LookAhead, covered: Container[Pair]) -> None:
        self._ahead = ahead
        self._covered = covered
        self._aside: deque[StoreResult] = deque()
        self.is_over = False
        """Nothing that is covered is left in sight."""
        self.is_paused = False
        """Many results are waiting to be told: take them, then iterate again."""

    def __iter__(self) -> Iterator[StoreRequest]:
        while len(self._aside) < _MANY_ASIDE:
            entry = self._ahead.take(self._covered)
            if entry is None:
                self.is_over = True
                return
            if isinstance(entry, StoreResult):
                self._aside.append(entry)
            else:
                yield entry
        self.is_paused = True

    def take_aside(self) -> Iterator[StoreResult]:
        """Take what is waiting to be told."""
        while self._aside:
            yield self._aside.popleft()


def plan_ahead(pairs: list[Pair], compression: Compression) -> tuple[list[ContextProposal], set[Pair]]:
    """Give what to propose for the first of these pairs, as many as fit one association, and which those are.

    The order of the proposals is that of the UIDs, so that the same work always makes the same request.
    """
    proposals: set[ContextProposal] = set()
    covered = set()
    for sop_class_uid, own in pairs:
        more = {ContextProposal(sop_class_uid, wish) for wish in compression.wishes(own)}
        if len(proposals | more) <= MAX_CONTEXTS:
            proposals |= more
            covered.add((sop_class_uid, own))
    return sorted(proposals), covered


def _pair(request: StoreRequest) -> Pair:
    return request.sop_class_uid, request.transfer_syntax_uid
