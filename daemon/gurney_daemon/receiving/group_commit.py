"""Commits that several associations share: what waits while one group is being committed is the next one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["GroupCommit"]

# Seconds that a group waits for those who are on their way: less than a commit costs.
_PATIENCE = 0.002

T = TypeVar("T")
R = TypeVar("R")


class _Entry(Generic[T, R]):
    __slots__ = ("failure", "is_done", "one", "result")

    def __init__(self, one: T) -> None:
        self.one = one
        self.is_done = False
        self.result: R | None = None
        self.failure: BaseException | None = None


class GroupCommit(Generic[T, R]):
    """Let whoever comes first commit for all who wait; a commit costs nearly the same for one or a hundred.

    While one group is at the disk, the next one gathers by itself. It waits a little for those that are ``coming``:
    without that, eight peers make two groups of four by turns, and pay twice.
    """

    def __init__(
        self,
        commit: Callable[[Sequence[T]], Sequence[R]],
        most: int = 100,
        *,
        coming: Callable[[], bool] = lambda: False,
    ) -> None:
        """Prepare; ``commit`` takes a group of ``most`` at most and gives a result for each, never two at once."""
        self._commit, self._most, self._coming = commit, most, coming
        self._waiting: list[_Entry[T, R]] = []
        self._gathering = threading.Condition()
        self._committing = threading.Lock()

    def commit(self, one: T) -> R:
        """Return what came of it once it is committed. Raises what its group's commit raised."""
        entry = _Entry[T, R](one)
        with self._gathering:
            self._waiting.append(entry)
            self._gathering.notify()
        while not entry.is_done:
            with self._committing:
                if not entry.is_done:
                    self._take_turn()
        if entry.failure is not None:
            raise entry.failure
        return entry.result  # type: ignore[return-value]  # done without a failure, it has one

    def _take_turn(self) -> None:
        until = time.monotonic() + _PATIENCE
        with self._gathering:
            while len(self._waiting) < self._most and self._coming() and (left := until - time.monotonic()) > 0:
                self._gathering.wait(left)
            group, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        try:
            results = self._commit([entry.one for entry in group])
        except BaseException as error:  # noqa: BLE001 - whatever it was, each of the group must hear of it
            for entry in group:
                entry.failure, entry.is_done = error, True
            return
        for entry, result in zip(group, results, strict=True):
            entry.result, entry.is_done = result, True
