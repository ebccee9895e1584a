"""The one place that decides what follows when a C-STORE, or the association that carries it, did not go well.

:func:`decide` is pure: an event and what the ledger remembers go in, a decision comes out.
``docs/reference/failures.md`` is the table that it implements, row by row. Two promises shape it: a night or a
weekend of downtime fails no instance, and one bad instance stops no destination.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gurney.transfer import correlation, statuses
from gurney.transfer.backoff import (
    ATTEMPT_BUDGET,
    CROWDED,
    ITEM,
    PATIENCE,
    PATIENCE_WITHOUT_EVIDENCE,
    Backoff,
    Uniform,
)
from gurney.transfer.correlation import Fault
from gurney.transfer.outcomes import (
    Decision,
    DestinationHistory,
    Effect,
    Event,
    EventKind,
    ItemHistory,
    RefusalScope,
)
from gurney.transfer.rejection import REJECTS_BEFORE_HOLD, Reading, read_rejection
from gurney.transfer.states import ItemState, Outcome
from gurney.transfer.statuses import Verdict

__all__ = ["ALONE_AT", "decide"]

ALONE_AT = 3
"""How often an item may be on the wire of a lost association before it is sent without neighbours."""


def decide(
    event: Event,
    destination: DestinationHistory,
    item: ItemHistory,
    now: float,
    *,
    uniform: Uniform,
) -> Decision:
    """Decide what follows from one event.

    ``destination`` and ``item`` are what was known before the event; ``now`` is ledger time in seconds. Report
    what happened to a whole association once, for the item that was on the wire or the batch's first, and
    ``NEIGHBOUR`` for the others.
    """
    return _HANDLERS[event.kind](_Case(event, destination, item, now, uniform))


@dataclass(frozen=True, slots=True)
class _Case:
    event: Event
    destination: DestinationHistory
    item: ItemHistory
    now: float
    uniform: Uniform


# --- A response with a status (PS3.4 B.2.3) ---------------------------------------------------------------------------


def _response(case: _Case) -> Decision:  # noqa: PLR0911 - one return for each verdict is the clearest form
    status = case.event.status
    if status is None:
        return _bad_response(case)
    words = statuses.say(status)
    match statuses.verdict(status):
        case Verdict.STORED:
            return Decision(Outcome.OK, ItemState.DONE, words, Effect.SUCCESS)
        case Verdict.WARNED:
            alert = status in statuses.ALERTING_WARNINGS
            return Decision(Outcome.WARN, ItemState.WARNED, words, Effect.SUCCESS, alert=alert)
        case Verdict.DUPLICATE if case.destination.duplicate_ok:
            return Decision(Outcome.WARN, ItemState.WARNED, f"{words}: the peer has it already", Effect.SUCCESS)
        case Verdict.DUPLICATE | Verdict.PERMANENT:
            return _failed(words)
        case Verdict.SOP_CLASS_REFUSED:
            return _failed(words, refuse=RefusalScope.SOP_CLASS)
        case Verdict.CROWDED:
            return _ambiguous(case, words, backoff=CROWDED, crowded=True)
        case Verdict.NOT_AUTHORISED:
            return _not_authorised(case, words)
        case Verdict.SAME_MESSAGE_ID if case.item.last_status != status:
            return _destination_fault(words, abort=True)
        case Verdict.SAME_MESSAGE_ID:
            return _ambiguous(case, words, abort=True)
        case Verdict.UNKNOWN:
            return _ambiguous(case, words, spent=ItemState.FAILED)
        case Verdict.AMBIGUOUS:
            return _ambiguous(case, words)


def _not_authorised(case: _Case, words: str) -> Decision:
    """Hold the destination, unless it stores for others: then this instance alone may be forbidden."""
    blame = correlation.blame(case.destination, case.item, case.now)
    if blame.fault is not Fault.DESTINATION and correlation.others_succeed(case.destination, case.now):
        return _ambiguous(case, words)
    return _hold(f"{words}: the peer must allow our AE title to store", refund=blame.refund)


def _bad_response(case: _Case) -> Decision:
    return _association_lost(case, "a response with the wrong message ID or context, or without a status", on_wire=True)


# --- The association (PS3.8) ------------------------------------------------------------------------------------------


def _connect_failed(case: _Case) -> Decision:
    return _destination_fault(_with_detail("no connection", case.event))


def _closed_at_request(case: _Case) -> Decision:
    return _destination_fault(
        case.event.detail
        or "closed in place of an answer to the association request: "
        "usually an unknown calling AE title or address, or a TLS port"
    )


def _tls_failed(case: _Case) -> Decision:
    return _hold(_with_detail("TLS certificate or handshake failed", case.event))


def _rejected(case: _Case) -> Decision:
    rejection = read_rejection(case.event, case.destination)
    match rejection.reading:
        case Reading.CONFIGURATION:
            return _hold(rejection.words)
        case Reading.UNEXPLAINED if case.destination.permanent_rejects + 1 >= REJECTS_BEFORE_HOLD:
            return _hold(rejection.words, permanent_reject=True)
        case Reading.UNEXPLAINED:
            return _destination_fault(rejection.words, permanent_reject=True)
        case Reading.CROWDED:
            return _destination_fault(rejection.words, halve=True)
        case Reading.TRANSIENT:
            return _destination_fault(rejection.words)


def _no_context(case: _Case) -> Decision:
    """Read why a presentation context was refused (PS3.8 9.3.3.2, table 9-18)."""
    match case.event.result:
        case 3:
            # Believed for this syntax only: DCMTK's dcmqrscp says so of a syntax that it does not take, of a SOP class
            # that it does, and every other instance of the class would fail untried.
            words = "the peer does not support this SOP class, or not in this transfer syntax"
            return _failed(words, refuse=RefusalScope.SYNTAX)
        case 4:
            return _failed("the peer does not support this transfer syntax", refuse=RefusalScope.SYNTAX)
    words = f"presentation context refused (result {case.event.result})"
    if case.item.context_retries > 0:
        return _failed(f"{words}, twice")
    return Decision(
        Outcome.TRANSIENT,
        ItemState.RETRY,
        f"{words}, once more on a fresh association",
        delay=ITEM.delay(case.item.attempts + 1, case.uniform),
        charge=True,
        context_retry=True,
    )


def _lost(what: str) -> Callable[[_Case], Decision]:
    return lambda case: _association_lost(case, what, on_wire=case.event.in_flight)


def _association_lost(case: _Case, words: str, *, on_wire: bool) -> Decision:
    """Blame nobody's instance for an association that ended between two, nor for a timeout before the first."""
    if not on_wire:
        return _destination_fault(words, abort=True)
    return _ambiguous(case, f"{words}; whether the instance was stored is unknown", suspect=True, abort=True)


