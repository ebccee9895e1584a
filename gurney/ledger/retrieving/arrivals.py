"""What arrives settles what was expected, by its UIDs: in the transaction that makes it ours, whoever brought it.

Move Originator elements (PS3.4 C.4.2.3) are optional and often wrong, so they are not asked for. Whatever open
retrieval names the instance has it; one whose source could not name its instances takes whatever is of its study.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from gurney.ledger import sendable
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.forwarding import Bell, Content, Forwarding
from gurney.ledger.models import Destination, Instance, Retrieval, Wanted
from gurney.ledger.retrieving.requests import ring_for
from gurney.transfer.retrieving import Listing, RetrievalState, WantedState
from gurney.transfer.routing import RoutingDecision, Send
from gurney.transfer.states import Priority, Routing

__all__ = ["Arrived", "settle_arrivals"]


@dataclass(frozen=True, slots=True)
class Arrived:
    """One instance that has just become ours, by its UIDs."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str


def settle_arrivals(tx: Transaction, arrivals: Sequence[Arrived], actor: str) -> list[Bell]:
    """Settle what open retrievals expect of these, send it on where they say so, and return whom to ring.

    Each must be in the ledger already, by this transaction or an earlier one.
    """
    studies = sorted({one.study_instance_uid for one in arrivals})
    concerned = tx.conn.execute(
        select(Retrieval.__table__, Destination.name.label("source"))
        .join(Destination, Destination.id == Retrieval.source_id)
        .where(
            Retrieval.study_instance_uid.in_(studies),
            Retrieval.direct_to == "",
            Retrieval.state <= int(RetrievalState.INCOMPLETE),
        )
        .order_by(Retrieval.id)
        .with_for_update(of=Retrieval)
    ).all()
    if not concerned:
        return []
    instances = _newest(tx.conn, [one.sop_instance_uid for one in arrivals])
    forwarding = Forwarding(tx, actor)
    rung: list[Bell] = []
    for row in concerned:
        own = [one for one in arrivals if _is_of(row, one) and one.sop_instance_uid in instances]
        new = _settle(tx, row, own, instances)
        if not new:
            continue
        _send_on(tx, row, [instances[uid] for uid in new], forwarding)
        rung += _note(tx, row, len(new))
    return [*forwarding.close(), *rung]


def _is_of(row: AnyRow, one: Arrived) -> bool:
    return (
        one.study_instance_uid == row.study_instance_uid
        and row.series_instance_uid in ("", one.series_instance_uid)
        and row.sop_instance_uid in ("", one.sop_instance_uid)
    )


_NEWEST = (
    select(Instance.__table__)
    .where(Instance.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .order_by(Instance.version)
)


def _newest(conn: Connection, sop_instance_uids: Iterable[str]) -> dict[str, AnyRow]:
    return {row.sop_instance_uid: row for row in conn.execute(_NEWEST, {"uids": sorted(set(sop_instance_uids))})}


def _settle(tx: Transaction, row: AnyRow, own: Sequence[Arrived], instances: Mapping[str, AnyRow]) -> list[str]:
    """Mark what came as arrived, once; return the UIDs of which this is news to the retrieval."""
    values = [
        {
            "retrieval_id": row.id,
            "sop_instance_uid": uid,
            "series_instance_uid": one.series_instance_uid,
            "sop_class_uid": instances[uid].sop_class_uid,
            # Where the list was never asked for yet, it may name this one still.
            "named": False,
            "state": int(WantedState.ARRIVED),
            "instance_id": instances[uid].id,
            "settled_at": tx.now,
        }
        for uid, one in {one.sop_instance_uid: one for one in own}.items()
    ]
    if not values:
        return []
    upsert = tx.upsert(Wanted)
    waiting = [int(WantedState.EXPECTED), int(WantedState.MISSING)]
    changed = tx.conn.scalars(
        upsert.values(values)
        .on_conflict_do_update(
            index_elements=[Wanted.retrieval_id, Wanted.sop_instance_uid],
            set_={"state": int(WantedState.ARRIVED), "instance_id": upsert.excluded.instance_id, "settled_at": tx.now},
            where=Wanted.state.in_(waiting),
        )
        .returning(Wanted.sop_instance_uid)
    )
    return sorted(changed)


def _send_on(tx: Transaction, row: AnyRow, instances: Sequence[AnyRow], forwarding: Forwarding) -> None:
    """Add an item for each destination that the request names; what one has had before is not sent again."""
    destinations: list[str] = json.loads(row.forward_to)
    if not destinations:
        return
    sends = tuple(Send(name, "", "immediately", Priority(row.priority)) for name in destinations)
    decision = RoutingDecision(Routing.ROUTED, sends, frozenset(), frozenset(), ())
    files = sendable.secure(tx, [one.id for one in instances])
    for one in instances:
        if one.id not in files:
            continue
        file = files[one.id][-1]
        forwarding.add(
            decision,
            Content(one.id, file.file_id, one.series_id, one.study_id),
            study_instance_uid=row.study_instance_uid,
            spool_id=file.spool_id,
            size=one.size,
        )


_LEFT = select(Wanted.id).where(
    Wanted.retrieval_id == bindparam("retrieval"),
    Wanted.state.in_([int(WantedState.EXPECTED), int(WantedState.MISSING)]),
)


def _note(tx: Transaction, row: AnyRow, n: int) -> tuple[Bell, ...]:
    """Count what came. Where that was the last, nobody waits out the grace: a worker looks at once."""
    values: dict[str, object] = {"arrived": Retrieval.arrived + n, "last_arrival_at": tx.now}
    at_rest = row.state != RetrievalState.RUNNING
    whole = at_rest and row.listing == Listing.TRUSTED and tx.conn.scalar(_LEFT.limit(1), {"retrieval": row.id}) is None
    if whole:
        values["due_at"] = tx.now
    tx.conn.execute(update(Retrieval).where(Retrieval.id == row.id).values(values))
    return ring_for(tx, row.source_id, row.source) if whole else ()
