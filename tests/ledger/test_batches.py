"""What a claim takes: priority and study by the head, its neighbours up to every limit, suspects in small company."""

from __future__ import annotations

import pytest

from gurney.ledger import refusals
from gurney.ledger.models import Item
from gurney.ledger.terms import Claim
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState, Priority
from tests.ledger.world import CT, EXPLICIT, JPEG, MR, OK, World, aborted, answered, happened, ids_of


def test_priorities_never_mix_and_stat_goes_first(world: World) -> None:
    wanted = {priority: world.items(2, priority=priority) for priority in reversed(Priority)}
    assert [world.send_all() for _ in Priority] == [wanted[priority] for priority in Priority]


def test_every_eighth_claim_takes_the_oldest_of_any_priority(world: World) -> None:
    (bulk,) = world.items(1, priority=Priority.BULK)
    stat = world.items(20, study="2", priority=Priority.STAT)
    order = [world.send_all(instances=1)[0] for _ in range(9)]
    assert order == [*stat[:7], bulk, stat[7]]


def test_a_stat_slot_takes_nothing_else(world: World) -> None:
    world.items(1)
    assert "nothing" in world.denied(stat_only=True).reason
    stat = world.items(1, priority=Priority.STAT)
    assert ids_of(world.take(stat_only=True)) == stat


def test_a_worker_takes_only_what_lies_in_its_spool(world: World) -> None:
    world.items(1)
    other = world.items(1, spool="other", study="2")
    assert ids_of(world.take(spool="other")) == other
    world.crash()
    world.denied(spool="third")


def test_an_association_carries_one_study(world: World) -> None:
    first = world.items(2, study="1")
    second = world.items(2, study="2")
    late = world.items(1, study="1")
    assert [world.send_all(), world.send_all()] == [first + late, second]


@pytest.mark.parametrize(("association", "batches"), [("series", [[1, 3], [2], [4]]), ("batch", [[1, 2, 3, 4]])])
def test_or_one_series_or_whatever_comes(world: World, association: str, batches: list[list[int]]) -> None:
    world.destination(association=association)
    for series, study in (("1", "1"), ("2", "1"), ("1", "1"), ("1", "2")):
        world.items(1, study=study, series=series)
    assert [world.send_all() for _ in batches] == batches


def test_no_two_associations_begin_one_study(world: World) -> None:
    """Archives that see a patient's first two instances at once make two patients of them."""
    world.destination(max_associations=3)
    first = world.items(4, study="1")
    second = world.items(1, study="2")
    begun = world.take(instances=2)
    assert ids_of(begun) == first[:2]
    assert ids_of(world.take()) == second, "the first study must wait until something of it is stored"
    assert "nothing" in world.denied().reason
    world.settle(begun, {first[0]: OK})
    assert ids_of(world.take()) == first[2:]


def test_begun_again_after_a_crash(world: World) -> None:
    world.destination(max_associations=2)
    ids = world.items(2)
    world.take()
    world.denied()
    world.crash()
    assert ids_of(world.take()) == ids


def test_a_batch_ends_at_its_number_of_instances_and_bytes(world: World) -> None:
    ids = world.items(5, size=1_000)
    assert ids_of(world.take(instances=2)) == ids[:2]
    world.crash()
    world.clock.pass_by(1)
    big = world.items(2, study="2", size=10_000, priority=Priority.STAT)
    assert ids_of(world.take(size=5_000)) == big[:1], "one goes, however large"


def test_a_batch_never_needs_more_than_128_contexts(world: World) -> None:
    for number in range(130):
        world.items(1, transfer_syntax_uid=f"1.2.{number}")
    assert len(world.send_all()) == 128
    assert len(world.send_all()) == 2


# --- Retries ----------------------------------------------------------------------------------------------------------


def test_what_is_due_goes_again_and_what_is_not_waits(world: World) -> None:
    now = world.clock.time
    (soon,) = world.items(1, state=ItemState.RETRY, due_at=now + 10)
    world.items(1, state=ItemState.RETRY, due_at=now + 100)
    assert world.denied().retry_at == now + 10
    world.clock.pass_by(10)
    assert ids_of(world.take()) == [soon]


# --- Suspects ---------------------------------------------------------------------------------------------------------


