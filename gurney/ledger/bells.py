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


_PLACE = (
    Bell.destination_id == bindparam("its_destination_id"),
    Bell.spool_id == bindparam("its_spool_id"),
    Bell.lane == bindparam("its_lane"),
)
_LOOK = select(Bell.lane).where(*_PLACE)
_TAKE = (
    update(Bell)
    .where(*_PLACE)
    .where(or_(Bell.rung_at.is_(None), Bell.rung_at <= bindparam("before"), Bell.rung_at > bindparam("now")))
    .values(rung_at=bindparam("now"))
)


def claim_ring(tx: Transaction, destination_id: int, spool_id: int, lane: str) -> bool:
    """Take the right to ring; false while somebody's ring is young and unanswered. Ring after the commit."""
    place = {"destination_id": destination_id, "spool_id": spool_id, "lane": lane}
    which = {f"its_{name}": value for name, value in place.items()}
    if tx.conn.execute(_TAKE, {**which, "now": tx.now, "before": tx.now - RING_AGAIN}).rowcount:
        return True
    if tx.conn.execute(_LOOK, which).one_or_none() is not None:
        return False
    upsert = tx.upsert(Bell)
    # Not rowcount: of an INSERT, PostgreSQL's driver does not tell it.
    added = upsert.values(**place, rung_at=tx.now).on_conflict_do_nothing().returning(Bell.lane)
    return tx.conn.scalar(added) is not None


def answer(tx: Transaction, destination_id: int, spool_id: int) -> None:
    """Note that a worker has come, so that the next ring goes out at once."""
    tx.conn.execute(_ANSWER, {"destination": destination_id, "spool": spool_id})
