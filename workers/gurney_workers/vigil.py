"""Notice work that stands still for longer than any patience allows, and take from it what it holds.

A read from a share whose server has gone never returns, and the thread in it can't be told so. Its lease must not be
renewed for that, its association must not stay open, and the slot must not be lost for good.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gurney.observability import get_logger
from gurney.pacs import Progress

__all__ = ["GRACE", "Errand", "Vigil"]

# Seconds that an errand has to end once it was told that it stands still.
GRACE = 5.0
_LOOK_EVERY = 0.25

log = get_logger(__name__)


class Errand:
    """Work that is watched over. ``on_stuck`` is called once, from another thread, when it stands still."""

    def __init__(self, patience: float, **ids: str | int) -> None:
        """Begin; ``patience`` is for how many seconds it may stand still, ``ids`` are what a log may call it by."""
        self.progress = Progress()
        self.patience, self.ids = patience, ids
        self.on_stuck: Callable[[], object] = lambda: None
        self.is_stuck = self.is_given_up = False


class Vigil:
    """Watch over errands from a thread of its own, from :meth:`open` to :meth:`close`.

    ``give_up`` is called once for an errand that has not ended :data:`GRACE` seconds after it was told to.
    """

    def __init__(self, give_up: Callable[[], object], grace: float = GRACE) -> None:
        """Prepare; nothing runs yet."""
        self._give_up, self._grace = give_up, grace
        self._errands: set[Errand] = set()
        self._changing = threading.Lock()
        self._ended = threading.Event()
        self._watching = threading.Thread(target=self._watch, name="vigil", daemon=True)

    def open(self) -> None:
        """Begin to watch."""
        self._watching.start()

    def close(self) -> None:
        """Watch no more."""
        self._ended.set()

    @contextmanager
    def over(self, patience: float, **ids: str | int) -> Iterator[Errand]:
        """Watch over what is done inside the block; it marks its errand's progress."""
        errand = Errand(patience, **ids)
        with self._changing:
            self._errands.add(errand)
        try:
            yield errand
        finally:
            with self._changing:
                self._errands.discard(errand)

    def _watch(self) -> None:
        while not self._ended.wait(_LOOK_EVERY):
            with self._changing:
                errands = list(self._errands)
            for errand in errands:
                self._look_at(errand)

    def _look_at(self, errand: Errand) -> None:
        overdue = errand.progress.stands_for() - errand.patience
        if overdue > 0 and not errand.is_stuck:
            errand.is_stuck = True
            stood = round(errand.progress.stands_for(), 1)
            log.error("batch_stuck", seconds=stood, reason="nothing moves any more: a file that hangs?", **errand.ids)
            begun = time.monotonic()
            errand.on_stuck()
            # To end an association may take seconds that are not the errand's.
            errand.patience += time.monotonic() - begun
        elif overdue > self._grace and not errand.is_given_up and errand in self._errands:
            errand.is_given_up = True
            self._give_up()