def test_suspects_of_a_crash_come_in_batches_of_200_then_20_then_one(world: World) -> None:
    world.items(50)
    sizes = []
    for _ in range(3):
        sizes.append(len(world.take().work))
        world.crash()
    assert sizes == [50, 20, 1]
    sizes = []
    while isinstance(claimed := world.claim(), Claim):
        sizes.append(len(claimed.work))
        world.settle(claimed)
        world.finish(claimed, stored=len(claimed.work))
    assert sizes == [1] * 20 + [20, 10], "twenty were in two lost leases, the other thirty in one"


def test_an_item_that_kills_its_worker_fails_alone_and_its_neighbours_arrive(world: World) -> None:
    ids = world.items(30)
    poison = ids[17]
    for _ in range(200):
        claimed = world.claim()
        if not isinstance(claimed, Claim):
            break
        if poison in ids_of(claimed):
            world.crash()
            continue
        world.settle(claimed)
        world.finish(claimed, stored=len(claimed.work))
    states = dict(zip(ids, world.states(ids), strict=True))
    assert states.pop(poison) is ItemState.FAILED
    assert set(states.values()) == {ItemState.DONE}
    item = world.item(poison)
    assert (item.attempts, item.crash_suspect) == (2, 4), "charged only when it was alone"
    assert "died" in item.last_words


def test_a_suspect_of_lost_associations_is_sent_alone_at_three(world: World) -> None:
    ids = world.items(4)
    world.change(Item, ids[0], suspect=3)
    assert ids_of(world.take()) == ids[:1]


def test_a_suspect_does_not_ride_along(world: World) -> None:
    ids = world.items(4)
    world.change(Item, ids[2], suspect=3)
    assert ids_of(world.take()) == [ids[0], ids[1], ids[3]]


# --- Refusals ---------------------------------------------------------------------------------------------------------


def test_a_refused_sop_class_fails_without_being_asked_again(world: World) -> None:
    first, *others = world.items(3, sop_class_uid=MR)
    ct = world.items(1, sop_class_uid=CT)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    assert ids_of(world.take()) == ct
    assert world.states([first, *others]) == [ItemState.FAILED] * 3
    assert "SOP class" in world.item(others[0]).last_words
    assert world.attempts(others[0]) == [], "it was not tried"


def test_a_refused_syntax_leaves_the_other_syntaxes_of_its_class(world: World) -> None:
    jpeg = world.items(2, transfer_syntax_uid=JPEG)
    world.settle(world.take(instances=1), happened(EventKind.NO_CONTEXT, result=4))
    world.crash()
    explicit = world.items(1, transfer_syntax_uid=EXPLICIT)
    assert ids_of(world.take()) == explicit
    assert world.states(jpeg) == [ItemState.FAILED] * 2


def test_a_refusal_runs_out_after_a_day_and_its_items_run_again(world: World) -> None:
    ids = world.items(3, sop_class_uid=MR)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    world.denied()
    assert world.states(ids) == [ItemState.FAILED] * 3
    world.clock.pass_by(refusals.REMEMBERED - 1)
    assert refusals.expire(world.ledger) == 0
    world.clock.pass_by(1)
    assert refusals.expire(world.ledger) == 3
    assert world.send_all() == ids


def test_what_failed_for_another_reason_stays_failed_when_refusals_are_cleared(world: World) -> None:
    refused, failed = world.items(2, sop_class_uid=MR)
    claimed = world.take()
    world.settle(claimed, {refused: answered(0x0122), failed: answered(0x0117)})
    world.finish(claimed)
    world.ledger.transact(refusals.clear, world.destination())
    assert refusals.expire(world.ledger) == 1
    assert world.states([refused, failed]) == [ItemState.READY, ItemState.FAILED]


def test_a_study_refused_as_a_whole_does_not_make_a_long_transaction(world: World) -> None:
    ids = world.items(60, sop_class_uid=MR)
    claimed = world.take(instances=1)
    world.settle(claimed, answered(0x0122))
    world.finish(claimed)
    world.denied(instances=10)
    assert world.states(ids).count(ItemState.FAILED) == 51
    world.denied(instances=10)
    assert set(world.states(ids)) == {ItemState.FAILED}


def test_aborted_is_of_the_item_on_the_wire_only(world: World) -> None:
    first, second = world.items(2)
    claimed = world.take()
    world.settle(claimed, {first: aborted, second: happened(EventKind.NEIGHBOUR)})
    assert [world.item(item).suspect for item in (first, second)] == [1, 0]
    assert world.states([first, second]) == [ItemState.RETRY, ItemState.READY]
