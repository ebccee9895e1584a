"""What makes a worker stop between two instances, and what does not."""

from __future__ import annotations

from gurney.ledger import destinations, interruptions, operations, workers
from gurney.ledger.interruptions import Interruption
from gurney.ledger.models import Destination
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim
from gurney.transfer.states import Priority
from tests.ledger.world import World, ids_of


def look(world: World, claimed: Claim) -> Interruption:
    """Look between two instances."""
    with world.ledger.read() as conn:
        return interruptions.interruption(conn, claimed.ticket, claimed.priority, ids_of(claimed))


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
