"""Who must be rung, and when: a ring is a hint, so it is given once per few seconds until a claim answers it."""

from __future__ import annotations

from sqlalchemy import bindparam, or_, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Bell

__all__ = ["RING_AGAIN", "answer", "claim_ring"]

# Seconds after which an unanswered ring counts as lost.
RING_AGAIN = 5.0

_ANSWER = (
    update(Bell)
    .where(
        Bell.destination_id == bindparam("destination"), Bell.spool_id == bindparam("spool"), Bell.rung_at.is_not(None)
    )
    .values(rung_at=None)
)


def claim_ring(tx: Transaction, destination_id: int, spool_id: int, lane: str) -> bool:
    """Take the right to ring; false while somebody's ring is young and unanswered. Ring after the commit."""
    place = {"destination_id": destination_id, "spool_id": spool_id, "lane": lane}
    changed = tx.conn.execute(
        update(Bell)
        .filter_by(**place)
        .where(or_(Bell.rung_at.is_(None), Bell.rung_at <= tx.now - RING_AGAIN, Bell.rung_at > tx.now))
        .values(rung_at=tx.now)
    ).rowcount
    if changed:
        return True
    if tx.conn.execute(select(Bell.lane).filter_by(**place)).one_or_none() is not None:
        return False
    upsert = tx.upsert(Bell)
    # Not rowcount: of an INSERT, PostgreSQL's driver does not tell it.
    added = upsert.values(**place, rung_at=tx.now).on_conflict_do_nothing().returning(Bell.lane)
    return tx.conn.scalar(added) is not None


def answer(tx: Transaction, destination_id: int, spool_id: int) -> None:
    """Note that a worker has come, so that the next ring goes out at once."""
    tx.conn.execute(_ANSWER, {"destination": destination_id, "spool": spool_id})
