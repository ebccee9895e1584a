"""What a list of instances is worth, whose fault a failure is, and when a round was the last."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gurney.transfer.backoff import ATTEMPT_BUDGET, PATIENCE
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.retrieving import (
    ASK_ONCE_MORE,
    FRUITLESS_ROUNDS,
    Blame,
    Listing,
    RetrievalHistory,
    Round,
    SeriesListing,
    Step,
    Verdict,
    conclude_round,
    decide,
    judge_listing,
)

NOW = 1_000_000.0


def longest(_: float, high: float) -> float:
    return high


@pytest.mark.parametrize(
    ("series", "said", "listing"),
    [
        (None, None, Listing.NONE),
        (None, 10, Listing.NONE),
        ([], None, Listing.TRUSTED),
        ([SeriesListing(7)], None, Listing.TRUSTED),
        ([SeriesListing(7)], 7, Listing.TRUSTED),
        ([SeriesListing(7)], 8, Listing.DOUBTED),
        ([SeriesListing(7, 8)], None, Listing.DOUBTED),
        ([SeriesListing(7, 7), SeriesListing(3, 3)], None, Listing.TRUSTED),
        ([SeriesListing(7, 7), SeriesListing(3)], 12, Listing.DOUBTED),
        ([SeriesListing(100)], None, Listing.DOUBTED),
        ([SeriesListing(60), SeriesListing(40)], None, Listing.DOUBTED),
        ([SeriesListing(100)], 100, Listing.TRUSTED),
        ([SeriesListing(500, 500)], None, Listing.TRUSTED),
    ],
)
def test_a_list_counts_where_it_is_as_long_as_it_should_be(
    series: list[SeriesListing] | None, said: int | None, listing: Listing
) -> None:
    judged, words = judge_listing(series, said)
    assert judged is listing
    assert bool(words) == (listing is not Listing.TRUSTED)


def answer(status: int) -> Event:
    return Event(EventKind.RESPONSE, status=status)


@pytest.mark.parametrize(
    ("step", "status", "blame", "holds", "permanent"),
    [
        (Step.MOVE, 0xA701, Blame.SOURCE, False, False),
        (Step.MOVE, 0xA702, Blame.PAIR, False, False),
        (Step.MOVE, 0xB000, Blame.PAIR, False, False),
        (Step.MOVE, 0xA801, Blame.PAIR, True, False),
        (Step.MOVE, 0xC002, Blame.PAIR, True, False),
        (Step.MOVE, 0xA900, Blame.REQUEST, False, True),
        (Step.GET, 0xA702, Blame.REQUEST, False, False),
        (Step.GET, 0xAA02, Blame.REQUEST, False, True),
        (Step.FIND, 0xA700, Blame.REQUEST, False, False),
        (Step.FIND, 0x0122, Blame.REQUEST, False, True),
        (Step.FIND, 0x0124, Blame.SOURCE, True, False),
    ],
)
def test_whose_fault_an_answer_is(step: Step, status: int, blame: Blame, holds: bool, permanent: bool) -> None:
    decision = decide(answer(status), step, RetrievalHistory(move_destination="READING1"), NOW, uniform=longest)
    assert (decision.blame, bool(decision.hold), decision.permanent) == (blame, holds, permanent)
    if status == 0xA801:
        assert "'READING1'" in decision.hold


def test_a_vendors_code_is_no_unknown_destination_once_the_way_has_worked() -> None:
    decision = decide(answer(0xC002), Step.MOVE, RetrievalHistory(pair_worked=True), NOW, uniform=longest)
    assert (decision.blame, decision.hold) == (Blame.REQUEST, "")


def test_a_source_that_is_down_spends_no_attempt() -> None:
    down = Event(EventKind.CONNECT_FAILED, detail="refused")
    assert decide(down, Step.MOVE, RetrievalHistory(), NOW, uniform=longest).blame is Blame.SOURCE


def test_a_request_is_given_up_only_after_its_budget_and_a_day() -> None:
    history = RetrievalHistory(attempts=ATTEMPT_BUDGET, first_failed_at=NOW - PATIENCE + 1)
    assert not decide(answer(0xC001), Step.FIND, history, NOW, uniform=longest).permanent
    assert decide(answer(0xC001), Step.FIND, history, NOW + 2, uniform=longest).permanent


STAND = Round(
    listing=Listing.TRUSTED, expected=4, missing=1, arrived=3, fresh=3, fruitless=0, idle=60.0, grace=60.0, said=4
)


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"missing": 0, "arrived": 4, "idle": 0.0}, Verdict.COMPLETE),
        ({"expected": 0, "missing": 0, "arrived": 0}, Verdict.ABSENT),
        ({"idle": 59.0}, Verdict.WAIT),
        ({}, Verdict.AGAIN),
        ({"fresh": 0}, Verdict.AGAIN),
        ({"fresh": 0, "fruitless": FRUITLESS_ROUNDS - 1}, Verdict.INCOMPLETE),
        ({"fresh": 1, "fruitless": FRUITLESS_ROUNDS - 1}, Verdict.AGAIN),
        ({"listing": Listing.NONE, "expected": 0, "missing": 0, "said": None}, Verdict.UNPROVEN),
        ({"listing": Listing.NONE, "expected": 0, "missing": 0, "said": 4}, Verdict.AGAIN),
        ({"listing": Listing.NONE, "expected": 0, "missing": 0, "arrived": 0, "said": None}, Verdict.ABSENT),
        ({"listing": Listing.DOUBTED, "missing": 0, "said": 9}, Verdict.AGAIN),
    ],
)
def test_how_a_round_ends(changes: dict[str, object], verdict: Verdict) -> None:
    assert conclude_round(replace(STAND, **changes), uniform=longest).verdict is verdict  # type: ignore[arg-type]


def test_what_goes_on_well_is_asked_at_once_and_what_does_not_backs_off() -> None:
    assert conclude_round(STAND, uniform=longest).delay == 0.0
    first = conclude_round(replace(STAND, fresh=0), uniform=longest)
    second = conclude_round(replace(STAND, fresh=0, fruitless=first.fruitless), uniform=longest)
    assert first.delay is not None
    assert second.delay is not None
    assert 0 < first.delay < second.delay


def test_an_end_that_is_incomplete_is_looked_at_once_more_and_then_for_good() -> None:
    end = conclude_round(replace(STAND, fresh=0, fruitless=2), uniform=longest)
    assert (end.verdict, end.delay) == (Verdict.INCOMPLETE, ASK_ONCE_MORE)
    assert "1 instances did not come" in end.words
    once_more = conclude_round(replace(STAND, fresh=0, asked_once_more=True), uniform=longest)
    assert (once_more.verdict, once_more.delay) == (Verdict.INCOMPLETE, None)
