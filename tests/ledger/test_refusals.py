"""Refusals are remembered for a day, and what they failed runs again in short transactions, whatever dies between."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlalchemy import func, select

from gurney.ledger import destinations, refusals
from gurney.ledger.models import Audit, Refusal, Transfer
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState
from tests.ledger.world import JPEG, MR, World, answered, happened

S = ItemState


def refused(world: World, n: int) -> list[int]:
    """Have items that failed because the destination does not take their SOP class."""
    ids = world.items(n, sop_class_uid=MR)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    while set(world.states(ids)) != {S.FAILED}:
        world.denied()
    return ids


def remembered(world: World) -> int:
    with world.ledger.read() as conn:
        return conn.scalar(select(func.count()).select_from(Refusal)) or 0


def trail_of(world: World, action: str) -> list[tuple[int, dict[str, Any]]]:
    with world.ledger.read() as conn:
        rows = conn.execute(select(Audit.destination_id, Audit.detail).where(Audit.action == action).order_by(Audit.id))
        return [(row.destination_id, json.loads(row.detail)) for row in rows]


def test_to_forget_a_refusal_changes_no_item_at_once(world: World) -> None:
    ids = refused(world, 3)
    assert world.ledger.transact(destinations.probe_now, "archive")
    assert world.states(ids) == [S.FAILED] * 3
    assert world.ledger.transact(refusals.active, world.destination()) == {}
    assert refusals.expire(world.ledger) == 3
    assert (world.states(ids), remembered(world)) == ([S.READY] * 3, 0)


def test_who_dies_between_two_groups_leaves_the_rest_to_the_next(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = refused(world, 5)
    monkeypatch.setattr(refusals, "_AT_ONCE", 2)
    world.ledger.transact(refusals.clear, world.destination())
    with world.ledger.read() as conn:
        (refusal,) = conn.execute(select(Refusal.__table__)).all()
    assert world.ledger.transact(refusals._run_again, refusal) == 2
    assert world.states(ids).count(S.FAILED) == 3
    assert refusals.expire(world.ledger) == 3, "the next one goes on"
    assert (world.states(ids), remembered(world)) == ([S.READY] * 5, 0)


def test_what_is_refused_anew_between_two_groups_stays_for_another_day(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = refused(world, 5)
    monkeypatch.setattr(refusals, "_AT_ONCE", 2)
    world.ledger.transact(refusals.clear, world.destination())
    with world.ledger.read() as conn:
        (refusal,) = conn.execute(select(Refusal.__table__)).all()
    world.ledger.transact(refusals._run_again, refusal)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    assert refusals.expire(world.ledger) == 0
    assert remembered(world) == 1
    world.clock.pass_by(refusals.REMEMBERED)
    assert refusals.expire(world.ledger) >= 4
    assert world.states(ids) == [S.READY] * 5


def test_one_refusal_that_runs_out_lets_nothing_go_that_another_covers(world: World) -> None:
    jpeg = world.items(1, sop_class_uid=MR, transfer_syntax_uid=JPEG)
    claimed = world.take()
    world.settle(claimed, happened(EventKind.NO_CONTEXT, result=4))
    world.finish(claimed)
    world.clock.pass_by(3_600)
    all_of_it = refused(world, 2)
    world.clock.pass_by(refusals.REMEMBERED - 3_600)
    assert (refusals.expire(world.ledger), remembered(world)) == (0, 1)
    assert world.states(jpeg + all_of_it) == [S.FAILED] * 3
    world.clock.pass_by(3_600)
    assert (refusals.expire(world.ledger), remembered(world)) == (3, 0)


def test_one_call_takes_a_few_groups_and_the_next_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = refused(world, 13)
    monkeypatch.setattr(refusals, "_AT_ONCE", 2)
    world.ledger.transact(refusals.clear, world.destination())
    assert [refusals.expire(world.ledger) for _ in range(3)] == [10, 3, 0]
    assert (world.states(ids), remembered(world)) == ([S.READY] * 13, 0)


def test_what_a_refusal_fails_and_lets_go_is_in_the_trail(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = refused(world, 5)
    ((_, failed),) = trail_of(world, "items.refused")
    assert failed == {"items": ids[1:], "sop_classes": [MR]}
    monkeypatch.setattr(refusals, "_AT_ONCE", 3)
    world.ledger.transact(refusals.clear, world.destination())
    refusals.expire(world.ledger)
    told = {"sop_class_uid": MR, "transfer_syntax_uid": ""}
    assert trail_of(world, "refusal.ended") == [
        (world.destination(), {"items": 3, **told}),
        (world.destination(), {"items": 2, **told}),
    ]


def test_a_study_that_rested_is_under_way_again(world: World) -> None:
    refused(world, 2)
    world.change(Transfer, 1, quiet_since=world.clock.time)
    world.ledger.transact(refusals.clear, world.destination())
    refusals.expire(world.ledger)
    with world.ledger.read() as conn:
        assert conn.scalars(select(Transfer.quiet_since)).all() == [None]
