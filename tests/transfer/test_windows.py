"""Windows open and shut by the clock on the wall, also in the nights in which it is moved."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.transfer.windows import ALWAYS, Stand, parse_window

BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = "Mon-Fri 18:00-06:00"


def at(text: str, fold: int = 0) -> float:
    """Read a time of Berlin's clocks; 2026-11-23 is a Monday."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


@pytest.mark.parametrize(
    ("window", "now", "is_open", "changes_at"),
    [
        (NIGHTS, "2026-11-23 17:59:59", False, "2026-11-23 18:00"),
        (NIGHTS, "2026-11-23 18:00", True, "2026-11-24 06:00"),
        (NIGHTS, "2026-11-24 05:59:59", True, "2026-11-24 06:00"),
        (NIGHTS, "2026-11-24 06:00", False, "2026-11-24 18:00"),
        (NIGHTS, "2026-11-28 05:00", True, "2026-11-28 06:00"),  # Saturday: Friday's night
        (NIGHTS, "2026-11-28 12:00", False, "2026-11-30 18:00"),
        ("Sat,Sun 00:00-24:00", "2026-11-28 12:00", True, "2026-11-30 00:00"),
        ("Sat,Sun 00:00-24:00; Mon 00:00-06:00", "2026-11-28 12:00", True, "2026-11-30 06:00"),
        ("Fri-Mon 12:00-13:00", "2026-11-24 12:30", False, "2026-11-27 12:00"),
        ("22:00-23:00", "2026-11-25 22:30", True, "2026-11-25 23:00"),
        ("sun 10:00-11:00", "2026-11-29 11:00", False, "2026-12-06 10:00"),
    ],
)
def test_it_stands_as_the_wall_clock_says(window: str, now: str, is_open: bool, changes_at: str) -> None:
    assert parse_window(window).stand(at(now), BERLIN) == Stand(is_open, at(changes_at))


def test_what_is_always_open_never_changes() -> None:
    for text in ("", "00:00-24:00", "Mon-Sun 00:00-12:00; 12:00-24:00"):
        assert parse_window(text).stand(at("2026-11-25 12:00"), BERLIN) == Stand(is_open=True)
    assert parse_window(" ") is ALWAYS


def test_the_hour_that_comes_twice_is_open_twice() -> None:
    window = parse_window("Sun 02:00-03:00")  # 2026-10-25: 02:00 to 03:00 comes twice
    assert window.stand(at("2026-10-25 02:30"), BERLIN).is_open
    assert window.stand(at("2026-10-25 02:30", fold=1), BERLIN) == Stand(
        is_open=True, changes_at=at("2026-10-25 03:00")
    )


def test_the_hour_that_is_left_out_shuts_what_lies_in_it() -> None:
    window = parse_window("01:00-02:30")  # 2026-03-29: from 02:00 straight to 03:00
    stand = window.stand(at("2026-03-29 01:30"), BERLIN)
    assert stand.is_open
    assert stand.changes_at is not None
    assert stand.changes_at - at("2026-03-29 01:30") == 3600, "an hour and a half by the wall clock has begun at 01:00"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nights", '"nights" is no window'),
        ("Mon-Fri", "is no window"),
        ("Mon 18:00", "is no window"),
        ("Mun 18:00-19:00", '"Mun" is no day; use Mon, Tue, Wed, Thu, Fri, Sat, Sun'),
        ("18:60-19:00", "hours are 00:00 to 24:00"),
        ("18:00-24:01", "hours are 00:00 to 24:00"),
        ("18:00-18:00", "lasts no time"),
        ("24:00-06:00", "lasts no time"),
    ],
)
def test_a_mistake_says_what_it_is(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        parse_window(text)
    assert told in str(raised.value)


@given(st.integers(1_700_000_000, 1_900_000_000), st.sampled_from([NIGHTS, "Sat 10:00-09:00", "Sun,Wed 01:30-02:30"]))
def test_it_is_otherwise_just_after_it_changes_and_not_before(now: int, text: str) -> None:
    window = parse_window(text)
    stand = window.stand(now, BERLIN)
    assert stand.changes_at is not None
    assert stand.changes_at > now
    assert window.stand((now + stand.changes_at) / 2, BERLIN).is_open is stand.is_open
    assert window.stand(stand.changes_at, BERLIN).is_open is not stand.is_open
