"""Leases: renewed by their holder only, lost when they run out, and given back whole."""

from __future__ import annotations

import dataclasses

import pytest

from gurney.ledger import leases, reconciling
from gurney.ledger.errors import LeaseLost
from gurney.ledger.leases import LEASE_SECONDS, LONGEST_LEASE
from gurney.ledger.models import Lease
from gurney.transfer.states import ItemState
from tests.ledger.world import World, ids_of


def test_a_renewal_prolongs_a_lease(world: World) -> None:
    world.items(1)
    claimed = world.take()
    world.clock.pass_by(LEASE_SECONDS - 1)
    world.renew(claimed)
    world.clock.pass_by(LEASE_SECONDS - 1)
    world.settle(claimed)


def test_only_the_current_fence_may_renew(world: World) -> None:
    world.items(1)
    claimed = world.take()
    forged = dataclasses.replace(claimed.ticket, fence=claimed.ticket.fence - 1)
    with pytest.raises(LeaseLost):
        world.ledger.transact(leases.renew, forged)
    with pytest.raises(LeaseLost):
        world.ledger.transact(leases.assert_live, forged)
    assert world.ledger.transact(leases.release, forged, "w1") is None


@pytest.mark.parametrize("how", ["run out", "taken over", "released", "unknown"])
def test_a_lease_that_is_gone_is_not_renewed(world: World, how: str) -> None:
    world.items(1)
    claimed = world.take()
    match how:
        case "run out":
            world.crash()
        case "taken over":
            world.crash()
            world.take()
        case "released":
            world.finish(claimed)
        case _:
            claimed = dataclasses.replace(claimed, ticket=dataclasses.replace(claimed.ticket, id=99))
    with pytest.raises(LeaseLost):
        world.renew(claimed)


def test_a_late_release_before_anybody_noticed_gives_all_back(world: World) -> None:
    ids = world.items(2)
    claimed = world.take()
    world.crash()
    assert world.finish(claimed) == 2
    assert [world.item(item).crash_suspect for item in ids] == [0, 0], "its worker lives"


def test_a_lost_lease_is_one_row_and_charges_nobody(world: World) -> None:
    ids = world.items(3)
    claimed = world.take()
    world.crash()
    assert reconciling.expire_leases(world.ledger) == 1
    assert world.lease(claimed).state == "lost"
    assert world.states(ids) == [ItemState.READY] * 3
    assert [(world.item(item).attempts, world.item(item).crash_suspect) for item in ids] == [(0, 1)] * 3
    assert world.attempts(ids[0]) == []
    assert world.audited("lease.lost") == 1


@pytest.mark.parametrize("by", ["another claim", "the reconciler"])
def test_a_long_lease_is_not_judged_by_the_length_of_others(world: World, by: str) -> None:
    world.destination(max_associations=2)
    world.items(1, study="1")
    world.items(1, study="2")
    long = world.take(ttl=LONGEST_LEASE)
    world.clock.pass_by(LONGEST_LEASE - 1)
    if by == "another claim":
        world.take(ttl=5.0)
    else:
        assert reconciling.expire_leases(world.ledger) == 0
    world.settle(long)


@pytest.mark.parametrize("ahead", [1.1 * LEASE_SECONDS, 3_600.0, 365 * 86_400.0])
@pytest.mark.parametrize("by", ["another claim", "the reconciler"])
def test_a_lease_of_a_clock_that_was_ahead_is_lost(world: World, ahead: float, by: str) -> None:
    ids = world.items(1)
    world.clock.pass_by(ahead)
    world.take()
    world.clock.pass_by(-ahead)
    if by == "the reconciler":
        assert reconciling.expire_leases(world.ledger) == 1
    assert ids_of(world.take()) == ids


def test_a_renewal_of_a_clock_that_was_far_ahead_is_lost(world: World) -> None:
    ids = world.items(1)
    claimed = world.take()
    world.change(Lease, claimed.ticket.id, until=world.clock.time + 3 * LONGEST_LEASE)
    assert ids_of(world.take()) == ids
