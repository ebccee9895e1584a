"""Destinations: what the configuration says is copied, what was learned stays."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import text

from gurney.ledger import destinations, leases, refusals
from gurney.ledger.database import Transaction
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.errors import LedgerUnavailable
from gurney.ledger.models import Destination
from gurney.transfer.states import ItemState
from tests.ledger.world import MR, World, answered


def sync(world: World, *specs: DestinationSpec) -> None:
    """Configure."""
    world.ledger.transact(destinations.sync, specs, "config")


ARCHIVE = DestinationSpec("archive", "ORTHANC", "GURNEY", max_associations=2)


def test_a_new_destination_starts_with_all_its_associations(world: World) -> None:
    sync(world, ARCHIVE)
    row = world.row()
    assert (row.ae_title, row.calling_ae_title, row.effective_concurrency) == ("ORTHANC", "GURNEY", 2)
    assert (row.breaker, row.fence) == ("closed", 0)
    assert world.audited("destination.added") == 1


def test_configuring_the_same_again_changes_nothing(world: World) -> None:
    sync(world, ARCHIVE)
    before = world.row()
    sync(world, ARCHIVE)
    assert world.row() == before
    assert world.audited("destination.changed") == 0


def test_what_was_learned_of_a_destination_outlives_a_change(world: World) -> None:
    sync(world, ARCHIVE)
    world.change(Destination, world.row().id, breaker="open", effective_concurrency=1)
    sync(world, DestinationSpec("archive", "OTHER", "GURNEY", max_associations=2))
    assert (world.row().ae_title, world.row().breaker, world.row().effective_concurrency) == ("OTHER", "open", 1)
    sync(world, DestinationSpec("archive", "OTHER", "GURNEY", max_associations=4))
    assert world.row().effective_concurrency == 4


def test_what_is_gone_from_the_configuration_is_retired_and_comes_back(world: World) -> None:
    sync(world, ARCHIVE)
    sync(world)
    assert world.row().retired
    sync(world)
    assert world.audited("destination.retired") == 1
    sync(world, ARCHIVE)
    assert not world.row().retired


def refused(world: World) -> list[int]:
    """Let a destination refuse a SOP class."""
    ids = world.items(2, sop_class_uid=MR)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    world.denied()
    return ids


def test_a_reload_forgets_refusals(world: World) -> None:
    ids = refused(world)
    sync(world, ARCHIVE)
    assert refusals.expire(world.ledger) == 2
    assert world.states(ids) == [ItemState.READY] * 2
    assert world.ledger.transact(refusals.active, world.row().id) == {}


def test_so_does_whoever_says_that_the_peer_was_taught(world: World) -> None:
    ids = refused(world)
    assert world.ledger.transact(destinations.probe_now, "archive")
    assert refusals.expire(world.ledger) == 2
    assert world.states(ids) == [ItemState.READY] * 2
    assert not world.ledger.transact(destinations.probe_now, "nowhere")


def test_pause_and_resume_tell_whether_there_is_such_a_destination(world: World) -> None:
    sync(world, ARCHIVE)
    assert world.ledger.transact(destinations.pause, "archive", "somebody")
    assert (world.row().paused_by, world.row().paused_at) == ("somebody", world.clock.time)
    assert world.ledger.transact(destinations.resume, "archive", "somebody")
    assert (world.row().paused_by, world.row().paused_at) == ("", None)
    assert not world.ledger.transact(destinations.pause, "nowhere", "somebody")
    assert not world.ledger.transact(destinations.resume, "nowhere", "somebody")
    assert world.audited("destination.state") == 2


LOCKS = [
    lambda tx: destinations.lock(tx, "archive"),
    lambda tx: destinations.lock_by_id(tx, 1),
    lambda tx: leases.lock_destination(tx, 1),
]


@pytest.mark.parametrize("lock", LOCKS, ids=["lock", "lock_by_id", "lock_destination"])
def test_while_somebody_claims_or_settles_items_are_added_and_nobody_else_does(
    postgresql_world: World, lock: Callable[[Transaction], object]
) -> None:
    world = postgresql_world
    assert (world.destination(), world.spool()) == (1, 1)

    def impatiently(tx: Transaction, work: Callable[[Transaction], object]) -> None:
        tx.conn.execute(text("SET LOCAL lock_timeout = '200ms'"))
        work(tx)

    with world.ledger.write() as tx:
        lock(tx)
        world.items(1)  # would wait for as long as we do, and then fail
        for other in LOCKS:
            with pytest.raises(LedgerUnavailable, match="lock timeout"), world.ledger.write() as second:
                impatiently(second, other)
