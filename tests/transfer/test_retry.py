"""Every row of docs/reference/failures.md, and what must hold whatever the row."""

from __future__ import annotations

import pathlib
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.pacs.errors import TlsFailed, TlsProblem
from gurney.transfer.backoff import ATTEMPT_BUDGET, CROWDED, ITEM, PATIENCE, PATIENCE_WITHOUT_EVIDENCE
from gurney.transfer.correlation import STREAK, WINDOW
from gurney.transfer.outcomes import (
    Decision,
    DestinationHistory,
    Effect,
    Event,
    EventKind,
    ItemHistory,
    RefusalScope,
)
from gurney.transfer.rejection import REJECTS_BEFORE_HOLD
from gurney.transfer.retry import ALONE_AT, decide
from gurney.transfer.states import ItemState, Outcome
from gurney.transfer.statuses import Verdict, verdict

NOW = 1_000_000.0
HOUR = 3600.0
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reference" / "failures.md"

WELL = DestinationHistory(last_success_at=NOW - 60)
UNKNOWN = DestinationHistory()
FAILING = DestinationHistory(last_success_at=NOW - 60, streak=(1, 2, 3, 4, 5))
NAMED = DestinationHistory(calling_ae_title="GURNEY", called_ae_title="ARCHIVE")
FRESH = ItemHistory(item_id=9)
KNOWN = ItemHistory(item_id=9, attempts=1, first_failed_at=NOW - 120, last_failed_at=NOW - 120)

RETRY_UNCHARGED = {"state": ItemState.READY, "charge": False, "effect": Effect.FAULT, "outcome": Outcome.DEST_DOWN}
HOLD = {"state": ItemState.READY, "charge": False, "effect": Effect.HOLD, "outcome": Outcome.DEST_DOWN, "alert": True}
AMBIGUOUS = {"state": ItemState.RETRY, "charge": True, "effect": Effect.AMBIGUOUS, "outcome": Outcome.TRANSIENT}
ITEMS_OWN = AMBIGUOUS | {"effect": Effect.NONE}
NOT_ITS_FAULT = {"state": ItemState.RETRY, "charge": False, "effect": Effect.FAULT, "outcome": Outcome.DEST_DOWN}
FAILED = {"state": ItemState.FAILED, "charge": True, "effect": Effect.NONE, "outcome": Outcome.PERMANENT}
SENT = {"state": ItemState.DONE, "charge": False, "effect": Effect.SUCCESS, "outcome": Outcome.OK}
WARNED = SENT | {"state": ItemState.WARNED, "outcome": Outcome.WARN}
GIVEN_BACK = {"state": ItemState.READY, "charge": False, "effect": Effect.NONE, "outcome": Outcome.CANCELLED}

UNREADABLE = (
    "Local: the disk or share gives an error when the file is read, "
    "or nothing for longer than every timeout and one lease"
)


@dataclass(frozen=True)
class Row:
    """One row of the page with one example of it."""

    row: str
    event: Event
    expected: dict[str, object]
    destination: DestinationHistory = UNKNOWN
    item: ItemHistory = FRESH
    says: tuple[str, ...] = field(default=())

    def __str__(self) -> str:
        e = self.event
        code = f"{e.status:04X}" if e.status is not None else ""
        numbers = "/".join(str(n) for n in (e.result, e.source, e.reason) if n is not None)
        return f"{self.row} [{e.kind} {code}{numbers}]"


def status(code: int | None) -> Event:
    return Event(EventKind.RESPONSE, status=code)


def rejected(result: int, source: int, reason: int) -> Event:
    return Event(EventKind.REJECTED, result=result, source=source, reason=reason)


def responses(row: str, codes: list[int], expected: dict[str, object], **more: object) -> list[Row]:
    return [Row(row, status(code), expected, says=(f"{code:04X}",), **more) for code in codes]  # type: ignore[arg-type]


ENDINGS = "A-ABORT, TCP reset, peer close, ARTIM/ACSE timeout"
LOST = [EventKind.ABORTED, EventKind.RESET, EventKind.ACSE_TIMEOUT]

