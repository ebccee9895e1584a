"""Write how a retrieval goes on, under its fence; what follows is decided by :mod:`gurney.transfer.retrieving`."""

from __future__ import annotations

import random

from sqlalchemy import func, select, update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Retrieval, Wanted
from gurney.ledger.retrieving.claims import RetrievalTicket, hold_fast
from gurney.ledger.retrieving.delivery import has_undelivered
from gurney.ledger.retrieving.expectations import is_wanting
from gurney.ledger.retrieving.gates import ITSELF, Gates, toward
from gurney.transfer import breaker
from gurney.transfer.backoff import Uniform
from gurney.transfer.outcomes import Event
from gurney.transfer.retrieving import (
    NEARLINE_GRACE,
    Blame,
    Conclusion,
    Listing,
    RetrievalHistory,
    RetrievalState,
    RetrieveDecision,
    Round,
    Step,
    Verdict,
    WantedState,
    conclude_round,
    decide,
)

__all__ = ["answered", "begin_round", "conclude", "fail", "take_on_trust"]


# --- A round ----------------------------------------------------------------------------------------------------------


def begin_round(tx: Transaction, ticket: RetrievalTicket) -> None:
    """Note that the source is about to be asked."""
    row = hold_fast(tx, ticket)
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id == ticket.id)
        .values(rounds=row.rounds + 1, arrived_before=row.arrived, answered_at=None)
    )


def answered(tx: Transaction, ticket: RetrievalTicket, status: int) -> None:
    """Note a round's final response: the source and the way from it work."""
    row = hold_fast(tx, ticket)
    tx.conn.execute(update(Retrieval).where(Retrieval.id == ticket.id).values(answered_at=tx.now, last_status=status))
    gates = Gates.of(tx, ticket.source_id)
    gates.put(ITSELF, breaker.on_success(gates[ITSELF], tx.now))
    way = toward(row.direct_to)
    if row.arrived > row.arrived_before or breaker.shown(gates[way]) is breaker.Shown.CLOSED:
        gates.put(way, breaker.on_success(gates[way], tx.now))
    else:
        gates.put(way, breaker.on_nothing_learned(gates[way], tx.now))


def conclude(
    tx: Transaction, ticket: RetrievalTicket, grace: float, *, uniform: Uniform = random.uniform
) -> Conclusion | None:
    """Judge a round that was answered, and write what becomes of the retrieval. Raises LeaseLost.

    ``grace`` is for how many seconds arrivals must have ceased until what is missing counts as missing. None, and
    nothing written: something has arrived that is not in the retrieval's folder yet.
    """
    row = hold_fast(tx, ticket)
    if row.folder and has_undelivered(tx.conn, row.id):
        return None
    counts = tx.conn.execute(
        select(func.count().filter(Wanted.named), func.count().filter(Wanted.named & is_wanting())).where(
            Wanted.retrieval_id == ticket.id
        )
    ).one()
    since = max(row.answered_at or tx.now, row.last_arrival_at or 0.0)
    stand = Round(
        listing=Listing(row.listing),
        expected=counts[0],
        missing=counts[1],
        arrived=row.arrived,
        fresh=row.arrived - row.arrived_before,
        fruitless=row.fruitless,
        idle=max(0.0, tx.now - since),
        grace=max(grace, NEARLINE_GRACE) if row.nearline else grace,
        said=row.said,
        asked_once_more=row.settled_at is not None,
    )
    conclusion = conclude_round(stand, uniform=uniform)
    _write(tx, row, conclusion, stand)
    return conclusion


_STATES = {
    Verdict.COMPLETE: RetrievalState.DONE,
    Verdict.UNPROVEN: RetrievalState.WARNED,
    Verdict.ABSENT: RetrievalState.FAILED,
    Verdict.WAIT: RetrievalState.WAITING,
    Verdict.AGAIN: RetrievalState.WAITING,
    Verdict.INCOMPLETE: RetrievalState.INCOMPLETE,
}


