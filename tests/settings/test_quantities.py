from __future__ import annotations

import pytest

from gurney.settings.quantities import Reserve, format_duration, parse_duration, parse_reserve


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("60s", 60), ("1.5m", 90), ("30 m", 1800), ("12h", 43200), ("2d", 172800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("value", ["", "60", "s", "-1s", "1 week", "1s 2s", True, None, []])
def test_refuses_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(value)


@pytest.mark.parametrize("text", ["1d", "12h", "90m", "61s", "0.25s"])
def test_a_duration_is_written_as_it_is_read(text: str) -> None:
    assert format_duration(parse_duration(text)) == text


def test_a_reserve_is_a_share_or_a_size() -> None:
    assert parse_reserve("10%") == Reserve(share=0.1)
    assert parse_reserve("10%").of(2000) == 200
    assert parse_reserve("20GB") == Reserve(size=20 * 10**9)
    assert parse_reserve("20GB").of(2000) == 20 * 10**9


@pytest.mark.parametrize("text", ["10%", "2.5%", "20GB", "1.5TB", "0B", "0%"])
def test_a_reserve_survives_writing(text: str) -> None:
    assert parse_reserve(str(parse_reserve(text))) == parse_reserve(text)


@pytest.mark.parametrize("value", ["", "10", "100%", "5 apples", "-1GB", 10, None])
def test_refuses_what_is_no_reserve(value: object) -> None:
    with pytest.raises(ValueError, match="is not an amount of disk space"):
        parse_reserve(value)
