"""Instances that went nowhere, or not everywhere: no rule matched, or one failed. When the rules are mended, they are
decided on again.

As at intake the rules are asked before the transaction, by who calls; what they said may hang on what the study has
matched, so the transaction checks that this is still true (:class:`StaleRead`: look again).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, exists, func, literal_column, select, update
from sqlalchemy.orm import aliased

from gurney.ledger import forwarding, sendable, trail
from gurney.ledger.database import Transaction
from gurney.ledger.forwarding import Bell, Content, Forwarding
from gurney.ledger.matching import StudyMatches
from gurney.ledger.models import File, Instance, Spool, Study
from gurney.ledger.models.predicates import can_be_sent
from gurney.transfer.routing import RoutingDecision
from gurney.transfer.states import Routing

__all__ = [
    "AGAIN",
    "UNDECIDED",
    "KnownCopy",
    "Redecided",
    "Rerouted",
    "Unrouted",
    "UnroutedFilter",
    "UnroutedStudy",
    "count_unrouted",
    "newest_instance",
    "route_again",
    "unrouted",
    "unrouted_studies",
]

AGAIN = (Routing.ERROR, Routing.NO_ROUTE, Routing.FILTERED)
"""What may be decided on again. HELD is not: its items wait for an operator."""


UNDECIDED = (Routing.ERROR, Routing.NO_ROUTE, Routing.HELD)
"""What somebody may have to see to: by mending a rule, by writing one, by releasing. FILTERED is as a rule wants it."""


@dataclass(frozen=True, slots=True)
class UnroutedFilter:
    """Which instances are meant; what is left out is not asked for. ``source`` is the door that brought them first."""

    states: Sequence[Routing] = (Routing.ERROR, Routing.NO_ROUTE)
    study_instance_uid: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class KnownCopy:
    """One file of an instance and how it must look: in the spool ``spool``, or where it lies (no ``spool_path``)."""

    path: bytes = field(repr=False)  # may name a patient
    size: int
    mtime_ns: int
    spool: str
    spool_path: str


@dataclass(frozen=True, slots=True)
class Unrouted:
    """An instance to be decided on, the door that brought it first, and the files that can be read, newest first."""

    instance_id: int
    sop_instance_uid: str
    study_instance_uid: str
    routing: Routing
    source: str
    door: str
    calling_ae_title: str
    called_ae_title: str
    peer_address: str
    copies: tuple[KnownCopy, ...]


@dataclass(frozen=True, slots=True)
class UnroutedStudy:
    """How many instances of a study, brought by one door, a rule left so, and why; ``since`` the first of them came."""

    study_instance_uid: str
    source: str
    routing: Routing
    why: str
    instances: int
    since: float


@dataclass(frozen=True, slots=True)
class Redecided:
    """What the rules say of an instance now, and what its study had matched when they were asked."""

    instance_id: int
    decision: RoutingDecision
    study_matched: frozenset[str]


@dataclass(slots=True)
class Rerouted:
    """What became of a group: how each instance stands now, how many items that added, whom to ring."""

    states: dict[int, Routing] = field(default_factory=dict)
    items: int = 0
    bells: list[Bell] = field(default_factory=list)


def count_unrouted(conn: Connection, which: UnroutedFilter) -> dict[str, dict[str, int]]:
    """Say how many instances are meant, by the door that brought them and what the rules had said."""
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    for routing in which.states:
        query = select(File.source, func.count().label("n")).select_from(Instance).join(Study).join(*_first_file())
        for row in conn.execute(query.where(*_conditions(which, routing)).group_by(File.source).order_by(File.source)):
            counted[row.source][routing.name.lower()] = row.n
    return dict(counted)


def unrouted(conn: Connection, which: UnroutedFilter, routing: Routing, after_id: int, limit: int) -> list[Unrouted]:
    """Return the instances of which the rules had said ``routing``, in the order of their ids, behind an id."""
    rows = conn.execute(
        select(Instance.id, Instance.sop_instance_uid, Study.study_instance_uid, File.source, File.door)
        .add_columns(File.calling_ae_title, File.called_ae_title, File.peer_address)
        .join(Study, Study.id == Instance.study_id)
        .join(*_first_file())
        .where(*_conditions(which, routing), Instance.id > after_id)
        .order_by(Instance.id)
        .limit(limit)
    ).all()
    copies = _copies(conn, [row.id for row in rows])
    return [
        Unrouted(
            row.id,
            row.sop_instance_uid,
            row.study_instance_uid,
            routing,
            row.source,
            row.door,
            row.calling_ae_title,
            row.called_ae_title,
            row.peer_address,
            tuple(copies.get(row.id, ())),
        )
        for row in rows
    ]


def unrouted_studies(conn: Connection, which: UnroutedFilter, limit: int) -> list[UnroutedStudy]:
    """Return the studies of which instances are meant, state by state, in each the one that came first before all."""
    found: list[UnroutedStudy] = []
    for routing in which.states:
        keys = (Study.study_instance_uid, File.source, Instance.routing_detail)
        query = (
            select(*keys, func.count().label("n"), func.min(Instance.created_at).label("since"))
            .select_from(Instance)
            .join(Study)
            .join(*_first_file())
            .where(*_conditions(which, routing))
            .group_by(*keys)
            .order_by(func.min(Instance.id))
            .limit(limit - len(found))
        )
        found += [
            UnroutedStudy(row.study_instance_uid, row.source, routing, row.routing_detail, row.n, row.since)
            for row in conn.execute(query)
        ]
    return found


def newest_instance(conn: Connection) -> int:
    """Return the id of the newest instance: what comes later meets today's rules by itself."""
    return conn.scalar(select(func.max(Instance.id))) or 0


