"""Roles: one holder at a time, by ledger time, and fenced."""

from __future__ import annotations

import threading

from gurney.ledger import roles
from gurney.ledger.roles import RoleTicket
from tests.ledger.world import World


def assume(world: World, holder: str = "a") -> RoleTicket | None:
    """Try to become the reconciler for 30 seconds."""
    return world.ledger.transact(roles.assume, "reconciler", holder, 30.0)


def test_a_role_has_one_holder_until_it_runs_out(world: World) -> None:
    first = assume(world)
    assert first is not None
    assert assume(world, "b") is None
    world.clock.pass_by(29)
    assert world.ledger.transact(roles.keep, first, 30.0)
    world.clock.pass_by(29)
    assert assume(world, "b") is None
    world.clock.pass_by(1)
    second = assume(world, "b")
    assert second is not None
    assert second.fence == first.fence + 1
    assert not world.ledger.transact(roles.keep, first, 30.0)
    assert world.ledger.transact(roles.keep, second, 30.0)


def test_a_role_that_ran_out_is_not_kept_though_nobody_took_it(world: World) -> None:
    ticket = assume(world)
    assert ticket is not None
    world.clock.pass_by(31)
    assert not world.ledger.transact(roles.keep, ticket, 30.0)


def test_a_role_given_back_is_free_at_once(world: World) -> None:
    first = assume(world)
    assert first is not None
    world.ledger.transact(roles.resign, first)
    second = assume(world, "b")
    assert second is not None
    world.ledger.transact(roles.resign, first)
    assert world.ledger.transact(roles.keep, second, 30.0), "only its holder gives it back"


def test_a_holder_that_ends_gives_back_what_is_its_own_and_nothing_else(world: World) -> None:
    first = assume(world)
    other = world.ledger.transact(roles.assume, "pruner", "b", 30.0)
    assert first is not None
    assert other is not None
    world.ledger.transact(roles.resign_all, "a")
    assert not world.ledger.transact(roles.keep, first, 30.0)
    assert world.ledger.transact(roles.keep, other, 30.0)
    assert assume(world, "b") is not None


def test_roles_are_apart(world: World) -> None:
    assert assume(world) is not None
    assert world.ledger.transact(roles.assume, "pruner", "b", 30.0) is not None


def test_a_role_held_by_a_clock_that_was_ahead_is_free(world: World) -> None:
    world.clock.pass_by(86_400)
    assume(world)
    world.clock.pass_by(-86_400)
    assert assume(world, "b") is not None


def test_of_many_at_once_one_gets_it(world: World) -> None:
    got: list[RoleTicket | None] = []
    threads = [threading.Thread(target=lambda n=n: got.append(assume(world, f"h{n}"))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(got) == 6
    assert sum(ticket is not None for ticket in got) == 1
