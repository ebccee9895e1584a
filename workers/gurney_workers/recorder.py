"""Write results into the ledger while the association goes on: in groups, under the fence, by a thread of its own.

A group closes after :data:`GROUP` results or :data:`SECONDS`, and at once after anything but a plain success, so that
a destination that has gone bad is noticed before the next instance or two. Where instances are tiny and come faster
than commits are worth, groups are larger: at most one in :data:`PAUSE`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gurney.ledger.database import Ledger
from gurney.ledger.errors import LeaseLost, LedgerUnavailable
from gurney.ledger.leases import LeaseTicket
from gurney.ledger.settlement import Settled, Settlement, conclude, settle
from gurney.observability import get_logger

__all__ = ["GROUP", "LARGEST", "PAUSE", "SECONDS", "Recorder"]

GROUP = 50
SECONDS = 1.0
PAUSE = 0.025
# What one transaction may hold, so that others get their turn.
LARGEST = 200
# A worker this far ahead of the ledger waits for it.
_MOST_UNWRITTEN = 1_000
_AGAIN = 0.5

T = TypeVar("T")

log = get_logger(__name__)


class Recorder:
    """Settle results in the background of a ``with`` block; :meth:`conclude` writes the rest and gives the lease back.

    ``on_lost`` is called once, from the recorder's thread, when nothing may be written any more; ``on_first_stored``
    when the first stored instance is. ``totals`` is what was written so far; ``must_stop`` says that the batch should
    not go on.
    """

    def __init__(
        self,
        ledger: Ledger,
        ticket: LeaseTicket,
        on_lost: Callable[[], object],
        patience: float,
        on_first_stored: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare; ``patience`` is for how many seconds an unreachable ledger is asked again."""
        self._ledger, self._ticket, self._patience = ledger, ticket, patience
        self._on_lost, self._on_first_stored = on_lost, on_first_stored
        self._changed = threading.Condition()
        self._waiting: list[Settlement] = []
        self._since = self._taken_at = 0.0
        self._urgent = self._closing = False
        self.is_lost = False
        self.must_stop = False
        self.totals = Settled()
        self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)

    def __enter__(self) -> Recorder:
        """Start writing."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop writing in the background; what is left is for :meth:`conclude`."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def add(self, settlement: Settlement) -> None:
        """Hand over a result; waits only while the ledger is far behind."""
        with self._changed:
            while len(self._waiting) >= _MOST_UNWRITTEN and not self.is_lost:
                self._changed.wait(1.0)
            if not self._waiting:
                self._since = time.monotonic()
            self._waiting.append(settlement)
            self._urgent |= not settlement.plain
            if self._urgent or len(self._waiting) in {1, GROUP, LARGEST}:
                self._changed.notify_all()

    def conclude(self, actor: str, reason: str) -> int:
        """Write what is left, the last of it with the release of the lease; return how many items went back."""
        while len(self._waiting) > LARGEST:
            with self._changed:
                group = self._take()
            self._write(group)
        if self.is_lost:
            return 0
        group, self._waiting = self._waiting, []
        done = self._patiently(
            lambda: self._ledger.transact(conclude, self._ticket, group, self.totals, actor, reason), len(group)
        )
        if done is None:
            return 0
        last, returned = done
        self._add_up(last)
        return returned

    def _run(self) -> None:
        while (group := self._next_group()) is not None:
            if not self._write(group):
                self._on_lost()
                return

    def _write(self, group: list[Settlement]) -> bool:
        """Settle a group; False when nothing may be written any more."""
        settled = self._patiently(partial(self._ledger.transact, settle, self._ticket, group), len(group))
        if settled is None:
            return False
        is_first = not self.totals.stored
        self._add_up(settled)
        if is_first and settled.stored:
            self._on_first_stored()
        return True

    def _next_group(self) -> list[Settlement] | None:
        with self._changed:
            while not self._closing:
                seconds = self._due_in()
                if seconds is not None and seconds <= 0:
                    return self._take()
                self._changed.wait(seconds)
            return None

    def _due_in(self) -> float | None:
        """Return the seconds until what waits is a group; None while nothing waits."""
        if not self._waiting:
            return None
        if self._urgent or len(self._waiting) >= LARGEST:
            return 0.0
        due = self._since + SECONDS
        if len(self._waiting) >= GROUP:
            due = min(due, self._taken_at + PAUSE)
        return due - time.monotonic()

    def _take(self) -> list[Settlement]:
        """Take one group, or several at once: few different sizes make few different statements."""
        size = min(len(self._waiting), LARGEST)
        if size > GROUP and not self._urgent:
            size -= size % GROUP
        group, self._waiting = self._waiting[:size], self._waiting[size:]
        self._since = self._taken_at = time.monotonic()
        self._urgent = any(not settlement.plain for settlement in self._waiting)
        self._changed.notify_all()
        return group

    def _patiently(self, write: Callable[[], T], unwritten: int) -> T | None:
        """Write; a ledger that can't be reached is asked again until the lease must have run out. None: it is lost."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                return write()
            except LeaseLost as error:
                log.warning("lease_lost", lease=self._ticket.id, unwritten=unwritten, reason=str(error))
                break
            except LedgerUnavailable as error:
                if time.monotonic() > give_up:
                    log.error("ledger_unreachable", lease=self._ticket.id, unwritten=unwritten, reason=str(error))
                    break
                time.sleep(_AGAIN)
            except Exception as error:  # this thread must not end in silence, whatever went wrong
                # A batch that goes on and can't be written would be released, and go out again for ever.
                log.error("results_refused", lease=self._ticket.id, unwritten=unwritten, exc_info=error)
                break
        with self._changed:
            self.is_lost = self.must_stop = True
            self._waiting.clear()
            self._changed.notify_all()
        return None

    def _add_up(self, settled: Settled) -> None:
        self.totals.stored += settled.stored
        self.totals.faults += settled.faults
        self.must_stop |= settled.abort or settled.closed
        for words in settled.alerts:
            log.warning("item_alert", lease=self._ticket.id, words=words)
