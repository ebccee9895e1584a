"""Ask for studies, take requests back, ask again: what people and schedules do with retrievals."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, insert, select, update

from gurney.errors import LedgerError
from gurney.ledger import bells, destinations, trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Destination, Retrieval, Spool, Wanted
from gurney.transfer.retrieving import Listing, RetrievalState, WantedState
from gurney.transfer.states import Priority

__all__ = ["LANE", "OPEN", "PREFETCH", "Asked", "Request", "again", "ask", "cancel", "ring_for"]

LANE: Final = "retrieve"
"""The lane of the doorbell on which those are rung who retrieve."""

PREFETCH: Final = "prefetch:"
"""How the origin of what a rule of prefetch asks for begins."""

OPEN: Final = (RetrievalState.WAITING, RetrievalState.RUNNING, RetrievalState.INCOMPLETE)
_AGAIN: Final = (
    RetrievalState.INCOMPLETE,
    RetrievalState.WARNED,
    RetrievalState.FAILED,
    RetrievalState.CANCELLED,
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be fetched from ``source`` (a remote's name), and where it goes.

    To us, and on to each of ``forward_to`` and into ``folder``; or, with ``direct_to``, by the source itself to that
    remote. ``origin`` says what asked, such as ``operator`` or ``prefetch:priors``; ``due_at`` (ledger time) puts it
    off.
    """

    source: str
    study_instance_uid: str
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    forward_to: tuple[str, ...] = ()
    folder: str = ""
    direct_to: str = ""
    origin: str = "operator"
    priority: Priority = Priority.ROUTINE
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in the ledger. ``is_new``: nobody had asked for the very same; else its id is that of the first."""

    retrieval_id: int
    is_new: bool
    bells: tuple[Bell, ...] = ()


def ask(tx: Transaction, request: Request, actor: str) -> Asked:
    """Enter a request; one that is open already is only made more urgent, so that a storm of them costs one retrieval.

    Raises LedgerError for a source that the ledger does not know.
    """
    source = destinations.lock(tx, request.source)
    if source is None:
        raise LedgerError(f"the ledger knows no remote {request.source!r}: start gurney with it in the configuration")
    due_at = tx.now if request.due_at is None else request.due_at
    same = tx.conn.execute(_same(source.id, request)).first()
    if same is not None:
        _hurry(tx, same, request, due_at)
        return Asked(same.id, is_new=False, bells=ring_for(tx, source.id, request.source))
    retrieval_id: int = tx.conn.execute(
        insert(Retrieval)
        .values(
            source_id=source.id,
            study_instance_uid=request.study_instance_uid,
            series_instance_uid=request.series_instance_uid,
            sop_instance_uid=request.sop_instance_uid,
            forward_to=json.dumps(request.forward_to),
            folder=request.folder,
            direct_to=request.direct_to,
            origin=request.origin[:128],
            requested_by=actor[:64],
            priority=int(request.priority),
            due_at=due_at,
            created_at=tx.now,
        )
        .returning(Retrieval.id)
    ).scalar_one()
    trail.record(
        tx,
        actor,
        "retrieval.asked",
        study_instance_uid=request.study_instance_uid,
        destination_id=source.id,
        retrieval=retrieval_id,
        origin=request.origin,
        forward_to=list(request.forward_to),
        direct_to=request.direct_to,
    )
    rung = ring_for(tx, source.id, request.source) if due_at <= tx.now else ()
    return Asked(retrieval_id, is_new=True, bells=rung)


def _same(source_id: int, request: Request) -> Any:
    return select(Retrieval.__table__).where(
        Retrieval.study_instance_uid == request.study_instance_uid,
        Retrieval.source_id == source_id,
        Retrieval.series_instance_uid == request.series_instance_uid,
        Retrieval.sop_instance_uid == request.sop_instance_uid,
        Retrieval.forward_to == json.dumps(request.forward_to),
        Retrieval.folder == request.folder,
        Retrieval.direct_to == request.direct_to,
        Retrieval.state.in_([int(state) for state in OPEN]),
    )


def _hurry(tx: Transaction, row: AnyRow, request: Request, due_at: float) -> None:
    """Let the more urgent of two equal requests count, and ask again at once for what was given up for a day.

    What a person asks for as well is a person's from then on: no appointment that is cancelled takes it back.
    """
    if row.origin.startswith(PREFETCH) and not request.origin.startswith(PREFETCH):
        tx.conn.execute(update(Retrieval).where(Retrieval.id == row.id).values(origin=request.origin[:128]))
    if row.state == RetrievalState.INCOMPLETE:
        _ask_anew(tx, [row.id])
        return
    # A round that waits for what is on its way, or for a peer that failed, is not hurried by being asked for again.
    not_begun = row.state == RetrievalState.WAITING and not row.rounds and not row.attempts
    values: dict[str, object] = {}
    if row.priority > request.priority:
        values["priority"] = int(request.priority)
    if not_begun and row.due_at > due_at:
        values["due_at"] = due_at
    if values:
        tx.conn.execute(update(Retrieval).where(Retrieval.id == row.id).values(values))


def ring_for(tx: Transaction, source_id: int, source: str) -> tuple[Bell, ...]:
    """Return whom to ring for a source after the commit: the workers of any spool can ask it."""
    spools = tx.conn.scalars(select(Spool.id).order_by(Spool.id)).all()
    return tuple(Bell(source, spool, LANE) for spool in spools if bells.claim_ring(tx, source_id, spool, LANE))


def cancel(tx: Transaction, retrieval_ids: Collection[int], actor: str, *, only_unstarted: bool = False) -> list[int]:
    """Take requests back; return those that were open. What has arrived stays; a worker at it ends its association.

    ``only_unstarted`` leaves alone whatever a worker has taken up: an appointment that moves shall not waste that.
    """
    states = (RetrievalState.WAITING,) if only_unstarted else OPEN
    which = and_(Retrieval.id.in_(retrieval_ids), Retrieval.state.in_([int(state) for state in states]))
    if only_unstarted:
        which = and_(which, Retrieval.fence == 0)
    rows = tx.conn.execute(
        update(Retrieval)
        .where(which)
        .values(state=int(RetrievalState.CANCELLED), due_at=None, until=None, settled_at=tx.now, words="cancelled")
        .returning(Retrieval.id, Retrieval.study_instance_uid, Retrieval.source_id)
    ).all()
    for row in rows:
        trail.record(
            tx,
            actor,
            "retrieval.cancelled",
            study_instance_uid=row.study_instance_uid,
            destination_id=row.source_id,
            retrieval=row.id,
        )
    return sorted(row.id for row in rows)


def again(tx: Transaction, retrieval_ids: Collection[int], actor: str) -> tuple[list[int], tuple[Bell, ...]]:
    """Ask again for what was given up, or waits for its next try: with a new list, for what is missing.

    Return the retrievals, and whom to ring.
    """
    states = [int(state) for state in (*_AGAIN, RetrievalState.WAITING)]
    rows = tx.conn.execute(
        select(Retrieval.id, Retrieval.source_id, Retrieval.study_instance_uid, Destination.name)
        .join(Destination, Destination.id == Retrieval.source_id)
        .where(Retrieval.id.in_(retrieval_ids), Retrieval.state.in_(states))
        .order_by(Retrieval.id)
    ).all()
    _ask_anew(tx, [row.id for row in rows])
    for row in rows:
        trail.record(
            tx,
            actor,
            "retrieval.asked_again",
            study_instance_uid=row.study_instance_uid,
            destination_id=row.source_id,
            retrieval=row.id,
        )
    sources = {row.source_id: row.name for row in rows}
    rung = tuple(bell for source_id, name in sources.items() for bell in ring_for(tx, source_id, name))
    return [row.id for row in rows], rung


def _ask_anew(tx: Transaction, retrieval_ids: Collection[int]) -> None:
    tx.conn.execute(
        update(Wanted)
        .where(Wanted.retrieval_id.in_(retrieval_ids), Wanted.state == int(WantedState.MISSING))
        .values(state=int(WantedState.EXPECTED), settled_at=None)
    )
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id.in_(retrieval_ids))
        .values(
            state=int(RetrievalState.WAITING),
            due_at=tx.now,
            listing=int(Listing.NOT_ASKED),
            fruitless=0,
            attempts=0,
            crashes=0,
            first_failed_at=None,
            answered_at=None,
            settled_at=None,
            words="",
        )
    )
