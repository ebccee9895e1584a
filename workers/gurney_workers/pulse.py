"""Keep a lease alive, and stop the batch before anybody else may take it over.

The lease is renewed four times in its length. The fence falls three quarters of that length after the last renewal that
was confirmed had been *sent*, by this process's own monotonic clock: before the ledger may count the lease as lost.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import LeaseLost, LedgerUnavailable
from gurney.ledger.leases import LEASE_SECONDS, LeaseTicket
from gurney.ledger.leases import renew as renew_batch
from gurney.ledger.retrieving.claims import RetrievalTicket
from gurney.observability import get_logger

__all__ = ["Pulse"]

log = get_logger(__name__)


class Pulse:
    """Renew a lease in the background for the length of a ``with`` block.

    ``on_lost`` is called once, from another thread, when the lease is lost or may be.
    """

    def __init__(
        self,
        ledger: Ledger,
        ticket: LeaseTicket | RetrievalTicket,
        claimed_at: float,
        on_lost: Callable[[], None],
        ttl: float = LEASE_SECONDS,
        *,
        renew: Callable[[Transaction, Any, float], None] = renew_batch,
    ) -> None:
        """Prepare; ``claimed_at`` is the monotonic time at which the claim was sent, ``ttl`` the lease's seconds.

        ``renew`` renews such a ticket.
        """
        self._renew_ticket = renew
        self._ledger, self._ticket, self._on_lost, self._ttl = ledger, ticket, on_lost, ttl
        self._confirmed = claimed_at
        self._ended = threading.Event()
        self._told = threading.Lock()
        self.is_lost = False
        self._renewing = threading.Thread(target=self._renew, name="pulse", daemon=True)
        # Apart from renewing, which may hang in a database that does not answer.
        self._watching = threading.Thread(target=self._watch, name="fence", daemon=True)

    def __enter__(self) -> Pulse:
        """Start renewing."""
        self._renewing.start()
        self._watching.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop renewing; a renewal that hangs is left to end by itself."""
        self._ended.set()
        self._watching.join()

    def give_up(self, reason: str) -> None:
        """Let the lease run out, because nothing comes of it any more."""
        self._lose(reason)

    def _renew(self) -> None:
        # What is lost is not renewed: it is for the others, however long our own thread may hang.
        while not self._ended.wait(self._ttl / 4) and not self.is_lost:
            sent = time.monotonic()
            try:
                self._ledger.transact(self._renew_ticket, self._ticket, self._ttl)
            except LeaseLost as error:
                if not self._ended.is_set():
                    self._lose(str(error))
                return
            except LedgerUnavailable as error:
                log.warning("renewal_failed", lease=self._ticket.id, reason=str(error))
                continue
            self._confirmed = sent

    def _watch(self) -> None:
        while not self._ended.is_set():
            left = self._confirmed + 0.75 * self._ttl - time.monotonic()
            if left <= 0:
                self._lose("no renewal was confirmed in time")
                return
            self._ended.wait(left)

    def _lose(self, reason: str) -> None:
        with self._told:
            if self.is_lost:
                return
            self.is_lost = True
        log.warning("lease_lost", lease=self._ticket.id, reason=reason)
        self._on_lost()
