"""What people and scripts ask of the ledger: destinations, studies, transfers, one item's trail.

Counts come from :mod:`gurney.ledger.tally`, never from counting items. Every function takes a reading connection and
returns plain data that can be printed as JSON.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, exists, func, select, union_all
from sqlalchemy.orm import aliased

from gurney.ledger import destinations
from gurney.ledger.models import (
    Attempt,
    Conflict,
    Count,
    CountDelta,
    Destination,
    File,
    Instance,
    Item,
    Lease,
    LedgerMeta,
    Series,
    SourceCount,
    Spool,
    Study,
    Transfer,
    Worker,
)
from gurney.ledger.models.predicates import file_is, is_live, is_provable, item_is
from gurney.ledger.rerouting import UnroutedFilter, count_unrouted
from gurney.ledger.selection import Selection
from gurney.ledger.tally import WHOLE
from gurney.transfer import breaker
from gurney.transfer.states import FileState, ItemState, Outcome, Priority, Proof, Routing

__all__ = [
    "busy_since",
    "destination_names",
    "destination_states",
    "is_draining",
    "item_trail",
    "list_transfers",
    "selected_items",
    "source_states",
    "study_report",
    "transfer_report",
    "worker_states",
]

Report = dict[str, Any]

_IN_TROUBLE = (ItemState.RETRY, ItemState.FAILED, ItemState.DEAD)
_newer = aliased(Instance)
# Another data set of the same SOP Instance UID was let in later, in its place.
_SUPERSEDED = exists().where(_newer.sop_instance_uid == Instance.sop_instance_uid, _newer.version > Instance.version)


def _no_items() -> dict[str, int]:
    return {state.name.lower(): 0 for state in ItemState}


def _counts(conn: Connection, *, transfer_ids: list[int]) -> dict[tuple[int, int], dict[str, int]]:
    """Return counts by (destination, transfer): what is folded plus what is not yet."""
    both = union_all(
        *(
            select(table.destination_id, table.transfer_id, table.state, table.n).where(
                table.transfer_id.in_(transfer_ids)
            )
            for table in (Count, CountDelta)
        )
    ).subquery()
    counted: dict[tuple[int, int], dict[str, int]] = defaultdict(_no_items)
    for row in conn.execute(
        select(both.c.destination_id, both.c.transfer_id, both.c.state, func.sum(both.c.n).label("n")).group_by(
            both.c.destination_id, both.c.transfer_id, both.c.state
        )
    ):
        counted[row.destination_id, row.transfer_id][ItemState(row.state).name.lower()] = int(row.n)
    return counted


def _counts_by_destination(conn: Connection) -> dict[int, dict[str, int]]:
    both = union_all(
        select(Count.destination_id, Count.state, Count.n).where(Count.transfer_id == WHOLE),
        select(CountDelta.destination_id, CountDelta.state, CountDelta.n),
    ).subquery()
    counted: dict[int, dict[str, int]] = defaultdict(_no_items)
    for row in conn.execute(
        select(both.c.destination_id, both.c.state, func.sum(both.c.n).label("n")).group_by(
            both.c.destination_id, both.c.state
        )
    ):
        counted[row.destination_id][ItemState(row.state).name.lower()] = int(row.n)
    return counted


def destination_names(conn: Connection, *, retired: bool = True) -> list[str]:
    """Return the destinations that the ledger knows; ``retired``: with those that are configured no longer."""
    query = select(Destination.name).order_by(Destination.name)
    return list(conn.scalars(query if retired else query.where(Destination.retired.is_(False))).all())


def destination_states(conn: Connection, now: float) -> dict[str, Report]:
    """Describe every destination: its state in words, its queue, the age of its oldest open item, its last error."""
    counts = _counts_by_destination(conn)
    live = {
        row.destination_id: row.n
        for row in conn.execute(
            select(Lease.destination_id, func.count().label("n"))
            .where(is_live(), Lease.until > now)
            .group_by(Lease.destination_id)
        )
    }
    states: dict[str, Report] = {}
    for row in conn.execute(select(Destination.__table__).order_by(Destination.name)).all():
        gate = destinations.gate_of(row)
        items = counts.get(row.id) or _no_items()
        oldest = _oldest(conn, row.id) if items["ready"] or items["running"] or items["retry"] else None
        states[row.name] = {
            "state": breaker.shown(gate).value,
            **items,
            "associations": live.get(row.id, 0),
            "max_associations": row.max_associations,
            "oldest_seconds": None if oldest is None else max(0.0, round(now - oldest, 1)),
            "last_error": row.last_error,
            "last_error_seconds": None if row.last_error_at is None else round(now - row.last_error_at, 1),
            "last_success_seconds": None if gate.last_success_at is None else round(now - gate.last_success_at, 1),
            "hold_reason": row.hold_reason,
            "paused_by": row.paused_by,
            "next_probe_seconds": None if gate.probe_at is None else max(0.0, round(gate.probe_at - now, 1)),
            "retired": row.retired,
        }
    return states


def busy_since(conn: Connection) -> dict[str, float]:
    """Return the destinations of which every association is in use, and since when the oldest of them is."""
    rows = conn.execute(
        select(Destination.name, func.min(Lease.acquired_at))
        .join(Lease, Lease.destination_id == Destination.id)
        .where(is_live())
        .group_by(Destination.id, Destination.name, Destination.effective_concurrency)
        .having(func.count() >= Destination.effective_concurrency)
    )
    return {row[0]: row[1] for row in rows}


def _oldest(conn: Connection, destination_id: int) -> float | None:
    """Tell since when an open item has waited: the oldest of those that stand first, and of all that wait otherwise.

    To look at every READY item would take seconds in a long queue; the first of each priority belong to its oldest
    study.
    """
    first = [
        conn.scalar(
            select(Item.created_at)
            .where(Item.destination_id == destination_id, Item.spool_id == spool_id, item_is(ItemState.READY))
            .where(Item.priority == int(priority))
            .order_by(Item.transfer_id, Item.id)
            .limit(1)
        )
        for spool_id in conn.scalars(select(Spool.id)).all()
        for priority in Priority
    ]
    retry = conn.scalar(
        select(func.min(Item.created_at)).where(Item.destination_id == destination_id, item_is(ItemState.RETRY))
    )
    running = conn.scalar(
        select(func.min(Item.created_at))
        .join(Lease, Lease.id == Item.lease_id)
        .where(Lease.destination_id == destination_id, is_live(), item_is(ItemState.RUNNING))
    )
    return min((since for since in [*first, retry, running] if since is not None), default=None)


def source_states(conn: Connection) -> dict[str, dict[str, int]]:
    """Return each source's counters: accepted, duplicate, conflict, no_route, filtered, quarantined and so on.

    ``in_quarantine`` and ``in_error`` are no counters: so many files are refused, and of so many instances a rule has
    failed, at this moment.
    """
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for row in conn.execute(select(SourceCount.source, SourceCount.what, SourceCount.n)):
        found[row.source][row.what] = row.n
    waiting = select(File.source, func.count().label("n")).where(file_is(FileState.QUARANTINED)).group_by(File.source)
    for source, n in conn.execute(waiting):
        found[source]["in_quarantine"] = n
    for source, left in count_unrouted(conn, UnroutedFilter((Routing.ERROR,))).items():
        found[source]["in_error"] = left["error"]
    return dict(found)


def worker_states(conn: Connection, now: float) -> dict[str, Report]:
    """Describe every process that has announced itself, with the seconds since it was last heard of."""
    return {
        row.name: {
            "kind": row.kind,
            "host": row.host,
            "slots": row.slots,
            "spools": row.spools.split(",") if row.spools else [],
            "folders": json.loads(row.folders),
            "seen_seconds": round(now - row.seen_at, 1),
        }
        for row in conn.execute(select(Worker.__table__).order_by(Worker.name))
    }


def is_draining(conn: Connection) -> bool:
    """Tell whether every worker has been asked to stop after the instance that it is sending."""
    return bool(conn.scalar(select(LedgerMeta.draining)))


def study_report(conn: Connection, study_instance_uid: str) -> Report | None:
    """Describe a study: its instances, where they stand at each destination, what is wrong. None: not known.

    An instance is a SOP Instance UID, however many data sets came under it; each of these has items of its own.
    """
    study = conn.execute(select(Study.id).where(Study.study_instance_uid == study_instance_uid)).one_or_none()
    if study is None:
        return None
    transfers = conn.execute(
        select(Transfer.id, Transfer.generation, Destination.id.label("destination_id"), Destination.name)
        .join(Destination, Destination.id == Transfer.destination_id)
        .where(Transfer.study_id == study.id)
        .order_by(Destination.name, Transfer.generation)
    ).all()
    counts = _counts(conn, transfer_ids=[row.id for row in transfers])
    reached: dict[str, dict[str, int]] = {}
    for row in transfers:
        # The newest generation speaks for the destination; older ones are history.
        items = counts.get((row.destination_id, row.id)) or _no_items()
        reached[row.name] = items
    newest = {row.id: row.name for row in {row.name: row for row in transfers}.values()}
    series = conn.execute(
        select(Series.series_instance_uid, Series.modality, func.count(Instance.sop_instance_uid.distinct()).label("n"))
        .join(Instance, Instance.series_id == Series.id)
        .where(Series.study_id == study.id)
        .group_by(Series.id, Series.series_instance_uid, Series.modality)
        .order_by(Series.id)
    ).all()
    instances = conn.scalar(
        select(func.count(Instance.sop_instance_uid.distinct())).where(Instance.study_id == study.id)
    )
    conflicts = conn.scalar(
        select(func.count())
        .select_from(Conflict)
        .join(Instance, Instance.id == Conflict.instance_id)
        .where(Instance.study_id == study.id, Conflict.state == "open")
    )
    unrouted = conn.execute(
        select(Instance.routing, Instance.routing_detail, func.count().label("n"))
        .where(Instance.study_id == study.id, Instance.routing != int(Routing.ROUTED), ~_SUPERSEDED)
        .group_by(Instance.routing, Instance.routing_detail)
        .order_by(Instance.routing, Instance.routing_detail)
    ).all()
    return {
        "study_instance_uid": study_instance_uid,
        "instances": instances or 0,
        "series": [
            {"series_instance_uid": row.series_instance_uid, "modality": row.modality, "instances": row.n}
            for row in series
        ],
        "came_by": _came_by(conn, study.id),
        "open_conflicts": conflicts or 0,
        "not_routed": [
            {"routing": Routing(row.routing).name.lower(), "why": row.routing_detail, "instances": row.n}
            for row in unrouted
        ],
        "destinations": reached,
        "proofs": _proofs(conn, newest),
        "reasons": _reasons(conn, newest),
        "transfers": [{"id": row.id, "destination": row.name, "generation": row.generation} for row in transfers],
    }


def _came_by(conn: Connection, study_id: int) -> list[Report]:
    """Say by which doors a study came, and who brought it where it came over the network."""
    who = (File.door, File.source, File.calling_ae_title, File.called_ae_title, File.peer_address)
    rows = conn.execute(
        select(*who, func.count(Instance.sop_instance_uid.distinct()).label("n"))
        .select_from(File)
        .join(Instance, Instance.id == File.instance_id)
        .where(Instance.study_id == study_id)
        .group_by(*who)
        .order_by(func.min(File.id))
    )
    return [
        {
            "door": row.door,
            "source": row.source,
            "calling_ae_title": row.calling_ae_title,
            "called_ae_title": row.called_ae_title,
            "address": row.peer_address,
            "instances": row.n,
        }
        for row in rows
    ]


def _proofs(conn: Connection, transfers: dict[int, str]) -> dict[str, dict[str, int]]:
    """Count by proof what is stored, for each transfer's destination that was asked for some."""
    rows = conn.execute(
        select(Item.transfer_id, Item.proof, func.count().label("n"))
        .where(Item.transfer_id.in_(transfers), is_provable())
        .group_by(Item.transfer_id, Item.proof)
        .order_by(Item.transfer_id, Item.proof)
    ).all()
    asked = {row.transfer_id for row in rows if row.proof != Proof.NONE}
    told: dict[str, dict[str, int]] = defaultdict(dict)
    for row in rows:
        if row.transfer_id in asked:
            told[transfers[row.transfer_id]][Proof(row.proof).name.lower()] = row.n
    return dict(told)


