"""A wish that an operation stop, which any thread may have (PS3.7 9.3.2.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Cancellation"]


class Cancellation:
    """A wish that one operation stop; whoever does it looks for the wish, and heeds it.

    Every stream of a :class:`~gurney.pacs.QueryRetrieveScu` has one of its own, which its ``cancel`` is for. Give one
    to what blocks until it is over. A wish is not taken back: take a new one for the next operation.
    """

    def __init__(self) -> None:
        # One that a signal handler may take again: Ctrl-C comes in the midst of anything.
        self._guard = threading.RLock()
        self._is_wanted = False
        self._heeders: tuple[Callable[[], None], ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Tell whether it was wished."""
        return self._is_wanted

    def cancel(self) -> None:
        """Wish it. From any thread, and as often as one likes."""
        with self._guard:
            if self._is_wanted:
                return
            self._is_wanted = True
            heeders = self._heeders
        for heed in heeders:
            heed()

    @contextmanager
    def heeded_by(self, heed: Callable[[], None]) -> Iterator[None]:
        """Have this called, in the thread that wishes, when it is wished inside the block."""
        with self._guard:
            self._heeders = (*self._heeders, heed)
        try:
            yield
        finally:
            with self._guard:
                self._heeders = tuple(other for other in self._heeders if other is not heed)
