"""Who works, and what makes a worker stop between two instances."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gurney.ledger import destinations, operations, workers
from gurney.ledger.models import Destination, Worker
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim
from gurney.ledger.workers import Interruption
from gurney.transfer.states import Priority
from tests.ledger.world import World, ids_of


def look(world: World, claimed: Claim) -> Interruption:
    """Look between two instances."""
    with world.ledger.read() as conn:
        return workers.interruption(conn, claimed.ticket, claimed.priority, ids_of(claimed))


def test_nothing_stops_a_batch_that_nobody_wants_stopped(world: World) -> None:
    world.items(2)
    assert look(world, world.take()) == Interruption("", frozenset())


def test_a_drain_a_pause_and_a_waiting_stat_stop_it(world: World) -> None:
    world.items(2)
    claimed = world.take()
    world.change(Destination, world.destination(), stat_waiting_at=world.clock.time)
    assert look(world, claimed).stop == "STAT goes first"
    world.ledger.transact(destinations.pause, "archive", "somebody")
    assert look(world, claimed).stop == "paused"
    world.ledger.transact(workers.set_draining, draining=True)
    assert look(world, claimed).stop == "draining"


def test_stat_does_not_stop_stat(world: World) -> None:
    world.items(2, priority=Priority.STAT)
    claimed = world.take()
    world.change(Destination, world.destination(), stat_waiting_at=world.clock.time)
    assert look(world, claimed).stop == ""


def test_what_was_cancelled_is_told_to_its_worker_only(world: World) -> None:
    world.destination(max_associations=2)
    world.items(2, study="1")
    other = world.items(2, study="2")
    first, second = world.take(), world.take()
    operations.cancel(world.ledger, Selection(study_instance_uid="2"), "somebody")
    assert look(world, first) == Interruption("", frozenset())
    assert look(world, second) == Interruption("", frozenset(other))


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
