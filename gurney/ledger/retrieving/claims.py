"""Claim a retrieval: one worker, one source, a lease of its own on the row, fenced as every other."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from gurney.ledger import bells, destinations, trail
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.forwarding import Bell
from gurney.ledger.leases import LEASE_SECONDS
from gurney.ledger.models import Destination, Retrieval, Spool
from gurney.ledger.retrieving.gates import ITSELF, Gates, toward
from gurney.ledger.retrieving.requests import LANE
from gurney.ledger.terms import Denied
from gurney.transfer import breaker
from gurney.transfer.backoff import ITEM
from gurney.transfer.breaker import Admit
from gurney.transfer.retrieving import Listing, RetrievalState
from gurney.transfer.states import Priority

__all__ = ["ClaimedRetrieval", "RetrievalTicket", "claim", "due_bells", "hold_fast", "release", "renew"]

# So many of what is due are looked through for one whose study nobody else is fetching from the same source.
_LOOKED_THROUGH: Final = 50
_RUNNING: Final = int(RetrievalState.RUNNING)
_WAITING: Final = int(RetrievalState.WAITING)


@dataclass(frozen=True, slots=True)
class RetrievalTicket:
    """What a worker shows whenever it writes of its retrieval."""

    id: int
    fence: int
    source_id: int


@dataclass(frozen=True, slots=True)
class ClaimedRetrieval:
    """A retrieval under its lease, as its worker needs it. ``ring_on``: the source may be asked for more meanwhile."""

    ticket: RetrievalTicket
    source: str
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    direct_to: str
    forward_to: tuple[str, ...]
    folder: str
    listing: Listing
    was_incomplete: bool
    rounds: int
    fruitless: int
    answered: bool
    last_status: int | None
    ring_on: bool


def claim(
    tx: Transaction,
    source: str,
    worker: str,
    spool_id: int,
    *,
    at_once: int,
    ttl: float = LEASE_SECONDS,
    stat_only: bool = False,
) -> ClaimedRetrieval | Denied:
    """Claim what is due most urgently from a source, or say why there is nothing; ``at_once`` are allowed to run."""
    row = destinations.lock(tx, source)
    if row is None or row.retired:
        return Denied("not in the configuration")
    bells.answer(tx, row.id, spool_id)
    _take_back(tx, row.id)
    if row.paused_by:
        return Denied("paused")
    gates = Gates.of(tx, row.id)
    admission = breaker.may_claim(gates[ITSELF], tx.now)
    if admission.admit is Admit.DENIED:
        return Denied(admission.reason, admission.next_at)
    probe = admission.admit is Admit.PROBE
    running = tx.conn.scalars(_running_studies(row.id)).all()
    if len(running) >= (1 if probe else at_once):
        return Denied("as many retrieves as it allows are under way")
    closed = gates.closed_ways()
    found = tx.conn.execute(_due(row.id, tx.now, closed, stat_only=stat_only)).all()
    chosen = next((one for one in found if one.study_instance_uid not in running), None)
    if chosen is None:
        return Denied("nothing is due", min((one.next_at for one in closed.values() if one.next_at), default=None))
    if probe:
        gates.put(ITSELF, breaker.begin_probe(gates[ITSELF], tx.now))
    way = toward(chosen.direct_to)
    if breaker.may_claim(gates[way], tx.now).admit is Admit.PROBE:
        gates.put(way, breaker.begin_probe(gates[way], tx.now))
    fence = chosen.fence + 1
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id == chosen.id)
        .values(state=_RUNNING, worker=worker, fence=fence, until=tx.now + ttl, due_at=None)
    )
    more = not probe and len(running) + 1 < at_once and len(found) > 1
    return ClaimedRetrieval(
        RetrievalTicket(chosen.id, fence, row.id),
        source,
        chosen.study_instance_uid,
        chosen.series_instance_uid,
        chosen.sop_instance_uid,
        chosen.direct_to,
        tuple(json.loads(chosen.forward_to)),
        chosen.folder,
        Listing(chosen.listing),
        chosen.state == RetrievalState.INCOMPLETE,
        chosen.rounds,
        chosen.fruitless,
        chosen.answered_at is not None,
        chosen.last_status,
        more,
    )


def _running_studies(source_id: int) -> Any:
    return select(Retrieval.study_instance_uid).where(Retrieval.source_id == source_id, Retrieval.state == _RUNNING)


def _due(source_id: int, now: float, closed: dict[str, breaker.Admission], *, stat_only: bool) -> Any:
    shut = ["" if way == toward("") else way for way in closed if way != ITSELF]
    due = (
        select(Retrieval.__table__)
        .where(Retrieval.source_id == source_id, Retrieval.due_at.is_not(None), Retrieval.due_at <= now)
        .order_by(Retrieval.priority, Retrieval.due_at, Retrieval.id)
        .limit(_LOOKED_THROUGH)
    )
    if stat_only:
        due = due.where(Retrieval.priority == int(Priority.STAT))
    return due.where(Retrieval.direct_to.not_in(shut)) if shut else due


def _take_back(tx: Transaction, source_id: int) -> None:
    """Let the retrievals of workers that died wait a little, longer each time: perhaps it is what killed them."""
    dead = tx.conn.execute(
        select(
            Retrieval.id, Retrieval.crashes, Retrieval.worker, Retrieval.study_instance_uid, Retrieval.direct_to
        ).where(Retrieval.source_id == source_id, Retrieval.state == _RUNNING, Retrieval.until <= tx.now)
    ).all()
    for row in dead:
        tx.conn.execute(
            update(Retrieval)
            .where(Retrieval.id == row.id)
            .values(
                state=_WAITING,
                until=None,
                crashes=row.crashes + 1,
                due_at=tx.now + (ITEM.longest(row.crashes) if row.crashes else 0.0),
            )
        )
        trail.record(
            tx,
            "ledger",
            "retrieval.lost",
            study_instance_uid=row.study_instance_uid,
            destination_id=source_id,
            retrieval=row.id,
            worker=row.worker,
        )
        gates = Gates.of(tx, source_id)
        for way in (ITSELF, toward(row.direct_to)):
            gates.put(way, breaker.on_nothing_learned(gates[way], tx.now))


def renew(tx: Transaction, ticket: RetrievalTicket, ttl: float = LEASE_SECONDS) -> None:
    """Keep a lease for another ``ttl`` seconds. Raises LeaseLost when it has run out or was taken back."""
    changed = tx.conn.execute(
        update(Retrieval)
        .where(
            Retrieval.id == ticket.id,
            Retrieval.fence == ticket.fence,
            Retrieval.state == _RUNNING,
            Retrieval.until > tx.now,
        )
        .values(until=tx.now + ttl)
    ).rowcount
    if not changed:
        raise LeaseLost(f"the retrieval {ticket.id} is no longer this worker's")


def hold_fast(tx: Transaction, ticket: RetrievalTicket) -> AnyRow:
    """Lock the source's row and return the retrieval's, which is ours. Raises LeaseLost when it is not."""
    destinations.lock_by_id(tx, ticket.source_id)
    row = tx.conn.execute(select(Retrieval.__table__).where(Retrieval.id == ticket.id).with_for_update()).one()
    if row.fence != ticket.fence or row.state != _RUNNING or row.until <= tx.now:
        raise LeaseLost(f"the retrieval {ticket.id} is no longer this worker's")
    return row


def release(tx: Transaction, ticket: RetrievalTicket, delay: float = 0.0, words: str = "") -> None:
    """Give a retrieval back as it is, uncharged: this worker is told to stop, or can't do it. Raises LeaseLost."""
    row = hold_fast(tx, ticket)
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id == ticket.id)
        .values(state=_WAITING, until=None, due_at=tx.now + delay, words=words[:400] or row.words)
    )
    gates = Gates.of(tx, ticket.source_id)
    for way in (ITSELF, toward(row.direct_to)):
        gates.put(way, breaker.on_nothing_learned(gates[way], tx.now))


