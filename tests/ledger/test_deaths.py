"""What dead neighbours held comes back at once, as from a lease that has run out; nobody else's does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from gurney.ledger import workers
from gurney.ledger.deaths import bury
from gurney.ledger.models import Destination, Lease, Worker
from gurney.ledger.processes import ProcessName
from gurney.transfer.states import ItemState
from tests.ledger.world import World, ids_of

ALIVE = ProcessName.of_this_process("work")
GONE = replace(ALIVE, started=ALIVE.started - 1)
ELSEWHERE = replace(GONE, place="0123456789ab")


def announce(world: World, *names: object) -> None:
    for name in names:
        world.ledger.transact(workers.announce, str(name), host="h1", kind="work", slots=1, spools=["main"])


def announced(world: World) -> list[str]:
    with world.ledger.read() as conn:
        return list(conn.scalars(select(Worker.name)))


def test_the_dead_hold_nothing_and_are_not_seen(world: World) -> None:
    ids = world.items(3)
    claimed = world.take(worker=str(GONE))
    announce(world, GONE, ALIVE)
    assert bury(world.ledger) == 1
    assert announced(world) == [str(ALIVE)]
    assert world.lease(claimed).state == "lost"
    assert world.states(ids) == [ItemState.READY] * 3
    assert [world.item(item).crash_suspect for item in ids] == [1] * 3
    assert [world.item(item).attempts for item in ids] == [0] * 3
    assert world.audited("lease.lost") == 1
    assert ids_of(world.take(worker=str(ALIVE))) == ids
    assert bury(world.ledger) == 0


@pytest.mark.parametrize("holder", [str(ALIVE), str(ELSEWHERE), "h1:2:1"], ids=["alive", "elsewhere", "unknown"])
def test_who_may_live_keeps_everything(world: World, holder: str) -> None:
    world.items(2)
    claimed = world.take(worker=holder)
    announce(world, holder)
    assert bury(world.ledger) == 0
    assert announced(world) == [holder]
    assert world.lease(claimed).state == "live"


def test_the_dead_at_every_destination_are_found_though_they_never_announced_themselves(world: World) -> None:
    for destination in ("archive", "research"):
        world.items(1, destination=destination)
        world.take(destination, worker=str(GONE))
    assert bury(world.ledger) == 2


def test_a_probe_that_died_has_told_nothing(world: World) -> None:
    world.items(2)
    world.change(Destination, world.destination(), breaker="open", probe_at=world.clock.time, faults=3)
    assert world.take(worker=str(GONE)).probe
    bury(world.ledger)
    assert world.row().breaker == "open"
    with world.ledger.read() as conn:
        assert list(conn.scalars(select(Lease.state))) == ["lost"]