ROWS: list[Row] = [
    Row(
        "DNS, refused, unreachable, connect timeout",
        Event(EventKind.CONNECT_FAILED, detail="refused"),
        RETRY_UNCHARGED,
        says=("refused",),
    ),
    Row(
        "TLS certificate or handshake failure",
        Event(EventKind.TLS_FAILED, detail="certificate has expired"),
        HOLD,
        says=("TLS", "expired"),
    ),
    Row(
        "Closed or reset in the TLS handshake, without a word",
        TlsFailed(TlsProblem.NO_TLS, "closed in place of a TLS handshake", is_lost=True).event,
        RETRY_UNCHARGED,
        says=("TLS handshake",),
    ),
    Row(
        "Close or abort in place of A-ASSOCIATE-AC",
        Event(EventKind.CLOSED_AT_REQUEST),
        RETRY_UNCHARGED,
        says=("usually an unknown calling AE title or address, or a TLS port",),
    ),
    Row("A-ASSOCIATE-RJ result 2 (transient)", rejected(2, 1, 1), RETRY_UNCHARGED | {"halve": False}),
    Row("A-ASSOCIATE-RJ result 2 (transient)", rejected(2, 3, 1), RETRY_UNCHARGED | {"halve": False}),
    # AE titles in a transient rejection still pass: the peer said so.
    Row("A-ASSOCIATE-RJ result 2 (transient)", rejected(2, 1, 3), RETRY_UNCHARGED),
    Row("A-ASSOCIATE-RJ result 2, 3/2 local limit exceeded", rejected(2, 3, 2), RETRY_UNCHARGED | {"halve": True}),
    Row("RJ 1/1/1 permanent, no reason", rejected(1, 1, 1), RETRY_UNCHARGED | {"permanent_reject": True}),
    Row(
        "RJ 1/1/1 permanent, no reason",
        rejected(1, 1, 1),
        HOLD,
        destination=DestinationHistory(permanent_rejects=REJECTS_BEFORE_HOLD - 1),
    ),
    Row("RJ 1/1/2 application context, 1/2/2 protocol version", rejected(1, 1, 2), HOLD, says=("application context",)),
    Row("RJ 1/1/2 application context, 1/2/2 protocol version", rejected(1, 2, 2), HOLD, says=("protocol version",)),
    Row("RJ 1/1/3 calling AE title", rejected(1, 1, 3), HOLD, destination=NAMED, says=("must know", "'GURNEY'")),
    Row("RJ 1/1/3 calling AE title", rejected(1, 1, 3), HOLD, says=("our calling AE title",)),
    Row("RJ 1/1/7 called AE title", rejected(1, 1, 7), HOLD, destination=NAMED, says=("called AE title", "'ARCHIVE'")),
    Row("RJ 1/2/1; RJ result 1 with source 3", rejected(1, 2, 1), RETRY_UNCHARGED | {"permanent_reject": False}),
    Row("RJ 1/2/1; RJ result 1 with source 3", rejected(1, 3, 1), RETRY_UNCHARGED | {"permanent_reject": False}),
    Row("RJ 1/2/1; RJ result 1 with source 3", rejected(1, 3, 2), RETRY_UNCHARGED | {"permanent_reject": False}),
    Row(
        "RJ result 1, a reason that the standard does not define",
        rejected(1, 1, 9),
        RETRY_UNCHARGED | {"permanent_reject": True},
    ),
    *(
        Row(
            "No accepted context: result 1 user rejection, 2 no reason",
            Event(EventKind.NO_CONTEXT, result=result),
            {"state": ItemState.RETRY, "charge": True, "context_retry": True, "effect": Effect.NONE},
        )
        for result in (1, 2)
    ),
    *(
        Row(
            "No accepted context: result 1 user rejection, 2 no reason",
            Event(EventKind.NO_CONTEXT, result=result),
            FAILED,
            item=replace(FRESH, context_retries=1),
        )
        for result in (1, 2)
    ),
    Row(
        "Context result 3 abstract syntax not supported",
        Event(EventKind.NO_CONTEXT, result=3),
        FAILED | {"refuse": RefusalScope.SYNTAX},
    ),
    Row(
        "Context result 4 transfer syntaxes not supported",
        Event(EventKind.NO_CONTEXT, result=4),
        FAILED | {"refuse": RefusalScope.SYNTAX},
    ),
    *(
        Row(f"{ENDINGS}, in flight", Event(kind, in_flight=True), AMBIGUOUS | {"suspect": True, "abort": True})
        for kind in LOST
    ),
    *(
        Row(f"{ENDINGS}, nothing in flight", Event(kind), RETRY_UNCHARGED | {"suspect": False, "abort": True})
        for kind in LOST
    ),
    Row(
        "DIMSE timeout",
        Event(EventKind.DIMSE_TIMEOUT, in_flight=True),
        AMBIGUOUS | {"suspect": True, "abort": True},
        says=("unknown",),
    ),
    Row("Not on the wire when its association ended", Event(EventKind.NEIGHBOUR), GIVEN_BACK | {"alert": False}),
    Row("0000", status(0x0000), SENT),
    *responses("0001, 0107, 0116, Bxxx", [0x0001, 0x0107, 0x0116, 0xB000, 0xB123], WARNED | {"alert": False}),
    *responses("0001, 0107, 0116, Bxxx", [0xB006, 0xB007], WARNED | {"alert": True}),
    *responses("A700-A7FF", [0xA700, 0xA771, 0xA7FF], AMBIGUOUS | {"halve": True}),
    *responses("A700-A7FF", [0xA700], ITEMS_OWN | {"halve": False}, destination=WELL, item=KNOWN),
    *responses("A700-A7FF", [0xA700], NOT_ITS_FAULT | {"halve": True}, destination=FAILING),
    *responses("A900-A9FF", [0xA900, 0xA9FF], FAILED),
    *responses("C000-CFFF, 0110, 0213", [0xC000, 0xC123, 0xCFFF, 0x0110, 0x0213], AMBIGUOUS | {"halve": False}),
    *responses("C000-CFFF, 0110, 0213", [0xC000], ITEMS_OWN, destination=WELL, item=KNOWN),
    *responses("C000-CFFF, 0110, 0213", [0xC000], NOT_ITS_FAULT, destination=FAILING),
    *responses('0111, `duplicate = "ok"`', [0x0111], WARNED),
    *responses("0111, otherwise", [0x0111], FAILED, destination=DestinationHistory(duplicate_ok=False)),
    *responses(
        "0105, 0106, 0112-0115, 0117-0121, 0123",
        [0x0105, 0x0106, 0x0112, 0x0113, 0x0114, 0x0115, 0x0117, 0x0118, 0x0119, 0x0120, 0x0121, 0x0123],
        FAILED | {"refuse": None},
    ),
    *responses("0122", [0x0122], FAILED | {"refuse": RefusalScope.SOP_CLASS}),
    *responses("0124, 0214", [0x0124, 0x0214], HOLD),
    *responses("0124, 0214", [0x0124], AMBIGUOUS, destination=WELL),
    *responses("0124, 0214", [0x0124], ITEMS_OWN, destination=WELL, item=KNOWN),
    *responses("0124, 0214", [0x0124], HOLD, destination=FAILING),
    *responses(
        "0124, 0214",
        [0x0124],
        HOLD | {"refund": (1, 2, 2, 3, 4)},
        destination=replace(WELL, streak=(1, 2, 2, 3, 4)),
    ),
    *responses("0210, first", [0x0210], RETRY_UNCHARGED | {"abort": True}),
    *responses("0210, again", [0x0210], AMBIGUOUS | {"abort": True}, item=replace(FRESH, last_status=0x0210)),
    *responses("0211, 0212", [0x0211, 0x0212], FAILED),
    *responses("any other status", [0x0102, 0x0131, 0x0215, 0xA800, 0xAA00, 0xFE00, 0x1234, 0xFF00], AMBIGUOUS),
    *responses(
        "any other status",
        [0xA800],
        FAILED,
        destination=WELL,
        item=replace(KNOWN, attempts=ATTEMPT_BUDGET - 1, first_failed_at=NOW - PATIENCE),
    ),
    Row(
        "Response with the wrong message ID or context, or without status",
        Event(EventKind.BAD_RESPONSE, in_flight=True),
        AMBIGUOUS | {"suspect": True, "abort": True},
    ),
    Row(
        "Response with the wrong message ID or context, or without status",
        status(None),
        AMBIGUOUS | {"suspect": True, "abort": True},
    ),
    Row(
        "Local: file missing, not ours to read, or changed",
        Event(EventKind.FILE_MISSING),
        FAILED | {"alert": True},
        says=("file",),
    ),
    Row(
        "Local: not an instance that can be sent: not DICOM, cut short, without UIDs",
        Event(EventKind.UNFIT, detail="truncated"),
        FAILED | {"alert": True},
        says=("truncated",),
    ),
    Row(
        UNREADABLE,
        Event(EventKind.UNREADABLE, detail="Input/output error"),
        ITEMS_OWN | {"alert": True},
        says=("Input/output error",),
    ),
    Row(
        UNREADABLE,
        Event(EventKind.UNREADABLE),
        ITEMS_OWN | {"alert": True},
        destination=WELL,
        item=replace(KNOWN, attempts=ATTEMPT_BUDGET - 1, first_failed_at=NOW - PATIENCE),
    ),
    Row(
        UNREADABLE,
        Event(EventKind.UNREADABLE),
        FAILED | {"alert": True},
        item=replace(KNOWN, attempts=ATTEMPT_BUDGET - 1, first_failed_at=NOW - PATIENCE_WITHOUT_EVIDENCE),
    ),
    Row("Local: spool offline", Event(EventKind.SPOOL_OFFLINE), GIVEN_BACK | {"alert": True}),
    Row(
        "Local: no more open files or memory, disk full, ledger unreachable",
        Event(EventKind.LOCAL),
        GIVEN_BACK | {"alert": True},
    ),
    Row("A `before_c_store` hook vetoes", Event(EventKind.VETOED), FAILED),
    Row("Cancelled, paused or pre-empted by us", Event(EventKind.CANCELLED), GIVEN_BACK | {"alert": False}),
]

