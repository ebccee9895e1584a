"""A request, from any thread, that an operation stop (PS3.7 9.3.2.3)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Cancellation"]


class Cancellation:
    """A request that one operation stop; whoever performs the operation looks for it and heeds it.

    Every stream of a :class:`~gurney.pacs.QueryRetrieveScu` has one of its own, which its ``cancel`` sets. Pass one to
    a call that blocks until it is over, to stop it from another thread. It can't be taken back: make a new one for the
    next operation.
    """

    def __init__(self) -> None:
        # Reentrant: a signal handler may cancel as well, and Ctrl-C may come while this thread holds it.
        self._guard = threading.RLock()
        self._is_wanted = False
        self._heeders: tuple[Callable[[], None], ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Tell whether the operation is to stop."""
        return self._is_wanted

    def cancel(self) -> None:
        """Ask the operation to stop. Any thread may call this, any number of times."""
        with self._guard:
            if self._is_wanted:
                return
            self._is_wanted = True
            heeders = self._heeders
        for heed in heeders:
            heed()

    @contextmanager
    def heeded_by(self, heed: Callable[[], None]) -> Iterator[None]:
        """Have ``heed`` called, in the thread that cancels, if :meth:`cancel` is called inside the block."""
        with self._guard:
            self._heeders = (*self._heeders, heed)
        try:
            yield
        finally:
            with self._guard:
                self._heeders = tuple(other for other in self._heeders if other is not heed)
