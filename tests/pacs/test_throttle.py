"""What passes in a minute is what the rate says, however it is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.pacs.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def spent(throttle: Throttle, clock: Clock, parts: list[int]) -> float:
    """Let parts pass as somebody does who waits as long as he is told; return the seconds that it took."""
    begun = clock.time
    for part in parts:
        clock.time += throttle.wait
        assert throttle.wait < 1e-6
        throttle.take(part)
    return clock.time - begun


@given(st.lists(st.integers(1, 5_000), min_size=1, max_size=200))
def test_no_more_passes_than_the_rate_and_one_seconds_worth(parts: list[int]) -> None:
    clock = Clock()
    seconds = spent(Throttle(1_000, clock), clock, parts)
    assert sum(parts[:-1]) <= 1_000 * (seconds + 1) + 1e-3
    assert seconds <= sum(parts[:-1]) / 1_000, "nobody waits longer than it takes"


def test_a_pause_saves_no_more_than_a_second() -> None:
    clock = Clock()
    throttle = Throttle(10, clock)
    clock.time += 3600
    assert spent(throttle, clock, [10, 10, 10]) == pytest.approx(1.0)


def test_a_rate_that_changes_counts_from_then_on() -> None:
    clock = Clock()
    throttle = Throttle(10, clock)
    throttle.take(30)
    assert throttle.wait == pytest.approx(2.0)
    throttle.rate = 40
    assert throttle.wait == pytest.approx(0.5)


@pytest.mark.parametrize("rate", [0, -1, float("inf"), float("nan")])
def test_a_rate_is_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="positive"):
        Throttle(rate)
