"""A batch's share of what a destination may get: its limits, divided by the batches that are on their way to it."""

from __future__ import annotations

import time
from collections.abc import Callable

from gurney.ledger.database import Transaction
from gurney.ledger.leases import LeaseTicket, live_leases, renew
from gurney.pacs.throttle import Throttle
from gurney_workers.peer import Peer

__all__ = ["Share"]

_GLANCE_SECONDS = 0.5


class Share:
    """The throttles of one batch. They are set at its claim and at each renewal of its lease, in the same transaction.

    So after a batch has begun or ended elsewhere, the sum is wrong for a quarter of a lease at most.
    """

    def __init__(self, peer: Peer) -> None:
        """Begin with all that the destination may get."""
        self._bytes = peer.bytes_per_second
        self._instances = peer.instances_per_minute / 60
        self.bytes = Throttle(self._bytes) if self._bytes is not None else None
        self.instances = Throttle(self._instances) if self._instances else None

    @property
    def is_limited(self) -> bool:
        """Whether there is anything to share."""
        return self.bytes is not None or self.instances is not None

    def renew(self, tx: Transaction, ticket: LeaseTicket, ttl: float) -> None:
        """Renew the lease, and take the share that is ours now. Raises LeaseLost."""
        renew(tx, ticket, ttl)
        self.settle(tx, ticket)

    def settle(self, tx: Transaction, ticket: LeaseTicket) -> None:
        """Take the share that is ours now."""
        if not self.is_limited:
            return
        n = max(1, live_leases(tx.conn, ticket.destination_id))
        if self.bytes is not None and self._bytes is not None:
            self.bytes.rate = self._bytes / n
        if self.instances is not None:
            self.instances.rate = self._instances / n

    def await_instance(self, must_stop: Callable[[], bool], mark: Callable[[], object]) -> None:
        """Wait until another instance may go, or the batch must stop; ``mark`` is called while we wait."""
        if self.instances is None:
            return
        while (seconds := self.instances.wait) and not must_stop():
            time.sleep(min(seconds, _GLANCE_SECONDS))
            mark()
        self.instances.take(1)
