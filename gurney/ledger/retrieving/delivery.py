"""The folder that a retrieval is for: what has arrived and is not in it yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, func, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import File, Wanted
from gurney.ledger.models.predicates import can_be_sent
from gurney.ledger.retrieving.claims import RetrievalTicket, hold_fast
from gurney.transfer.retrieving import WantedState

__all__ = ["Undelivered", "deliver", "has_undelivered", "undelivered"]


class Undelivered(NamedTuple):
    """An instance that has arrived and is not in the folder yet, and where in the spool it lies."""

    wanted_id: int
    series_instance_uid: str
    sop_instance_uid: str
    spool_path: str


_ARRIVED = (
    Wanted.retrieval_id == bindparam("retrieval"),
    Wanted.state == int(WantedState.ARRIVED),
    Wanted.instance_id.is_not(None),
)
_UNDELIVERED = (
    select(Wanted.id, Wanted.series_instance_uid, Wanted.sop_instance_uid, func.max(File.spool_path))
    .join(File, File.instance_id == Wanted.instance_id)
    .where(*_ARRIVED, File.spool_id == bindparam("spool"), File.spool_path != "", can_be_sent())
    .group_by(Wanted.id, Wanted.series_instance_uid, Wanted.sop_instance_uid)
    .order_by(Wanted.id)
    .limit(bindparam("limit"))
)
_ANY = select(Wanted.id).where(*_ARRIVED).limit(1)


def undelivered(conn: Connection, retrieval_id: int, spool_id: int, limit: int) -> list[Undelivered]:
    """Return what has arrived in a spool and is not in the retrieval's folder yet."""
    rows = conn.execute(_UNDELIVERED, {"retrieval": retrieval_id, "spool": spool_id, "limit": limit})
    return [Undelivered(*row) for row in rows]


def has_undelivered(conn: Connection, retrieval_id: int) -> bool:
    """Tell whether anything has arrived that is not in the retrieval's folder yet."""
    return conn.scalar(_ANY, {"retrieval": retrieval_id}) is not None


def deliver(tx: Transaction, ticket: RetrievalTicket, wanted_ids: Collection[int]) -> None:
    """Note what is in the folder, safe on its disk."""
    hold_fast(tx, ticket)
    tx.conn.execute(
        update(Wanted)
        .where(Wanted.id.in_(wanted_ids), Wanted.state == int(WantedState.ARRIVED))
        .values(state=int(WantedState.DELIVERED), settled_at=tx.now)
    )