# --- What is ours -----------------------------------------------------------------------------------------------------


def _file_missing(_: _Case) -> Decision:
    return _failed("the file is gone, not ours to read, or changed since it was accepted", alert=True)


def _unreadable(case: _Case) -> Decision:
    """Wait for a disk or share as long as for a peer; what the peer stores meanwhile says nothing of either."""
    words = _with_detail("the file can't be read", case.event)
    attempts = case.item.attempts + 1
    first_failed_at = case.item.first_failed_at
    waited = 0.0 if first_failed_at is None else case.now - first_failed_at
    if attempts >= ATTEMPT_BUDGET and waited >= PATIENCE_WITHOUT_EVIDENCE:
        return _failed(f"{words}; given up after {attempts} attempts", alert=True)
    delay = ITEM.delay(attempts, case.uniform)
    return Decision(Outcome.TRANSIENT, ItemState.RETRY, words, delay=delay, charge=True, alert=True)


def _unfit(case: _Case) -> Decision:
    return _failed(_with_detail("not an instance that can be sent", case.event), alert=True)


def _given_back(words: str, *, alert: bool = False) -> Callable[[_Case], Decision]:
    decision = Decision(Outcome.CANCELLED, ItemState.READY, words, alert=alert)
    return lambda _: decision


def _vetoed(_: _Case) -> Decision:
    return _failed("refused by a before_c_store hook")


# --- The few decisions that there are ---------------------------------------------------------------------------------


def _failed(words: str, *, refuse: RefusalScope | None = None, alert: bool = False) -> Decision:
    return Decision(Outcome.PERMANENT, ItemState.FAILED, words, charge=True, refuse=refuse, alert=alert)


def _destination_fault(
    words: str, *, halve: bool = False, abort: bool = False, permanent_reject: bool = False
) -> Decision:
    """Put the item back untouched; the breaker sets the pace."""
    return Decision(
        Outcome.DEST_DOWN,
        ItemState.READY,
        words,
        Effect.FAULT,
        halve=halve,
        abort=abort,
        permanent_reject=permanent_reject,
    )


