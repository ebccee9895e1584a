"""The gate of a destination: transitions, claims, and what must hold over nights and weekends."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gurney.transfer import breaker
from gurney.transfer.backoff import DESTINATION, PATIENCE
from gurney.transfer.breaker import Admit, Breaker, Gate, Shown
from gurney.transfer.correlation import STREAK
from gurney.transfer.outcomes import Decision, Effect, Event, EventKind
from gurney.transfer.states import ItemState, Outcome
from tests.transfer.small_ledger import SmallLedger

HOUR = 3600.0
NIGHT = 14 * HOUR
WEEKEND = 62 * HOUR

STORED = Event(EventKind.RESPONSE, status=0x0000)


def longest(_: float, high: float) -> float:
    return high


def zero(_: float, __: float) -> float:
    return 0.0


def decision(effect: Effect, **more: object) -> Decision:
    return Decision(Outcome.TRANSIENT, ItemState.RETRY, "words", effect, **more)  # type: ignore[arg-type]


def faulted(gate: Gate, times: int, now: float = 0.0) -> Gate:
    for _ in range(times):
        gate = breaker.on_fault(gate, now, uniform=longest)
    return gate


# --- Opening and closing ----------------------------------------------------------------------------------------------


def test_three_faults_in_a_row_open_it() -> None:
    gate = Gate()
    assert breaker.shown(faulted(gate, 2)) is Shown.CLOSED
    opened = faulted(gate, 3, now=100.0)
    assert (opened.breaker, opened.opened_at, opened.probe_at) == (Breaker.OPEN, 100.0, 100.0 + 20.0)


def test_a_success_between_starts_the_count_again() -> None:
    gate = breaker.on_success(faulted(Gate(), 2), 1.0)
    assert faulted(gate, 2).breaker is Breaker.CLOSED


def test_a_first_fault_makes_everybody_wait_a_little() -> None:
    gate = faulted(Gate(), 1, now=100.0)
    denied = breaker.may_claim(gate, 104.9)
    assert (denied.admit, denied.next_at) == (Admit.DENIED, 105.0)
    assert breaker.may_claim(gate, 105.0).admit is Admit.FULL


def test_an_open_breaker_admits_one_probe_when_it_is_due() -> None:
    gate = faulted(Gate(), 3, now=100.0)
    assert breaker.may_claim(gate, 119.0).admit is Admit.DENIED
    assert breaker.may_claim(gate, 120.0).admit is Admit.PROBE
    probing = breaker.begin_probe(gate, 120.0, patience=60.0)
    assert probing.breaker is Breaker.HALF_OPEN
    assert breaker.may_claim(probing, 121.0) == breaker.Admission(Admit.DENIED, "another worker probes", 180.0)


def test_a_prober_that_was_never_heard_of_again_loses_its_probe() -> None:
    probing = breaker.begin_probe(faulted(Gate(), 3, now=100.0), 120.0, patience=60.0)
    assert breaker.may_claim(probing, 180.0).admit is Admit.PROBE


def test_each_failed_probe_waits_longer_up_to_the_cap() -> None:
    gate = faulted(Gate(), 3)
    waits = []
    now = 1000.0
    for _ in range(9):
        gate = breaker.begin_probe(gate, now)
        gate = breaker.on_fault(gate, now, uniform=longest)
        assert gate.probe_at is not None
        waits.append(gate.probe_at - now)
    assert waits[:3] == [40.0, 80.0, 160.0]
    assert waits[-1] == DESTINATION.cap == 900.0
    assert breaker.shown(gate) is Shown.OPEN


def test_stragglers_do_not_move_the_probe() -> None:
    gate = faulted(Gate(), 3, now=100.0)
    assert faulted(gate, 50, now=110.0).probe_at == gate.probe_at


def test_an_ambiguous_failure_opens_nothing_but_ends_a_probe() -> None:
    assert breaker.on_ambiguous(Gate(), 0.0, uniform=longest) == Gate()
    probing = breaker.begin_probe(faulted(Gate(), 3), 100.0)
    assert breaker.on_ambiguous(probing, 100.0, uniform=longest).breaker is Breaker.OPEN


def test_a_probe_that_taught_nothing_is_repeated_at_once() -> None:
    probing = breaker.begin_probe(faulted(Gate(), 3), 100.0)
    again = breaker.on_nothing_learned(probing, 101.0)
    assert breaker.may_claim(again, 101.0).admit is Admit.PROBE
    assert breaker.on_nothing_learned(Gate(), 101.0) == Gate()


def test_a_stored_item_closes_it_and_concurrency_restarts_at_one() -> None:
    gate = faulted(Gate(max_associations=4, effective_concurrency=4), 3)
    closed = breaker.on_success(breaker.begin_probe(gate, 100.0), 101.0)
    assert (closed.breaker, closed.faults, closed.concurrency, closed.last_success_at) == (Breaker.CLOSED, 0, 1, 101.0)
    assert breaker.may_claim(closed, 101.0).admit is Admit.FULL
    grown = [closed := breaker.on_batch_stored(closed) for _ in range(5)]
    assert [gate.concurrency for gate in grown] == [2, 3, 4, 4, 4]


def test_concurrency_halves_and_never_ends() -> None:
    gate = Gate(max_associations=5, effective_concurrency=5)
    seen = [(gate := breaker.on_crowded(gate)).concurrency for _ in range(4)]
    assert seen == [2, 1, 1, 1]


def test_concurrency_does_not_grow_while_faults_are_fresh() -> None:
    gate = faulted(Gate(max_associations=4), 1)
    assert breaker.on_batch_stored(gate) == gate


def test_a_smaller_limit_of_the_configuration_counts_at_once() -> None:
    assert Gate(max_associations=2, effective_concurrency=8).concurrency == 2


# --- Holds and pauses -------------------------------------------------------------------------------------------------


def test_a_hold_probes_after_one_minute_then_five_then_every_fifteen() -> None:
    gate = breaker.on_hold(Gate(), "unknown AE title", 0.0)
    waits = []
    now = 0.0
    for _ in range(5):
        assert gate.probe_at is not None
        waits.append(gate.probe_at - now)
        assert breaker.may_claim(gate, gate.probe_at - 0.1).reason == "held: unknown AE title"
        now = gate.probe_at
        assert breaker.may_claim(gate, now).admit is Admit.PROBE
        gate = breaker.on_hold(breaker.begin_probe(gate, now), "unknown AE title", now)
    assert waits == [60.0, 300.0, 900.0, 900.0, 900.0]
    assert (gate.hold_since, breaker.shown(gate)) == (0.0, Shown.HELD)


def test_a_held_destination_that_is_also_down_stays_held_and_keeps_its_pace() -> None:
    gate = breaker.begin_probe(breaker.on_hold(Gate(), "certificate", 0.0), 60.0)
    down = breaker.on_fault(gate, 60.0, uniform=longest)
    assert (breaker.shown(down), down.probe_at) == (Shown.HELD, 60.0 + 300.0)


def test_the_first_success_ends_a_hold() -> None:
    gate = breaker.begin_probe(breaker.on_hold(Gate(), "certificate", 0.0), 60.0)
    opened = breaker.on_success(gate, 61.0)
    assert (breaker.shown(opened), opened.hold_reason, opened.hold_since) == (Shown.CLOSED, "", None)


def test_a_pause_outranks_a_hold_and_only_a_person_ends_it() -> None:
    held = breaker.on_hold(Gate(), "certificate", 0.0)
    paused = breaker.on_pause(held, "ada")
    assert breaker.shown(paused) is Shown.PAUSED
    assert breaker.may_claim(paused, 1e9) == breaker.Admission(Admit.DENIED, "paused")
    assert breaker.shown(breaker.on_success(paused, 1.0)) is Shown.PAUSED
    assert breaker.on_resume(paused) == held


def test_release_makes_the_probe_due() -> None:
    held = breaker.on_hold(Gate(), "certificate", 0.0)
    assert breaker.may_claim(breaker.release(held, 5.0), 5.0).admit is Admit.PROBE
    waiting = faulted(Gate(), 1, now=5.0)
    assert breaker.may_claim(breaker.release(waiting, 5.0), 5.0).admit is Admit.FULL


def test_a_clock_that_jumped_back_blocks_nobody() -> None:
    gate = faulted(Gate(), 3, now=1e9)
    assert breaker.may_claim(gate, 5.0).admit is Admit.PROBE


# --- Decisions --------------------------------------------------------------------------------------------------------


def test_ambiguous_failures_join_the_streak_and_a_success_clears_it() -> None:
    gate = Gate()
    for item_id in (1, 2, 2, 3):
        gate = breaker.apply(gate, decision(Effect.AMBIGUOUS, charge=True), item_id, 1.0, uniform=zero)
    assert (gate.streak, gate.last_failed_item_id) == ((1, 2, 2, 3), 3)
    assert breaker.apply(gate, decision(Effect.SUCCESS), 4, 2.0, uniform=zero).streak == ()


def test_the_item_that_completes_a_streak_joins_it_once_and_the_streak_ends_growing() -> None:
    gate = Gate(streak=(1, 2, 3, 4))
    gate = breaker.apply(gate, decision(Effect.FAULT, refund=(1, 2, 3, 4)), 5, 1.0, uniform=zero)
    assert gate.streak == (1, 2, 3, 4, 5)
    gate = breaker.apply(gate, decision(Effect.FAULT), 6, 1.0, uniform=zero)
    assert (gate.streak, gate.faults) == ((1, 2, 3, 4, 5), 2)
    assert gate.history().streak == gate.streak


def test_permanent_rejects_count_in_a_row() -> None:
    reject = decision(Effect.FAULT, permanent_reject=True)
    gate = breaker.apply(breaker.apply(Gate(), reject, 1, 1.0, uniform=zero), reject, 1, 1.0, uniform=zero)
    assert gate.history().permanent_rejects == 2
    assert breaker.apply(gate, decision(Effect.FAULT), 1, 1.0, uniform=zero).permanent_rejects == 0


@pytest.mark.parametrize("effect", [Effect.NONE, Effect.FAULT, Effect.HOLD])
def test_what_was_only_given_back_did_not_fail(effect: Effect) -> None:
    given_back = Decision(Outcome.DEST_DOWN, ItemState.READY, "words", effect)
    assert not given_back.failed
    assert breaker.apply(Gate(), given_back, 7, 1.0, uniform=zero).last_failed_item_id is None
    assert breaker.apply(Gate(), decision(effect), 7, 1.0, uniform=zero).last_failed_item_id == 7


def test_crowded_halves() -> None:
    gate = Gate(max_associations=4, effective_concurrency=4)
    assert breaker.apply(gate, decision(Effect.FAULT, halve=True), 1, 1.0, uniform=zero).concurrency == 2


gates = st.builds(
    Gate,
    max_associations=st.integers(1, 8),
    effective_concurrency=st.integers(0, 20),
    breaker=st.sampled_from(Breaker),
    faults=st.integers(0, 10_000),
    probe_at=st.none() | st.floats(0, 1e6),
    probes=st.integers(0, 10_000),
    hold_reason=st.sampled_from(["", "reason"]),
    streak=st.lists(st.integers(1, 9), max_size=9).map(tuple),
    last_success_at=st.none() | st.floats(0, 1e6),
)
decisions = st.builds(
    decision,
    st.sampled_from(Effect),
    charge=st.booleans(),
    halve=st.booleans(),
    hold_reason=st.just("a reason"),
    permanent_reject=st.booleans(),
)


@given(gates, decisions, st.floats(0, 1e6), st.floats(0, 1))
def test_whatever_happens_it_can_be_claimed_again_within_fifteen_minutes(
    gate: Gate, happened: Decision, now: float, fraction: float
) -> None:
    after = breaker.apply(gate, happened, 1, now, uniform=lambda low, high: low + fraction * (high - low))
    assert 1 <= after.concurrency <= after.max_associations
    assert len(frozenset(after.streak)) <= max(STREAK, len(frozenset(gate.streak)))
    assert breaker.may_claim(after, now + 15 * 60.0).admit is not Admit.DENIED
    if happened.effect is Effect.SUCCESS:
        assert breaker.may_claim(after, now).admit is Admit.FULL


# --- Nights, weekends, bad instances ----------------------------------------------------------------------------------

DOWN = [
    Event(EventKind.CONNECT_FAILED),
    Event(EventKind.TLS_FAILED),
    Event(EventKind.CLOSED_AT_REQUEST),
    *(Event(EventKind.REJECTED, result=1, source=1, reason=reason) for reason in (1, 2, 3, 7)),
    Event(EventKind.REJECTED, result=2, source=3, reason=2),
    Event(EventKind.ABORTED),
    *(
        Event(kind, in_flight=True)
        for kind in (
            EventKind.ABORTED,
            EventKind.RESET,
            EventKind.ACSE_TIMEOUT,
            EventKind.DIMSE_TIMEOUT,
            EventKind.BAD_RESPONSE,
        )
    ),
    *(Event(EventKind.RESPONSE, status=code) for code in (0xA700, 0xA801, 0xC000, 0x0110, 0x0124, 0x0210, 0x0213)),
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(DOWN), min_size=1, max_size=3),
    st.integers(1, 30),
    st.sampled_from([NIGHT, WEEKEND]),
    st.booleans(),
    st.integers(0, 2**31),
)
def test_downtime_fails_no_instance(
    answers: list[Event], count: int, downtime: float, was_well: bool, seed: int
) -> None:
    begins = 600.0 if was_well else 0.0
    ledger = SmallLedger(
        lambda item_id, now: (
            answers[int(now + item_id) % len(answers)] if begins <= now < begins + downtime else STORED
        ),
        seed=seed,
    )
    ledger.add(range(100, 103))
    ledger.run(until=begins)
    ledger.now = begins
    ledger.add(range(1, count + 1))
    ledger.run(until=begins + downtime)
    assert ledger.states() <= {ItemState.READY, ItemState.RETRY, ItemState.DONE}
    ledger.run(until=begins + downtime + 25 * HOUR)
    assert ledger.states() == {ItemState.DONE}
    assert breaker.shown(ledger.gate) is Shown.CLOSED


@pytest.mark.parametrize("answer", DOWN, ids=lambda e: f"{e.kind}-{e.status}-{e.result}{e.source}{e.reason}")
def test_downtime_is_met_by_few_tries(answer: Event) -> None:
    ledger = SmallLedger(lambda *_: answer)
    ledger.add(range(1, 1001))
    ledger.run(until=WEEKEND)
    tries = sum(item.sends for item in ledger.items.values())
    # A probe every 7 minutes on average, and what failed before the breaker opened.
    assert tries < 1000
    assert sum(item.attempts for item in ledger.items.values()) == 0


BAD = [
    *(Event(EventKind.RESPONSE, status=code) for code in (0xA700, 0xA801, 0xC000, 0x0110, 0x0213)),
    *(Event(kind, in_flight=True) for kind in (EventKind.ABORTED, EventKind.RESET, EventKind.DIMSE_TIMEOUT)),
]


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(BAD), st.integers(0, 2**31), st.integers(1, 20))
def test_one_bad_instance_opens_nothing_while_others_are_stored(answer: Event, seed: int, batch: int) -> None:
    ledger = SmallLedger(lambda item_id, _: answer if item_id == 1 else STORED, seed=seed, batch=batch)
    ledger.add([1])
    for hour in range(72):
        ledger.add(range(100 * (hour + 1), 100 * (hour + 1) + 20))
        ledger.run(until=(hour + 1) * HOUR)
        ledger.now = max(ledger.now, (hour + 1) * HOUR)
    bad = ledger.items.pop(1)
    assert ledger.states() == {ItemState.DONE}
    assert all(item.sends == 1 for item in ledger.items.values())
    assert ledger.opened == 0
    assert bad.state in {ItemState.DEAD, ItemState.FAILED}
    assert bad.settled_at is not None
    assert bad.state is ItemState.FAILED or bad.settled_at >= PATIENCE


@pytest.mark.parametrize("answer", BAD, ids=lambda e: f"{e.kind}-{e.status}")
@pytest.mark.parametrize("seed", [0, 1])
def test_a_bad_study_comes_to_its_own_end_and_the_others_go_on(answer: Event, seed: int) -> None:
    ledger = SmallLedger(lambda item_id, _: answer if item_id < 100 else STORED, seed=seed)
    ledger.add(range(1, 61))
    for hour in range(24 * 7):
        ledger.add(range(100 * (hour + 1), 100 * (hour + 1) + 20))
        ledger.run(until=(hour + 1) * HOUR)
        ledger.now = max(ledger.now, (hour + 1) * HOUR)
    bad = [ledger.items.pop(item_id) for item_id in range(1, 61)]
    assert ledger.states() == {ItemState.DONE}
    assert {item.state for item in bad} <= {ItemState.DEAD, ItemState.FAILED}
    waits = [(item.settled_at or ledger.now) - item.added_at for item in ledger.items.values()]
    assert max(waits) < HOUR


def test_a_database_that_goes_down_in_mid_transfer_is_noticed_within_seconds() -> None:
    ledger = SmallLedger(lambda _, now: STORED if now < 100.5 else Event(EventKind.RESPONSE, status=0xC000), batch=200)
    ledger.add(range(1, 1000))
    ledger.run(until=120.0)
    assert ledger.gate.breaker is not Breaker.CLOSED
    assert sum(item.attempts for item in ledger.items.values()) == 0


@pytest.mark.parametrize("first", [Event(EventKind.CONNECT_FAILED), Event(EventKind.RESET, in_flight=True)], ids=str)
def test_neighbours_of_one_outage_still_witness_the_next(first: Event) -> None:
    stored = 0

    def peer(_: int, now: float) -> Event:
        nonlocal stored
        if now < HOUR:
            return first
        if stored < 20:
            stored += 1
            return STORED
        return Event(EventKind.RESPONSE, status=0xC000)

    ledger = SmallLedger(peer, batch=200)
    ledger.add(range(1, 1000))
    ledger.run(until=3 * HOUR)
    assert stored == 20
    assert ledger.gate.breaker is not Breaker.CLOSED
    assert sum(item.sends for item in ledger.items.values()) < 200
