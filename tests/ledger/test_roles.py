"""Roles: one holder at a time, free when they run out, and at once for the holder itself."""

from __future__ import annotations

from gurney.ledger import roles
from tests.ledger.world import World


def test_a_role_has_one_holder_until_it_runs_out(world: World) -> None:
    first = world.ledger.transact(roles.assume, "reconciler", "a", 30.0)
    assert first is not None
    assert world.ledger.transact(roles.assume, "reconciler", "b", 30.0) is None
    assert world.ledger.transact(roles.keep, first, 30.0)
    world.clock.pass_by(30.0)
    assert not world.ledger.transact(roles.keep, first, 30.0)
    second = world.ledger.transact(roles.assume, "reconciler", "b", 30.0)
    assert second is not None
    assert second.fence > first.fence
    assert not world.ledger.transact(roles.keep, first, 30.0)


def test_a_holder_that_comes_back_takes_its_role_up_at_once(world: World) -> None:
    before = world.ledger.transact(roles.assume, "watch:ct1", "host:1", 30.0)
    after = world.ledger.transact(roles.assume, "watch:ct1", "host:1", 30.0)
    assert before is not None
    assert after is not None
    assert not world.ledger.transact(roles.keep, before, 30.0), "what its former life still writes must not count"
    assert world.ledger.transact(roles.keep, after, 30.0)


def test_a_role_that_was_resigned_is_free(world: World) -> None:
    first = world.ledger.transact(roles.assume, "pruner", "a", 30.0)
    assert first is not None
    world.ledger.transact(roles.resign, first)
    assert world.ledger.transact(roles.assume, "pruner", "b", 30.0) is not None
    world.ledger.transact(roles.resign, first)
    assert world.ledger.transact(roles.assume, "pruner", "a", 30.0) is None, "a former holder can't resign for another"


def test_a_lease_from_a_clock_that_ran_ahead_does_not_hold(world: World) -> None:
    world.clock.pass_by(1_000_000.0)
    assert world.ledger.transact(roles.assume, "sealer", "a", 30.0) is not None
    world.clock.pass_by(-1_000_000.0)
    assert world.ledger.transact(roles.assume, "sealer", "b", 30.0) is not None