def _hold(words: str, *, refund: tuple[int, ...] = (), permanent_reject: bool = False) -> Decision:
    return Decision(
        Outcome.DEST_DOWN,
        ItemState.READY,
        words,
        Effect.HOLD,
        refund=refund,
        hold_reason=words,
        alert=True,
        permanent_reject=permanent_reject,
    )


def _ambiguous(
    case: _Case,
    words: str,
    *,
    backoff: Backoff = ITEM,
    spent: ItemState = ItemState.DEAD,
    suspect: bool = False,
    crowded: bool = False,
    abort: bool = False,
) -> Decision:
    """Decide by correlation: refund a streak, or charge the item until its budget and its time are spent."""
    attempts = case.item.attempts + 1
    delay = backoff.delay(attempts, case.uniform)
    blame = correlation.blame(case.destination, case.item, case.now)
    if blame.fault is Fault.DESTINATION:
        return Decision(
            Outcome.DEST_DOWN,
            ItemState.RETRY,
            f"{words}; others fail there too, so no attempt is counted",
            Effect.FAULT,
            delay=delay,
            refund=blame.refund,
            halve=crowded,
            abort=abort,
        )
    effect = Effect.NONE if blame.fault is Fault.ITEM else Effect.AMBIGUOUS
    if suspect and _ends_associations(case):
        return Decision(
            Outcome.PERMANENT,
            ItemState.FAILED,
            f"{words}; it was sent alone and ended the association again",
            effect,
            charge=True,
            suspect=True,
            abort=abort,
        )
    if attempts >= ATTEMPT_BUDGET and _patience_is_over(case):
        outcome = Outcome.PERMANENT if spent is ItemState.FAILED else Outcome.TRANSIENT
        given_up = f"{words}; given up after {attempts} attempts"
        return Decision(outcome, spent, given_up, effect, charge=True, suspect=suspect, abort=abort)
    return Decision(
        Outcome.TRANSIENT,
        ItemState.RETRY,
        words,
        effect,
        delay=delay,
        charge=True,
        suspect=suspect,
        halve=crowded and blame.fault is not Fault.ITEM,
        abort=abort,
    )


def _ends_associations(case: _Case) -> bool:
    """Tell whether the item, sent alone, lost its association while the destination can store others."""
    return (
        case.item.alone
        and case.item.suspect >= ALONE_AT
        and correlation.stored_since_first_failure(case.destination, case.item)
    )


def _patience_is_over(case: _Case) -> bool:
    if case.item.first_failed_at is None:
        return False
    stored = correlation.stored_since_first_failure(case.destination, case.item)
    return case.now - case.item.first_failed_at >= (PATIENCE if stored else PATIENCE_WITHOUT_EVIDENCE)


def _with_detail(words: str, event: Event) -> str:
    return f"{words}: {event.detail}" if event.detail else words


_HANDLERS: Mapping[EventKind, Callable[[_Case], Decision]] = {
    EventKind.RESPONSE: _response,
    EventKind.BAD_RESPONSE: _bad_response,
    EventKind.CONNECT_FAILED: _connect_failed,
    EventKind.TLS_FAILED: _tls_failed,
    EventKind.CLOSED_AT_REQUEST: _closed_at_request,
    EventKind.REJECTED: _rejected,
    EventKind.NO_CONTEXT: _no_context,
    EventKind.ABORTED: _lost("the association was aborted"),
    EventKind.RESET: _lost("the connection was reset or closed"),
    EventKind.ACSE_TIMEOUT: _lost("no answer to an association message in time"),
    EventKind.DIMSE_TIMEOUT: _lost("no response in time"),
    EventKind.FILE_MISSING: _file_missing,
    EventKind.UNREADABLE: _unreadable,
    EventKind.UNFIT: _unfit,
    EventKind.SPOOL_OFFLINE: _given_back("the spool is offline", alert=True),
    EventKind.LOCAL: _given_back("this host wants something: files, memory, disk or the ledger", alert=True),
    EventKind.NEIGHBOUR: _given_back("not on the wire when its association ended"),
    EventKind.VETOED: _vetoed,
    EventKind.CANCELLED: _given_back("cancelled, paused or pre-empted by us"),
}
