"""Keep the ledger moving: ring for whatever is due, take back dead leases, note what rests, fold counts.

Whatever a message, a worker or a daemon lost is found here again by the ledger's own rows. Each chore is safe to run
twice, so any number of daemons may reconcile; the role keeps them from doing it all at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gurney.errors import GurneyError
from gurney.ledger import reconciling, refusals, roles, tally
from gurney.ledger.clock import BootClock
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.roles import RoleTicket
from gurney.observability import get_logger

__all__ = ["Reconciler"]

_ROLE = "reconciler"
_ROLE_SECONDS = 15.0

log = get_logger(__name__)


@dataclass(slots=True)
class _Chore:
    every: float
    work: Callable[[], object]
    due: float = 0.0


class Reconciler:
    """Do the chores in a thread of the daemon, for as long as this process holds the role."""

    def __init__(
        self,
        ledger: Ledger,
        ring: Callable[[Sequence[Bell]], None],
        *,
        holder: str,
        quiet: float,
        max_wait: float,
        more: Sequence[tuple[float, Callable[[], object]]] = (),
    ) -> None:
        """Prepare; ``more`` are other chores of the daemon, each with its interval in seconds."""
        self._ledger, self._ring, self._holder = ledger, ring, holder
        self._quiet, self._max_wait = quiet, max_wait
        self._ticket: RoleTicket | None = None
        self._keep_at = 0.0
        self._chores = [
            _Chore(1.0, self._ring_due),
            _Chore(2.0, lambda: reconciling.expire_leases(ledger)),
            _Chore(min(5.0, max(0.5, quiet / 4)), self._complete),
            _Chore(2.0, lambda: ledger.transact(tally.fold)),
            _Chore(60.0, lambda: ledger.transact(refusals.expire)),
            _Chore(60.0, self._remember_time),
            *[_Chore(every, work) for every, work in more],
        ]

    def run(self, stop: threading.Event) -> None:
        """Reconcile until told to stop; a ledger that is away is waited for."""
        while not stop.wait(0.25):
            try:
                if self._hold_role():
                    self._do_chores()
            except (GurneyError, OSError) as error:
                log.warning("reconciling_failed", kind=type(error).__name__, reason=_why(error))
                stop.wait(1.0)
        if self._ticket is not None:
            try:
                self._ledger.transact(roles.resign, self._ticket)
            except GurneyError as error:
                log.warning("role_not_resigned", role=_ROLE, reason=str(error))

    def _hold_role(self) -> bool:
        now = time.monotonic()
        if now < self._keep_at:
            return self._ticket is not None
        self._keep_at = now + _ROLE_SECONDS / 4
        if self._ticket is None or not self._ledger.transact(roles.keep, self._ticket, _ROLE_SECONDS):
            self._ticket = self._ledger.transact(roles.assume, _ROLE, self._holder, _ROLE_SECONDS)
        return self._ticket is not None

    def _do_chores(self) -> None:
        for chore in self._chores:
            if time.monotonic() >= chore.due:
                try:
                    chore.work()
                finally:
                    # Also of one that failed: the ones behind it shall have their turn.
                    chore.due = time.monotonic() + chore.every

    def _ring_due(self) -> None:
        self._ring(reconciling.due_bells(self._ledger))

    def _complete(self) -> None:
        self._ring(reconciling.complete_quiet(self._ledger, self._quiet, self._max_wait, _ROLE))

    def _remember_time(self) -> None:
        clock = self._ledger.clock
        if isinstance(clock, BootClock):
            self._ledger.transact(_remember, clock)


def _why(error: GurneyError | OSError) -> str:
    # An OSError's text names the file, which may be a modality's.
    return (error.strerror or "") if isinstance(error, OSError) else str(error)


def _remember(tx: Transaction, clock: BootClock) -> None:
    clock.remember(tx.conn)
