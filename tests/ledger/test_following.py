"""Follow instances to one destination: their own items, and of those the newest."""

from __future__ import annotations

from gurney.ledger import resending
from gurney.ledger.following import items_to, look_at
from gurney.transfer.states import ItemState
from tests.ledger.world import OK, World, answered


def test_only_the_items_of_that_destination(world: World) -> None:
    here = world.items(2)
    world.items(1, destination="research")
    with world.ledger.read() as conn:
        assert sorted(items_to(conn, "archive", ["2.25.1", "2.25.2", "2.25.3", "9.9"])) == here
        assert items_to(conn, "nowhere", ["2.25.1"]) == []


def test_one_instance_at_two_destinations(world: World) -> None:
    (first,) = world.items(1, study="1.2")
    world.destination("research")
    world.ledger.transact(resending.resend, "1.2", "research", "anna")
    with world.ledger.read() as conn:
        assert items_to(conn, "archive", ["2.25.1"]) == [first]
        assert items_to(conn, "research", ["2.25.1"]) == [first + 1]


def test_of_a_study_that_was_sent_again_the_newest_counts(world: World) -> None:
    old = world.items(2, study="1.2")
    world.ledger.transact(resending.resend, "1.2", "archive", "anna")
    with world.ledger.read() as conn:
        assert not set(items_to(conn, "archive", ["2.25.1", "2.25.2"])) & set(old)


def test_where_items_stand_and_why(world: World) -> None:
    ids = world.items(3, study="1.2")
    held = world.items(1, study="1.3", state=ItemState.HELD, held_for="study_complete")
    claim = world.take(instances=2)
    world.settle(claim, {ids[0]: OK, ids[1]: answered(0xA900)})
    world.finish(claim, stored=1)
    with world.ledger.read() as conn:
        looks = {look.item_id: look for look in look_at(conn, [*ids, *held])}
    assert [looks[item].state for item in [*ids, *held]] == [
        ItemState.DONE,
        ItemState.FAILED,
        ItemState.READY,
        ItemState.HELD,
    ]
    assert "A900" in looks[ids[1]].words
    assert looks[held[0]].words == "held: study complete"
    assert (looks[ids[0]].study_instance_uid, looks[ids[0]].sop_instance_uid) == ("1.2", "2.25.1")


def test_more_than_one_question_holds(world: World) -> None:
    ids = world.items(1_203)
    with world.ledger.read() as conn:
        found = items_to(conn, "archive", [f"2.25.{serial}" for serial in range(1, 1_204)])
        assert sorted(found) == ids
        assert [look.item_id for look in look_at(conn, found)] == sorted(found)
