"""The reconciler finds by the ledger's rows whatever a message, a worker or a daemon lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from gurney.ledger import roles
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Transfer
from gurney.transfer.states import ItemState
from gurney_daemon.reconciler import Reconciler
from tests.ledger.world import World
from tests.services import wait_until


@contextmanager
def reconciling(world: World, holder: str = "one") -> Iterator[list[Bell]]:
    """Run a reconciler; yields what it has rung."""
    rung: list[Bell] = []
    stop = threading.Event()
    reconciler = Reconciler(world.ledger, rung.extend, holder=holder, quiet=60.0, max_wait=1800.0)
    thread = threading.Thread(target=reconciler.run, args=(stop,))
    thread.start()
    try:
        yield rung
    finally:
        stop.set()
        thread.join()


def rests(world: World) -> bool:
    """Tell whether the one transfer has come to rest."""
    with world.ledger.read() as conn:
        return conn.execute(Transfer.__table__.select()).one().quiet_since is not None


def test_due_work_is_rung_for_whoever_forgot_it(world: World) -> None:
    world.items(1)
    with reconciling(world) as rung:
        wait_until(lambda: rung, what="a ring")
    assert rung[0].destination == "archive"


def test_a_ring_that_nobody_answers_is_given_again(world: World) -> None:
    world.items(1)
    with reconciling(world) as rung:
        wait_until(lambda: len(rung) == 1, what="a ring")
        world.clock.pass_by(6)
        wait_until(lambda: len(rung) == 2, what="another")


def test_what_a_dead_worker_held_is_ready_again(world: World) -> None:
    ids = world.items(2)
    world.take()
    world.crash()
    with reconciling(world):
        wait_until(lambda: set(world.states(ids)) == {ItemState.READY}, what="the items")
    assert {world.item(item).attempts for item in ids} == {0}


def test_a_study_that_rests_is_complete_and_lets_go_of_what_waited(world: World) -> None:
    ids = world.items(2, state=ItemState.HELD, held_for="study_complete")
    with reconciling(world):
        world.clock.pass_by(61)
        wait_until(lambda: set(world.states(ids)) == {ItemState.READY}, what="the release")
        assert not rests(world), "it is on its way now"
        world.send_all()
        wait_until(lambda: rests(world), what="the rest")


def test_only_one_of_two_reconciles_until_it_resigns(world: World) -> None:
    world.items(1)
    with reconciling(world, holder="one") as first:
        wait_until(lambda: first, what="a ring")
        with reconciling(world, holder="two") as second:
            world.clock.pass_by(6)
            wait_until(lambda: len(first) == 2, what="the first one's next ring")
            assert second == []
    assert world.ledger.transact(roles.assume, "reconciler", "three") is not None
