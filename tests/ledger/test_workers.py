"""Who works: seen from when they announce themselves until they leave or are silent for a day."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gurney.ledger import workers
from gurney.ledger.models import Worker
from tests.ledger.world import World


@pytest.fixture
def announced(world: World) -> World:
    """A worker that has said that it is there."""
    announce(world, "w1")
    return world


def announce(world: World, name: str) -> None:
    """Say that a worker is there."""
    world.ledger.transact(workers.announce, name, host="h1", kind="work", slots=2, spools=["main", "other"])


def test_a_worker_is_seen_until_it_leaves(announced: World) -> None:
    announced.clock.pass_by(15)
    announce(announced, "w1")
    with announced.ledger.read() as conn:
        row = conn.execute(select(Worker.__table__)).one()
    assert (row.name, row.spools, row.started_at + 15, row.seen_at) == (
        "w1",
        "main,other",
        row.seen_at,
        announced.clock.time,
    )
    announced.ledger.transact(workers.leave, "w1")
    with announced.ledger.read() as conn:
        assert conn.scalar(select(Worker.name)) is None


def test_who_was_not_heard_of_for_a_day_is_forgotten(announced: World) -> None:
    announced.clock.pass_by(86_401)
    announce(announced, "w2")
    with announced.ledger.read() as conn:
        assert list(conn.scalars(select(Worker.name))) == ["w2"]