def _write(tx: Transaction, row: AnyRow, conclusion: Conclusion, stand: Round) -> None:
    state = _STATES[conclusion.verdict]
    values: dict[str, object] = {
        "state": int(state),
        "until": None,
        "due_at": None if conclusion.delay is None else tx.now + conclusion.delay,
        "fruitless": conclusion.fruitless,
        "words": conclusion.words[:400],
    }
    if stand.fresh:
        values |= {"attempts": 0, "crashes": 0, "first_failed_at": None}
    if conclusion.verdict is Verdict.AGAIN:
        values["answered_at"] = None
    if conclusion.verdict not in {Verdict.WAIT, Verdict.AGAIN}:
        values["settled_at"] = tx.now
        tx.conn.execute(
            update(Wanted)
            .where(Wanted.retrieval_id == row.id, Wanted.state == int(WantedState.EXPECTED))
            .values(state=int(WantedState.MISSING), settled_at=tx.now)
        )
        trail.record(
            tx,
            row.worker,
            f"retrieval.{state.name.lower()}",
            study_instance_uid=row.study_instance_uid,
            destination_id=row.source_id,
            retrieval=row.id,
            instances=stand.arrived,
            missing=stand.missing,
            rounds=row.rounds,
            words=conclusion.words,
        )
    tx.conn.execute(update(Retrieval).where(Retrieval.id == row.id).values(values))


def take_on_trust(tx: Transaction, ticket: RetrievalTicket, words: str) -> None:
    """End a retrieval that nobody can prove: the source says that it sent all, the third party can't be asked."""
    row = hold_fast(tx, ticket)
    tx.conn.execute(
        update(Retrieval)
        .where(Retrieval.id == ticket.id)
        .values(state=int(RetrievalState.WARNED), until=None, due_at=None, settled_at=tx.now, words=words[:400])
    )
    trail.record(
        tx,
        row.worker,
        "retrieval.warned",
        study_instance_uid=row.study_instance_uid,
        destination_id=row.source_id,
        retrieval=row.id,
        words=words,
    )


# --- A failure --------------------------------------------------------------------------------------------------------


def fail(
    tx: Transaction,
    ticket: RetrievalTicket,
    event: Event,
    step: Step,
    *,
    move_destination: str = "",
    calling_ae_title: str = "",
    called_ae_title: str = "",
    uniform: Uniform = random.uniform,
) -> RetrieveDecision:
    """Judge a failure and write what follows: of the source, of the way, or of this retrieval. Raises LeaseLost."""
    row = hold_fast(tx, ticket)
    gates, way = Gates.of(tx, ticket.source_id), toward(row.direct_to)
    fresh = row.arrived > row.arrived_before
    history = RetrievalHistory(
        attempts=0 if fresh else row.attempts,
        first_failed_at=None if fresh else row.first_failed_at,
        source_faults=gates[ITSELF].faults,
        pair_worked=gates[way].last_success_at is not None or row.arrived > 0,
        calling_ae_title=calling_ae_title,
        called_ae_title=called_ae_title,
        move_destination=move_destination,
    )
    decision = decide(event, step, history, tx.now, uniform=uniform)
    blamed = {Blame.SOURCE: ITSELF, Blame.PAIR: way}.get(decision.blame)
    for one in (ITSELF, way):
        gate = gates[one]
        if one != blamed:
            gates.put(one, breaker.on_nothing_learned(gate, tx.now))
        elif decision.hold:
            gates.put(one, breaker.on_hold(gate, decision.hold, tx.now), decision.words)
        else:
            gates.put(one, breaker.on_fault(gate, tx.now, uniform=uniform), decision.words)
    charged = decision.blame is Blame.REQUEST
    values: dict[str, object] = {
        "state": int(RetrievalState.FAILED if decision.permanent else RetrievalState.WAITING),
        "until": None,
        # Where a gate is shut it says itself when it may be tried.
        "due_at": None if decision.permanent else tx.now + (decision.delay if charged else 0.0),
        "settled_at": tx.now if decision.permanent else row.settled_at,
        "attempts": history.attempts + charged,
        "first_failed_at": (history.first_failed_at or tx.now) if charged else history.first_failed_at,
        "last_status": event.status if event.status is not None else row.last_status,
        "words": (decision.hold or decision.words)[:400],
        "answered_at": None,
    }
    tx.conn.execute(update(Retrieval).where(Retrieval.id == row.id).values(values))
    if decision.permanent:
        trail.record(
            tx,
            row.worker,
            "retrieval.failed",
            study_instance_uid=row.study_instance_uid,
            destination_id=row.source_id,
            retrieval=row.id,
            words=decision.words,
        )
    return decision