def _reasons(conn: Connection, transfers: dict[int, str]) -> dict[str, Report]:
    """Say for each transfer's destination why items are not stored there: in the words that most of them have."""
    rows = conn.execute(
        select(Item.transfer_id, Item.last_words, func.count().label("n"))
        .where(Item.transfer_id.in_(transfers), item_is(*_IN_TROUBLE), Item.last_words != "")
        .group_by(Item.transfer_id, Item.last_words)
        .order_by(func.count(), Item.last_words)
    )
    return {transfers[row.transfer_id]: {"words": row.last_words, "items": row.n} for row in rows}


def list_transfers(
    conn: Connection,
    *,
    destination: str = "",
    study_instance_uid: str = "",
    state: ItemState | None = None,
    before_id: int | None = None,
    limit: int = 50,
) -> list[Report]:
    """List transfers, newest first; ``before_id`` continues a list. ``state`` keeps those with an item in it."""
    query = (
        select(
            Transfer.id,
            Transfer.study_instance_uid,
            Transfer.origin,
            Transfer.generation,
            Transfer.requested_by,
            Transfer.created_at,
            Transfer.last_arrival_at,
            Transfer.quiet_since,
            Destination.id.label("destination_id"),
            Destination.name,
        )
        .join(Destination, Destination.id == Transfer.destination_id)
        .order_by(Transfer.id.desc())
        .limit(limit)
    )
    if destination:
        query = query.where(Destination.name == destination)
    if study_instance_uid:
        query = query.where(Transfer.study_instance_uid == study_instance_uid)
    if before_id is not None:
        query = query.where(Transfer.id < before_id)
    if state is not None:
        in_state = select(Item.id).where(Item.transfer_id == Transfer.id, item_is(state)).exists()
        query = query.where(in_state)
    rows = conn.execute(query).all()
    counts = _counts(conn, transfer_ids=[row.id for row in rows])
    return [
        {
            "id": row.id,
            "study_instance_uid": row.study_instance_uid,
            "destination": row.name,
            "origin": row.origin,
            "generation": row.generation,
            "requested_by": row.requested_by,
            "created_at": row.created_at,
            "last_arrival_at": row.last_arrival_at,
            "quiet": row.quiet_since is not None,
            **(counts.get((row.destination_id, row.id)) or _no_items()),
        }
        for row in rows
    ]


