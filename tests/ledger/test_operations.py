"""What operators do, and whom it rings."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from gurney.ledger import operations, reports
from gurney.ledger.forwarding import Bell
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim
from gurney.transfer.states import ItemState, Priority
from tests.ledger.world import World, aborted, answered, ids_of

S = ItemState
EVERY_STATE: list[tuple[ItemState, dict[str, Any]]] = [
    (S.READY, {}),
    (S.RETRY, {"due_at": 2_000_000.0}),
    (S.DONE, {}),
    (S.WARNED, {}),
    (S.FAILED, {}),
    (S.DEAD, {}),
    (S.HELD, {"held_for": "rule"}),
    (S.CANCELLED, {}),
]


def one_of_each(world: World) -> dict[ItemState, int]:
    """Make an item in every state but RUNNING."""
    return {state: world.items(1, state=state, **more)[0] for state, more in EVERY_STATE}


def test_retry_makes_ready_what_can_be_and_leaves_the_rest(world: World) -> None:
    ids = one_of_each(world)
    changed, rung = operations.retry(world.ledger, Selection(), "somebody")
    assert changed == 4
    assert rung == [Bell("archive", world.spool(), "work")]
    after = dict(zip(ids, world.states(ids.values()), strict=True))
    assert {state for state, now in after.items() if now is S.READY} == {
        S.READY,
        S.RETRY,
        S.FAILED,
        S.DEAD,
        S.CANCELLED,
    }
    assert world.audited("items.retried") == 1


def test_a_retry_resets_the_budget_and_keeps_history_and_fence(world: World) -> None:
    (item_id,) = world.items(1)
    world.settle(world.take(), answered(0xA900))
    fence = world.item(item_id).fence
    operations.retry(world.ledger, Selection(), "somebody")
    item = world.item(item_id)
    assert (item.state, item.attempts, item.first_failed_at, item.fence) == (S.READY, 0, None, fence)
    assert len(world.attempts(item_id)) == 1


def test_cancel_takes_what_is_open(world: World) -> None:
    ids = one_of_each(world)
    assert operations.cancel(world.ledger, Selection(), "somebody") == 3
    after = dict(zip(ids, world.states(ids.values()), strict=True))
    assert {state for state, now in after.items() if now is S.CANCELLED} == {S.READY, S.RETRY, S.HELD, S.CANCELLED}
    assert after[S.DONE] is S.DONE


def test_release_lets_held_items_go(world: World) -> None:
    ids = one_of_each(world)
    assert operations.release_held(world.ledger, Selection(), "somebody")[0] == 1
    assert world.states([ids[S.HELD]]) == [S.READY]


def test_a_selection_says_how_many_and_changes_no_others(world: World) -> None:
    world.items(2, study="1", state=S.FAILED)
    other = world.items(3, study="2", state=S.FAILED)
    workstation = world.items(1, study="2", destination="workstation", state=S.DEAD)
    for selection, n in (
        (Selection(), 6),
        (Selection(study_instance_uid="2"), 4),
        (Selection(study_instance_uid="2", destination="archive"), 3),
        (Selection(destination="nowhere"), 0),
        (Selection(states=(S.DEAD,)), 1),
        (Selection(states=(S.DONE,)), 0),
        (Selection(transfer_id=1), 2),
    ):
        with world.ledger.read() as conn:
            counted = reports.selected_items(conn, selection, *operations.RETRYABLE)
        assert sum(sum(by_state.values()) for by_state in counted.values()) == n
    operations.retry(world.ledger, Selection(study_instance_uid="1"), "somebody")
    assert world.states(other + workstation) == [S.FAILED] * 3 + [S.DEAD]


def test_many_items_are_changed_in_short_transactions(world: World) -> None:
    ids = world.items(450, state=S.FAILED)
    assert operations.retry(world.ledger, Selection(), "somebody")[0] == 450
    assert set(world.states(ids)) == {S.READY}
    assert world.audited("items.retried") == 3


def test_stat_rings_its_own_lane(world: World) -> None:
    world.items(1, state=S.DEAD, priority=Priority.STAT)
    assert operations.retry(world.ledger, Selection(), "somebody")[1] == [Bell("archive", world.spool(), "stat")]


def test_a_retry_of_what_waits_goes_at_once(world: World) -> None:
    (item_id,) = world.items(1)
    claimed = world.take()
    world.settle(claimed, aborted)
    world.finish(claimed)
    world.denied()
    operations.retry(world.ledger, Selection(), "somebody")
    world.clock.pass_by(20)
    assert ids_of(world.take()) == [item_id]


def test_operators_and_workers_at_once_lose_no_count(world: World) -> None:
    """Cancels and retries meet claims, settlements and releases; the fixture compares the counts with the truth."""
    world.destination(max_associations=4)
    for study in range(6):
        world.items(40, study=f"1.{study}")
    failures: list[BaseException] = []

    def work() -> None:
        for _ in range(8):
            claimed = world.claim(instances=10)
            if isinstance(claimed, Claim):
                world.settle(claimed)
                world.finish(claimed, stored=10)

    def operate() -> None:
        for study in range(6):
            operations.cancel(world.ledger, Selection(study_instance_uid=f"1.{study}"), "somebody")
            operations.retry(world.ledger, Selection(study_instance_uid=f"1.{study}"), "somebody")

    def watched(act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=watched, args=(act,)) for act in (work, work, operate, operate)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert failures == []
