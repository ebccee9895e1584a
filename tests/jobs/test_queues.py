"""Names of queues."""

from __future__ import annotations

import pytest

from gurney.errors import ConfigError
from gurney.jobs.queues import Lane, queue_name, queue_names


def test_a_queue_is_named_after_pool_and_lane() -> None:
    assert queue_name("main", Lane.STAT) == "main.stat"
    assert queue_name("main", Lane.WORK) == "main.work"


def test_the_urgent_lane_is_asked_first_whatever_the_order_given() -> None:
    assert queue_names("main", [Lane.WORK, Lane.STAT, Lane.WORK]) == ("main.stat", "main.work")
    assert queue_names("main", [Lane.WORK]) == ("main.work",)


@pytest.mark.parametrize("pool", ["", "a.b", "a,b", "a b", "-a", "_a", "a\n", "ä", "a" * 65, "a/b", "a*"])
def test_a_pool_name_that_could_be_mistaken_is_refused(pool: str) -> None:
    with pytest.raises(ConfigError, match="pool"):
        queue_name(pool, Lane.WORK)


@pytest.mark.parametrize("pool", ["a", "0", "main", "Site-2_ct", "a" * 64])
def test_an_ordinary_pool_name_is_taken(pool: str) -> None:
    assert queue_name(pool, Lane.WORK).startswith(pool)


def test_a_worker_without_lanes_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one lane of stat, work"):
        queue_names("main", [])