CORRELATION: list[Row] = [
    Row("an ambiguous failure", status(0xC000), AMBIGUOUS),
    Row(
        "an ambiguous failure", status(0xC000), AMBIGUOUS | {"refund": ()}, destination=replace(WELL, streak=(1, 2, 3))
    ),
    Row(
        "at least 5 distinct items in a row, no success between",
        status(0xC000),
        NOT_ITS_FAULT | {"refund": (1, 2, 3, 4)},
        destination=replace(WELL, streak=(1, 2, 3, 4)),
    ),
    Row(
        "at least 5 distinct items in a row, no success between",
        status(0xC000),
        NOT_ITS_FAULT | {"refund": (1, 2, 2, 3, 1, 4)},
        destination=DestinationHistory(streak=(1, 2, 2, 3, 1, 4)),
    ),
    Row(
        "at least 5 distinct items in a row, no success between",
        status(0xC000),
        AMBIGUOUS | {"refund": ()},
        destination=DestinationHistory(streak=(1, 2, 2, 3, 9, 9, 9)),
    ),
    Row(
        "at least 5 distinct items in a row, no success between",
        status(0xC000),
        NOT_ITS_FAULT | {"refund": ()},  # given back before
        destination=FAILING,
    ),
    Row(
        "an item that failed before; others were stored since, the last within 10 minutes",
        status(0xC000),
        ITEMS_OWN,
        destination=replace(WELL, streak=(1, 2, 3, 4)),
        item=KNOWN,
    ),
    Row(
        "an item that failed before; others were stored since, the last within 10 minutes",
        status(0xC000),
        AMBIGUOUS,
        destination=DestinationHistory(last_success_at=NOW - WINDOW - 1),
        item=replace(KNOWN, last_failed_at=NOW - WINDOW - 2),
    ),
    Row(
        "an item that failed before; others were stored since, the last within 10 minutes",
        status(0xC000),
        AMBIGUOUS,
        destination=WELL,
        item=replace(KNOWN, last_failed_at=NOW - 30),  # nobody was stored since
    ),
    *(
        Row(
            "in flight when an association is lost",
            Event(kind, in_flight=True),
            NOT_ITS_FAULT | {"suspect": False},
            destination=FAILING,
            item=replace(KNOWN, suspect=ALONE_AT, alone=True),
        )
        for kind in [*LOST, EventKind.DIMSE_TIMEOUT, EventKind.BAD_RESPONSE]
    ),
    *(
        Row(
            "in flight when an association is lost",
            Event(kind, in_flight=True),
            ITEMS_OWN | {"suspect": True},
            destination=WELL,
            item=replace(KNOWN, suspect=ALONE_AT),  # not alone yet
        )
        for kind in [*LOST, EventKind.DIMSE_TIMEOUT, EventKind.BAD_RESPONSE]
    ),
    *(
        Row(
            "in flight, already suspected 3 times, sent alone, others were stored since its first failure",
            Event(kind, in_flight=True),
            FAILED | {"suspect": True},
            destination=WELL,
            item=replace(KNOWN, suspect=ALONE_AT, alone=True),
        )
        for kind in [*LOST, EventKind.DIMSE_TIMEOUT, EventKind.BAD_RESPONSE]
    ),
    Row(
        "in flight, already suspected 3 times, sent alone, others were stored since its first failure",
        Event(EventKind.RESET, in_flight=True),
        AMBIGUOUS | {"suspect": True},
        destination=DestinationHistory(last_success_at=NOW - HOUR),  # nothing else was stored since
        item=replace(KNOWN, suspect=ALONE_AT, alone=True),
    ),
]


