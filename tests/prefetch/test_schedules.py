"""Rules are done by the clock on the wall: once in each night in which it is moved, and caught up with as they say."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gurney.prefetch.schedules import horizon, is_scheduled, missed, next_time
from gurney.settings import Prefetch

BERLIN = ZoneInfo("Europe/Berlin")


def rule(**keys: Any) -> Prefetch:
    return Prefetch(**({"name": "a", "from": ["archive"], "to": ["station"], "patients": "/list.csv"} | keys))


def at(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def shown(moment: float) -> str:
    return datetime.fromtimestamp(moment, BERLIN).isoformat(" ", "minutes")[:16]


@pytest.mark.parametrize(
    ("keys", "after", "following"),
    [
        ({"schedule": "0 20 * * *"}, "2026-11-24 19:59", "2026-11-24 20:00"),
        ({"schedule": "0 20 * * *"}, "2026-11-24 20:00", "2026-11-25 20:00"),
        ({"schedule": "0 20 * * *"}, "2026-10-24 21:00", "2026-10-25 20:00"),
        ({"schedule": "30 2 * * *"}, "2026-03-28 03:00", "2026-03-29 03:00"),  # 02:30 is left out
        ({"every": "15m"}, "2026-11-24 12:01", "2026-11-24 12:15"),
        ({"schedule": "0 20 * * *", "every": "1h"}, "2026-11-24 19:30", "2026-11-24 20:00"),
        ({"schedule": "5 20 * * *", "every": "1h"}, "2026-11-24 20:00", "2026-11-24 20:05"),
    ],
)
def test_the_next_time(keys: dict[str, Any], after: str, following: str) -> None:
    assert shown(next_time(rule(**keys), BERLIN, at(after))) == following


def test_a_time_that_comes_twice_is_done_once() -> None:
    nightly = rule(schedule="30 2 * * *")
    first = next_time(nightly, BERLIN, at("2026-10-24 12:00"))
    assert shown(first) == "2026-10-25 02:30"
    assert shown(next_time(nightly, BERLIN, first)) == "2026-10-26 02:30"


def test_a_rule_without_times_is_never_done_by_itself() -> None:
    assert not is_scheduled(rule())
    assert is_scheduled(rule(every="15m"))


@pytest.mark.parametrize(
    ("catch_up", "now", "times"),
    [
        ("skip", "2026-11-24 20:04", ["2026-11-24 20:00"]),
        ("skip", "2026-11-24 20:06", []),
        ("once", "2026-11-26 12:00", ["2026-11-25 20:00"]),
        ("all", "2026-11-26 12:00", ["2026-11-24 20:00", "2026-11-25 20:00"]),
    ],
)
def test_what_was_missed(catch_up: str, now: str, times: list[str]) -> None:
    nightly = rule(schedule="0 20 * * *", catch_up=catch_up)
    assert [shown(one) for one in missed(nightly, BERLIN, at("2026-11-24 20:00"), at(now))] == times


def test_a_year_of_quarters_of_an_hour_is_caught_up_with_in_a_hundred() -> None:
    often = rule(every="15m", catch_up="all")
    assert len(missed(often, BERLIN, at("2025-11-24 00:00"), at("2025-12-24 00:00"))) == 100


@pytest.mark.parametrize(
    ("text", "now", "begin", "end"),
    [
        ("today", "2026-11-24 12:00", "2026-11-24 12:00", "2026-11-25 00:00"),
        ("next_day", "2026-11-27 20:00", "2026-11-28 00:00", "2026-11-29 00:00"),
        ("next_working_day", "2026-11-27 20:00", "2026-11-30 00:00", "2026-12-01 00:00"),
        ("next_working_day", "2026-12-23 20:00", "2026-12-24 00:00", "2026-12-25 00:00"),
        ("next_working_day", "2026-12-24 20:00", "2026-12-28 00:00", "2026-12-29 00:00"),
        ("36h", "2026-11-24 12:00", "2026-11-24 12:00", "2026-11-26 00:00"),
        ("next_day", "2026-10-24 20:00", "2026-10-25 00:00", "2026-10-26 00:00"),
    ],
)
def test_whose_appointments_count(text: str, now: str, begin: str, end: str) -> None:
    found = horizon(text, at(now), BERLIN, [date(2026, 12, 25)])
    assert tuple(map(shown, found)) == (begin, end)
