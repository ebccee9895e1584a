"""Ring for what the ledger says is due: it names a spool by its id, the doorbell by the pool that serves it."""

from __future__ import annotations

from collections.abc import Sequence

from gurney.jobs import Doorbell, Lane
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.spools import known_spools

__all__ = ["Ringer"]


class Ringer:
    """Carry bells to the doorbell; safe to share between threads. A ring that fails is rung again by the reconciler."""

    def __init__(self, ledger: Ledger, doorbell: Doorbell) -> None:
        """Prepare; spools are looked up when first rung for."""
        self._ledger, self._doorbell = ledger, doorbell
        self._pools: dict[int, str] = {}

    def __call__(self, bells: Sequence[Bell]) -> None:
        """Ring for each, after the commit that made it due."""
        if any(bell.spool_id not in self._pools for bell in bells):
            with self._ledger.read() as conn:
                self._pools = {place.id: place.name for place in known_spools(conn)}
        for bell in bells:
            self._doorbell.ring(self._pools[bell.spool_id], Lane(bell.lane), bell.destination)
