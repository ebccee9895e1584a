"""What keeps the ledger moving when every message was lost: whom to ring, which leases are dead.

Everything here is due by the ledger's own rows, so it may run twice, late, or after any crash.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, exists, select

from gurney.ledger import batches, bells, destinations, roles
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.leases import expire, is_dead
from gurney.ledger.models import Destination, Lease, Spool
from gurney.ledger.models.predicates import is_live
from gurney.transfer import breaker
from gurney.transfer.breaker import Admit

__all__ = ["RECONCILER", "RECONCILER_SECONDS", "due_bells", "expire_leases", "settle_losses", "unattended_bells"]

RECONCILER: Final = "reconciler"
"""The role of the daemon that does these chores."""
RECONCILER_SECONDS: Final = 15.0
"""For how long it is taken, by everybody: a lease that lasts far longer than one's own would pass for a wrong one."""

_Due = tuple[int, int, str, str]


def due_bells(ledger: Ledger, destination: str = "") -> list[Bell]:
    """Return whom to ring now: who would admit a claim and has due work that nobody was rung for; all, or just one."""
    due = _due(ledger, destination)
    return ledger.transact(_claim_rings, due) if due else []


def unattended_bells(ledger: Ledger, holder: str) -> list[Bell]:
    """Return whom to ring as :func:`due_bells` does, but nobody while there is a reconciler to do it.

    For workers, which must go on when no daemon is left. The role is taken and given back in one transaction: two
    workers never ring for the same, and a daemon that comes does not wait.
    """
    now = ledger.now()
    with ledger.read() as conn:
        if roles.is_held(conn, RECONCILER, now):
            return []
    due = _due(ledger)
    return ledger.transact(_claim_unattended, due, holder) if due else []


def _claim_unattended(tx: Transaction, due: list[_Due], holder: str) -> list[Bell]:
    ticket = roles.assume(tx, RECONCILER, holder, RECONCILER_SECONDS)
    if ticket is None:
        return []
    rung = _claim_rings(tx, due)
    roles.resign(tx, ticket)
    return rung


def _due(ledger: Ledger, destination: str = "") -> list[_Due]:
    now = ledger.now()
    known = select(Destination.__table__).where(Destination.retired.is_(False)).order_by(Destination.id)
    if destination:
        known = known.where(Destination.name == destination)
    with ledger.read() as conn:
        rows = conn.execute(known).all()
        spools = conn.scalars(select(Spool.id)).all()
        return [
            (row.id, spool_id, row.name, lane)
            for row in rows
            if breaker.may_claim(destinations.gate_of(row), now).admit is not Admit.DENIED
            for spool_id in spools
            for lane in _lanes(conn, row.id, spool_id, now)
        ]


def _lanes(conn: Connection, destination_id: int, spool_id: int, now: float) -> list[str]:
    if not batches.has_due_work(conn, destination_id, spool_id, now):
        return []
    return ["stat", "work"] if batches.has_stat_work(conn, destination_id, spool_id) else ["work"]


def _claim_rings(tx: Transaction, due: list[_Due]) -> list[Bell]:
    return [
        Bell(name, spool_id, lane)
        for destination_id, spool_id, name, lane in due
        if bells.claim_ring(tx, destination_id, spool_id, lane)
    ]


def expire_leases(ledger: Ledger) -> int:
    """Take back what dead workers held, at every destination; return how many leases were lost."""
    now = ledger.now()
    with ledger.read() as conn:
        live = conn.execute(select(Lease.destination_id, Lease.acquired_at, Lease.until).where(is_live())).all()
    holders = sorted({row.destination_id for row in live if is_dead(now, row.acquired_at, row.until)})
    return sum(ledger.transact(_expire, destination_id) for destination_id in holders)


def _expire(tx: Transaction, destination_id: int) -> int:
    return settle_losses(tx, destination_id, lambda: expire(tx, destination_id))


def settle_losses(tx: Transaction, destination_id: int, lose: Callable[[], int]) -> int:
    """Let leases of a destination be lost under its lock, and let its gate know; return how many were."""
    row = destinations.lock_by_id(tx, destination_id)
    lost = lose()
    probing = exists().where(Lease.destination_id == destination_id, is_live(), Lease.probe)
    if lost and not tx.conn.scalar(select(probing)):
        # A probe that died with its worker has told nothing.
        destinations.store_gate(tx, row, breaker.on_nothing_learned(destinations.gate_of(row), tx.now))
    return lost
