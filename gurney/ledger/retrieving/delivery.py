"""The folder that a retrieval is for: what has arrived and is not in it yet."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, select, type_coerce, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Wanted
from gurney.ledger.retrieving.claims import RetrievalTicket, hold_fast
from gurney.transfer.retrieving import WantedState

__all__ = ["Undelivered", "deliver", "undelivered"]


class Undelivered(NamedTuple):
    """An instance that has arrived and is not in the folder yet."""

    wanted_id: int
    series_instance_uid: str
    sop_instance_uid: str
    instance_id: int


_UNDELIVERED = (
    select(
        Wanted.id,
        Wanted.series_instance_uid,
        Wanted.sop_instance_uid,
        # What has arrived at our own door is an instance; only what a third party confirms is none.
        type_coerce(Wanted.instance_id, BigInteger).label("instance_id"),
    )
    .where(
        Wanted.retrieval_id == bindparam("retrieval"),
        Wanted.state == int(WantedState.ARRIVED),
        Wanted.instance_id.is_not(None),
    )
    .order_by(Wanted.id)
    .limit(bindparam("limit"))
)


def undelivered(conn: Connection, retrieval_id: int, limit: int) -> list[Undelivered]:
    """Return what has arrived and is not in the retrieval's folder yet."""
    rows = conn.execute(_UNDELIVERED, {"retrieval": retrieval_id, "limit": limit})
    return [Undelivered(*row) for row in rows.tuples()]


def deliver(tx: Transaction, ticket: RetrievalTicket, wanted_ids: Collection[int]) -> None:
    """Note what is in the folder, safe on its disk."""
    hold_fast(tx, ticket)
    tx.conn.execute(
        update(Wanted)
        .where(Wanted.id.in_(wanted_ids), Wanted.state == int(WantedState.ARRIVED))
        .values(state=int(WantedState.DELIVERED), settled_at=tx.now)
    )
