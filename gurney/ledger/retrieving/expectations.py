"""What a retrieval expects: the instances that its source named, which of them are wanting, which a third party has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, bindparam, func, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Retrieval, Wanted
from gurney.ledger.retrieving.claims import RetrievalTicket, hold_fast
from gurney.transfer.retrieving import Listing, WantedState

__all__ = ["Named", "expect", "is_wanting", "listed", "series_sizes", "verify", "wanting"]


class Named(NamedTuple):
    """An instance that the source named."""

    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""


def is_wanting() -> ColumnElement[bool]:
    """Match what is not here."""
    return Wanted.state.in_([int(WantedState.EXPECTED), int(WantedState.MISSING)])


def expect(tx: Transaction, ticket: RetrievalTicket, named: Sequence[Named]) -> None:
    """Enter instances that the source named; what has come of itself before is named from now on, and here already."""
    hold_fast(tx, ticket)
    if not named:
        return
    upsert = tx.upsert(Wanted)
    rows = [
        {
            "retrieval_id": ticket.id,
            "sop_instance_uid": one.sop_instance_uid,
            "series_instance_uid": one.series_instance_uid,
            "sop_class_uid": one.sop_class_uid,
        }
        for one in named
    ]
    defaults = {"named": True, "state": int(WantedState.EXPECTED)}
    tx.conn.execute(
        upsert.values([row | defaults for row in rows]).on_conflict_do_update(
            index_elements=[Wanted.retrieval_id, Wanted.sop_instance_uid], set_={"named": True}
        )
    )


def listed(
    tx: Transaction, ticket: RetrievalTicket, listing: Listing, *, words: str, said: int | None, nearline: bool
) -> None:
    """Note what the source's list is worth, once all that it names is entered."""
    hold_fast(tx, ticket)
    expected = tx.conn.scalar(
        select(func.count()).select_from(Wanted).where(Wanted.retrieval_id == ticket.id, Wanted.named)
    )
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id == ticket.id)
        .values(listing=int(listing), said=said, nearline=nearline, expected=expected, words=words[:400])
    )


_WANTING = (
    select(Wanted.series_instance_uid, Wanted.sop_instance_uid, Wanted.sop_class_uid)
    .where(
        Wanted.retrieval_id == bindparam("retrieval"),
        is_wanting(),
    )
    .order_by(Wanted.series_instance_uid, Wanted.id)
)


def wanting(conn: Connection, retrieval_id: int) -> list[Named]:
    """Return what the source named and what is not here, by series."""
    return [Named(*row) for row in conn.execute(_WANTING, {"retrieval": retrieval_id})]


_SIZES = (
    select(Wanted.series_instance_uid, func.count())
    .where(Wanted.retrieval_id == bindparam("retrieval"), Wanted.named)
    .group_by(Wanted.series_instance_uid)
)


def series_sizes(conn: Connection, retrieval_id: int) -> dict[str, int]:
    """Return how many instances the source named of each series."""
    return dict(conn.execute(_SIZES, {"retrieval": retrieval_id}).all())


def verify(tx: Transaction, ticket: RetrievalTicket, sop_instance_uids: Collection[str]) -> int:
    """Note which of what was named the third party has, as it says itself; return how many that is news of."""
    row = hold_fast(tx, ticket)
    changed = tx.conn.execute(
        update(Wanted)
        .where(
            Wanted.retrieval_id == ticket.id,
            Wanted.sop_instance_uid.in_(sop_instance_uids),
            Wanted.named,
            is_wanting(),
        )
        .values(state=int(WantedState.ARRIVED), settled_at=tx.now)
    ).rowcount
    if changed:
        tx.conn.execute(
            update(Retrieval)
            .where(Retrieval.id == ticket.id)
            .values(arrived=row.arrived + changed, last_arrival_at=tx.now)
        )
    return changed