def transfer_report(
    conn: Connection,
    transfer_id: int,
    *,
    states: Sequence[ItemState] = (),
    limit: int = 1_000,
    after_id: int = 0,
) -> Report | None:
    """Describe one transfer with its items, each with its state, its last status and the reason in words.

    ``states`` keeps the items that are in one of them; ``after_id`` continues a list. None: not known.
    """
    head = conn.execute(
        select(Transfer.study_instance_uid, Transfer.generation, Transfer.origin, Destination.name)
        .join(Destination, Destination.id == Transfer.destination_id)
        .where(Transfer.id == transfer_id)
    ).one_or_none()
    if head is None:
        return None
    counted = list(_counts(conn, transfer_ids=[transfer_id]).values())
    rows = conn.execute(
        select(
            Item.id,
            Item.state,
            Item.proof,
            Item.priority,
            Item.attempts,
            Item.due_at,
            Item.held_for,
            Item.last_status,
            Item.last_words,
            Item.settled_at,
            Instance.sop_instance_uid,
            Instance.sop_class_uid,
            Instance.transfer_syntax_uid,
            Instance.version,
            _SUPERSEDED.label("superseded"),
        )
        .join(Instance, Instance.id == Item.instance_id)
        .where(Item.transfer_id == transfer_id, Item.id > after_id, item_is(*(states or ItemState)))
        .order_by(Item.id)
        .limit(limit)
    ).all()
    return {
        "id": transfer_id,
        "study_instance_uid": head.study_instance_uid,
        "destination": head.name,
        "origin": head.origin,
        "generation": head.generation,
        "counts": counted[0] if counted else _no_items(),
        "items": [
            {
                "id": row.id,
                "sop_instance_uid": row.sop_instance_uid,
                "sop_class_uid": row.sop_class_uid,
                "transfer_syntax_uid": row.transfer_syntax_uid,
                "version": row.version,
                "superseded": bool(row.superseded),
                "state": ItemState(row.state).name.lower(),
                "proof": Proof(row.proof).name.lower(),
                "priority": Priority(row.priority).name.lower(),
                "attempts": row.attempts,
                "due_at": row.due_at,
                "held_for": row.held_for,
                "status": None if row.last_status is None else f"{row.last_status:04X}",
                "words": row.last_words,
                "settled_at": row.settled_at,
            }
            for row in rows
        ],
    }


def item_trail(conn: Connection, item_id: int) -> list[Report]:
    """Return every attempt of one item, oldest first."""
    return [
        {
            "fence": row.fence,
            "lease": row.lease_id,
            "endpoint": row.endpoint,
            "outcome": Outcome(row.outcome).name.lower(),
            "status": None if row.status is None else f"{row.status:04X}",
            "words": row.words,
            "comment": row.comment,
            "bytes": row.bytes_sent,
            "seconds": row.seconds,
            "settled_at": row.settled_at,
        }
        for row in conn.execute(select(Attempt.__table__).where(Attempt.item_id == item_id).order_by(Attempt.fence))
    ]


def selected_items(conn: Connection, selection: Selection, *states: ItemState) -> dict[str, dict[str, int]]:
    """Count what an operation on these states would change, by destination and state, before it does."""
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    for row in conn.execute(
        select(Destination.name, Item.state, func.count().label("n"))
        .join(Destination, Destination.id == Item.destination_id)
        .where(*selection.conditions(*states))
        .group_by(Destination.name, Item.state)
        .order_by(Destination.name, Item.state)
    ):
        counted[row.name][ItemState(row.state).name.lower()] = row.n
    return dict(counted)
