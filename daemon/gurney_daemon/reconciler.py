"""Keep the ledger moving: ring for whatever is due, take back dead leases, note what rests, fold counts.

Whatever a message, a worker or a daemon lost is found here again by the ledger's own rows. Each chore is short and safe
to do twice, so any number of daemons may reconcile; the role keeps them from doing it all at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from gurney.ledger import completion, reconciling, refusals, tally
from gurney.ledger.clock import BootClock
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.deaths import bury
from gurney.ledger.forwarding import Bell
from gurney.ledger.reconciling import RECONCILER, RECONCILER_SECONDS
from gurney.ledger.retrieving import claims as retrievals
from gurney_daemon.rounds import Chore, Rounds

__all__ = ["Reconciler"]


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
    ) -> None:
        """Prepare; ``holder`` names this process among all."""
        self._ledger, self._ring = ledger, ring
        self._quiet, self._max_wait = quiet, max_wait
        chores = [
            Chore(1.0, self._ring_due),
            Chore(1.0, lambda: ring(retrievals.due_bells(ledger))),
            Chore(2.0, lambda: reconciling.expire_leases(ledger)),
            Chore(2.0, lambda: bury(ledger)),
            Chore(min(5.0, max(0.5, quiet / 4)), self._complete),
            Chore(2.0, lambda: ledger.transact(tally.fold)),
            Chore(1.0, lambda: refusals.expire(ledger)),
            Chore(60.0, self._remember_time),
        ]
        self._rounds = Rounds(RECONCILER, ledger, chores, holder=holder, seconds=RECONCILER_SECONDS)

    def run(self, stop: threading.Event) -> None:
        """Reconcile until told to stop; a ledger that is away is waited for."""
        self._rounds.run(stop)

    def _ring_due(self) -> None:
        self._ring(reconciling.due_bells(self._ledger))

    def _complete(self) -> None:
        self._ring(completion.complete_quiet(self._ledger, self._quiet, self._max_wait, RECONCILER))

    def _remember_time(self) -> None:
        clock = self._ledger.clock
        if isinstance(clock, BootClock):
            self._ledger.transact(_remember, clock)


def _remember(tx: Transaction, clock: BootClock) -> None:
    clock.remember(tx.conn)