def route_again(tx: Transaction, group: Sequence[Redecided], actor: str) -> Rerouted:
    """Write what the rules say now, and add the items that are missing, as an arrival would.

    What has an item at a destination, of any generation, gets no other one. Raises :class:`StaleRead`, having written
    nothing, when a study has matched other rules since they were asked. An instance that somebody else has routed, or
    whose last file is going, is left alone, and is not in the report.
    """
    report, adding, matches = Rerouted(), Forwarding(tx, actor), StudyMatches(tx)
    files = sendable.secure(tx, [one.instance_id for one in group])
    touched: Counter[tuple[str, Routing]] = Counter()
    for one in group:
        if one.instance_id not in files:
            continue
        changed = (
            update(Instance)
            .where(Instance.id == one.instance_id, Instance.routing.in_([int(state) for state in AGAIN]))
            .values(routing=int(one.decision.state), routing_detail=forwarding.words(one.decision))
        )
        row = tx.conn.execute(changed.returning(Instance.study_id, Instance.series_id, Instance.size)).one_or_none()
        if row is None:
            continue
        study = tx.conn.scalars(select(Study.study_instance_uid).where(Study.id == row.study_id)).one()
        matches.note(row.study_id, one.decision, one.study_matched)
        file_id, spool_id, _ = files[one.instance_id][-1]
        adding.add(
            one.decision,
            Content(one.instance_id, file_id, row.series_id, row.study_id),
            study_instance_uid=study,
            spool_id=spool_id,
            size=row.size,
        )
        report.states[one.instance_id] = one.decision.state
        touched[study, one.decision.state] += 1
    matches.look_back(adding)
    report.items = adding.added
    report.bells = adding.close()
    for (study, state), n in touched.items():
        trail.record(
            tx, actor, "instances.routed_again", study_instance_uid=study, instances=n, routing=state.name.lower()
        )
    return report


def _first_file() -> tuple[type[File], ColumnElement[bool]]:
    """Join the file by which an instance came first: the rules of its door are asked."""
    other = aliased(File)
    first = select(func.min(other.id)).where(other.instance_id == Instance.id).correlate(Instance).scalar_subquery()
    return File, File.id == first


def _conditions(which: UnroutedFilter, routing: Routing) -> list[ColumnElement[bool]]:
    newer = aliased(Instance)
    found = [
        Instance.routing == literal_column(str(int(routing))),
        # Spelt as the partial index is.
        Instance.routing != literal_column(str(int(Routing.ROUTED))),
        # What was replaced by another data set of the same UID must not follow it to the peer.
        ~exists().where(newer.sop_instance_uid == Instance.sop_instance_uid, newer.version > Instance.version),
    ]
    if which.study_instance_uid:
        found.append(Study.study_instance_uid == which.study_instance_uid)
    if which.source:
        found.append(File.source == which.source)
    return found


def _copies(conn: Connection, instance_ids: Sequence[int]) -> dict[int, list[KnownCopy]]:
    found: dict[int, list[KnownCopy]] = defaultdict(list)
    rows = conn.execute(
        select(File.instance_id.label("instance"), File.path, File.size, File.mtime_ns, File.spool_mtime_ns)
        .add_columns(File.spool_path, Spool.name)
        .join(Spool, Spool.id == File.spool_id)
        .where(File.instance_id.in_(instance_ids), can_be_sent())
        .order_by(File.id.desc())
    )
    for row in rows:
        mtime_ns = row.spool_mtime_ns if row.spool_path else row.mtime_ns
        found[row.instance].append(KnownCopy(row.path, row.size, mtime_ns, row.name, row.spool_path))
    return found