def due_bells(ledger: Ledger) -> list[Bell]:
    """Return whom to ring for retrievals that are due, or whose worker is dead, at sources that may be asked."""
    now = ledger.now()
    with ledger.read() as conn:
        due = _sources_due(conn, now)
    return ledger.transact(_ring, due) if due else []


def _sources_due(conn: Connection, now: float) -> list[tuple[int, str]]:
    waiting = (
        select(func.min(Retrieval.due_at))
        .where(Retrieval.source_id == Destination.id, Retrieval.due_at.is_not(None))
        .correlate(Destination)
        .scalar_subquery()
    )
    orphaned = (
        select(func.min(Retrieval.until))
        .where(Retrieval.source_id == Destination.id, Retrieval.state == _RUNNING)
        .correlate(Destination)
        .scalar_subquery()
    )
    rows = conn.execute(
        select(Destination.id, Destination.name, waiting.label("due_at"), orphaned.label("until"))
        .where(Destination.retired.is_(False), Destination.paused_by == "")
        .order_by(Destination.id)
    )
    return [
        (row.id, row.name)
        for row in rows
        if (row.due_at is not None and row.due_at <= now) or (row.until is not None and row.until <= now)
    ]


def _ring(tx: Transaction, due: list[tuple[int, str]]) -> list[Bell]:
    spools = tx.conn.scalars(select(Spool.id).order_by(Spool.id)).all()
    rung: list[Bell] = []
    for source_id, name in due:
        gate = breaker.may_claim(Gates.of(tx, source_id)[ITSELF], tx.now)
        if gate.admit is Admit.DENIED:
            continue
        rung += [Bell(name, spool, LANE) for spool in spools if bells.claim_ring(tx, source_id, spool, LANE)]
    return rung