def zero(_: float, __: float) -> float:
    return 0.0


def longest(_: float, high: float) -> float:
    return high


def first_cells(heading: str) -> set[str]:
    """Return the first column of the table under a heading of the page."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return set(rows[2:])


@pytest.mark.parametrize("row", [*ROWS, *CORRELATION], ids=str)
def test_row(row: Row) -> None:
    decision = decide(row.event, row.destination, row.item, NOW, uniform=longest)
    seen = {name: getattr(decision, name) for name in row.expected}
    assert seen == row.expected, decision.words
    for words in row.says:
        assert words in decision.words


def test_the_page_and_the_tests_name_the_same_rows() -> None:
    assert first_cells("C-STORE and the association") == {row.row for row in ROWS}
    assert first_cells("Whose fault: by correlation") == {row.row for row in CORRELATION}


def test_every_kind_of_event_is_decided() -> None:
    assert {row.event.kind for row in ROWS} == set(EventKind)


@pytest.mark.parametrize("row", [row for row in ROWS if row.expected.get("effect") is Effect.HOLD], ids=str)
def test_a_hold_says_why(row: Row) -> None:
    decision = decide(row.event, row.destination, row.item, NOW, uniform=zero)
    assert decision.hold_reason == decision.words != ""


def test_a_peers_comment_is_not_repeated() -> None:
    # The Error Comment is free text: archives put patient names into it.
    event = Event(EventKind.RESPONSE, status=0xA900, comment="Doe^John does not match")
    assert "Doe" not in decide(event, UNKNOWN, FRESH, NOW, uniform=zero).words


def test_crowded_waits_longer_from_the_first_failure_on() -> None:
    crowded = decide(status(0xA700), UNKNOWN, FRESH, NOW, uniform=longest)
    failed = decide(status(0xC000), UNKNOWN, FRESH, NOW, uniform=longest)
    assert (crowded.delay, failed.delay) == (CROWDED.base, ITEM.base) == (300.0, 30.0)


# --- Budget and time --------------------------------------------------------------------------------------------------

AMBIGUOUS_EVENTS = [
    *(status(code) for code in (0xA700, 0xC000, 0x0110, 0x0213, 0xA800)),
    *(Event(kind, in_flight=True) for kind in [*LOST, EventKind.DIMSE_TIMEOUT, EventKind.BAD_RESPONSE]),
]


@pytest.mark.parametrize(
    ("attempts", "age", "stored", "state"),
    [
        (ATTEMPT_BUDGET - 1, PATIENCE, True, ItemState.DEAD),
        (ATTEMPT_BUDGET - 2, PATIENCE, True, ItemState.RETRY),
        (ATTEMPT_BUDGET + 9, PATIENCE - 1, True, ItemState.RETRY),
        (ATTEMPT_BUDGET + 9, PATIENCE, False, ItemState.RETRY),
        (ATTEMPT_BUDGET + 9, PATIENCE_WITHOUT_EVIDENCE - 1, False, ItemState.RETRY),
        (ATTEMPT_BUDGET + 9, PATIENCE_WITHOUT_EVIDENCE, False, ItemState.DEAD),
    ],
)
def test_death_takes_budget_and_time(attempts: int, age: float, stored: bool, state: ItemState) -> None:
    destination = DestinationHistory(last_success_at=NOW - 5 if stored else None)
    item = ItemHistory(9, attempts=attempts, first_failed_at=NOW - age, last_failed_at=NOW - 10)
    decision = decide(status(0xC000), destination, item, NOW, uniform=zero)
    assert (decision.state, decision.charge) == (state, True)


def test_the_schedule_spans_a_day_on_average() -> None:
    mean_waits = [ITEM.longest(n) / 2 for n in range(1, ATTEMPT_BUDGET)]
    assert PATIENCE <= sum(mean_waits) <= PATIENCE + ITEM.cap / 2


times = st.floats(min_value=0, max_value=NOW)
destinations = st.builds(
    DestinationHistory,
    consecutive_faults=st.integers(0, 1000),
    last_success_at=st.none() | times,
    streak=st.lists(st.integers(1, 9), max_size=12).map(tuple),
    permanent_rejects=st.integers(0, 20),
    duplicate_ok=st.booleans(),
)
items = st.builds(
    ItemHistory,
    item_id=st.integers(1, 9),
    attempts=st.integers(0, 200),
    first_failed_at=st.none() | times,
    last_failed_at=st.none() | times,
    suspect=st.integers(0, 9),
    alone=st.booleans(),
    context_retries=st.integers(0, 2),
    last_status=st.none() | st.integers(0, 0xFFFF),
)
events = st.builds(
    Event,
    kind=st.sampled_from(EventKind),
    status=st.none() | st.integers(0, 0xFFFF),
    result=st.none() | st.integers(0, 5),
    source=st.none() | st.integers(0, 4),
    reason=st.none() | st.integers(0, 11),
    in_flight=st.booleans(),
)


def drawn(fraction: float, event: Event, destination: DestinationHistory, item: ItemHistory) -> Decision:
    return decide(event, destination, item, NOW, uniform=lambda low, high: low + fraction * (high - low))


@given(st.floats(0, 1), events, destinations, items)
def test_every_decision_is_consistent(
    fraction: float, event: Event, destination: DestinationHistory, item: ItemHistory
) -> None:
    decision = drawn(fraction, event, destination, item)
    assert decision.words
    assert 0 <= decision.delay <= 6 * HOUR
    if decision.delay:
        assert decision.state is ItemState.RETRY
    # A destination's fault is never charged, and only a stored instance is a success.
    if decision.effect in {Effect.FAULT, Effect.HOLD}:
        assert not decision.charge
        assert not decision.suspect
        assert decision.outcome is Outcome.DEST_DOWN
        assert decision.state in {ItemState.READY, ItemState.RETRY}
    assert (decision.effect is Effect.SUCCESS) == (decision.state in {ItemState.DONE, ItemState.WARNED})
    assert (decision.effect is Effect.HOLD) == bool(decision.hold_reason)
    # The streak's members are exactly the charged.
    if decision.effect is Effect.AMBIGUOUS:
        assert decision.charge
    if decision.refund:
        assert decision.refund == destination.streak
        assert item.item_id not in decision.refund
        assert len({*decision.refund, item.item_id}) == STREAK
    if decision.refuse:
        assert decision.state is ItemState.FAILED


@given(st.floats(0, 1), events, destinations, items)
def test_only_a_success_stores(
    fraction: float, event: Event, destination: DestinationHistory, item: ItemHistory
) -> None:
    decision = drawn(fraction, event, destination, item)
    if decision.effect is Effect.SUCCESS:
        assert event.kind is EventKind.RESPONSE
        assert event.status is not None
        assert verdict(event.status) in {Verdict.STORED, Verdict.WARNED, Verdict.DUPLICATE}


@given(st.floats(0, 1), st.sampled_from(AMBIGUOUS_EVENTS), destinations, items, st.floats(0, PATIENCE - 1))
def test_nothing_ambiguous_is_given_up_within_a_day(
    fraction: float, event: Event, destination: DestinationHistory, item: ItemHistory, age: float
) -> None:
    young = replace(item, first_failed_at=NOW - age, alone=False)
    assert drawn(fraction, event, destination, young).state is ItemState.RETRY


@given(st.floats(0, 1), st.sampled_from(AMBIGUOUS_EVENTS), destinations, items)
def test_nothing_ambiguous_is_given_up_on_a_long_weekend_without_any_success(
    fraction: float, event: Event, destination: DestinationHistory, item: ItemHistory
) -> None:
    down = replace(destination, last_success_at=NOW - PATIENCE_WITHOUT_EVIDENCE)
    waiting = replace(item, first_failed_at=NOW - PATIENCE_WITHOUT_EVIDENCE + 1)
    assert drawn(fraction, event, down, waiting).state is ItemState.RETRY
