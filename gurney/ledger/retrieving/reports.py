"""What the ledger knows of retrievals, as plain data for people and scripts."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, and_, func, select

from gurney.ledger.database import AnyRow
from gurney.ledger.models import Destination, Retrieval, RetrieveGate, Wanted
from gurney.ledger.retrieving.expectations import is_wanting
from gurney.ledger.retrieving.gates import ITSELF, TO_US
from gurney.transfer.retrieving import Listing, RetrievalState

__all__ = ["arrived_uids", "gate_states", "list_retrievals", "retrieval_report", "standing"]

_ROWS = select(Retrieval.__table__, Destination.name.label("source")).join(
    Destination, Destination.id == Retrieval.source_id
)


def list_retrievals(
    conn: Connection,
    *,
    source: str = "",
    study_instance_uid: str = "",
    state: RetrievalState | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[dict[str, Any]]:
    """Return retrievals, the newest first."""
    wanted = [
        *([Destination.name == source] if source else []),
        *([Retrieval.study_instance_uid == study_instance_uid] if study_instance_uid else []),
        *([Retrieval.state == int(state)] if state is not None else []),
        *([Retrieval.id < before_id] if before_id is not None else []),
    ]
    rows = conn.execute(_ROWS.where(and_(True, *wanted)).order_by(Retrieval.id.desc()).limit(limit))
    return [_report(row) for row in rows]


def retrieval_report(conn: Connection, retrieval_id: int, *, limit: int = 1000) -> dict[str, Any] | None:
    """Return one retrieval, with what is missing of it, at most ``limit``; None where there is none of that id."""
    row = conn.execute(_ROWS.where(Retrieval.id == retrieval_id)).first()
    if row is None:
        return None
    missing = and_(Wanted.retrieval_id == retrieval_id, Wanted.named, is_wanting())
    found = conn.execute(
        select(Wanted.series_instance_uid, Wanted.sop_instance_uid).where(missing).order_by(Wanted.id).limit(limit)
    )
    return _report(row) | {
        "missing": conn.scalar(select(func.count()).select_from(Wanted).where(missing)),
        "missing_instances": [
            {"series_instance_uid": one.series_instance_uid, "sop_instance_uid": one.sop_instance_uid} for one in found
        ],
    }


def arrived_uids(conn: Connection, retrieval_id: int) -> list[str]:
    """Return the SOP Instance UIDs of what a retrieval has brought to us."""
    return list(
        conn.scalars(
            select(Wanted.sop_instance_uid)
            .where(Wanted.retrieval_id == retrieval_id, Wanted.instance_id.is_not(None))
            .order_by(Wanted.id)
        )
    )


def gate_states(conn: Connection) -> dict[str, dict[str, dict[str, str]]]:
    """Return, by source and move destination, which ways are not open, and why; "itself" is the source, "us" are we."""
    shown: dict[str, dict[str, dict[str, str]]] = {}
    rows = conn.execute(
        select(RetrieveGate.__table__, Destination.name)
        .join(Destination, Destination.id == RetrieveGate.source_id)
        .where((RetrieveGate.breaker != "closed") | (RetrieveGate.hold_reason != ""))
        .order_by(Destination.name, RetrieveGate.toward)
    )
    for row in rows:
        way = {ITSELF: "itself", TO_US: "us"}.get(row.toward, row.toward)
        state = "held" if row.hold_reason else row.breaker
        shown.setdefault(row.name, {})[way] = {"state": state, "why": row.hold_reason or row.last_error}
    return shown


def standing(conn: Connection) -> dict[str, dict[str, Any]]:
    """Return, by source, how many retrievals are open, by state, and which of its ways are not open."""
    told: dict[str, dict[str, Any]] = {}
    rows = conn.execute(
        select(Destination.name, Retrieval.state, func.count())
        .join(Destination, Destination.id == Retrieval.source_id)
        .where(Retrieval.state <= int(RetrievalState.INCOMPLETE))
        .group_by(Destination.name, Retrieval.state)
        .order_by(Destination.name, Retrieval.state)
    )
    for name, state, n in rows:
        told.setdefault(name, {"open": {}, "ways": {}})["open"][RetrievalState(state).name.lower()] = n
    for name, ways in gate_states(conn).items():
        told.setdefault(name, {"open": {}, "ways": {}})["ways"] = ways
    return told


def _report(row: AnyRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "study_instance_uid": row.study_instance_uid,
        "series_instance_uid": row.series_instance_uid,
        "sop_instance_uid": row.sop_instance_uid,
        "state": RetrievalState(row.state).name.lower(),
        "priority": row.priority,
        "direct_to": row.direct_to,
        "forward_to": json.loads(row.forward_to),
        "folder": row.folder,
        "origin": row.origin,
        "requested_by": row.requested_by,
        "listing": Listing(row.listing).name.lower(),
        "said": row.said,
        "expected": row.expected,
        "arrived": row.arrived,
        "rounds": row.rounds,
        "words": row.words,
        "created_at": row.created_at,
        "due_at": row.due_at,
        "settled_at": row.settled_at,
    }
