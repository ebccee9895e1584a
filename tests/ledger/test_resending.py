"""A resend is a new generation of what we still have."""

from __future__ import annotations

import threading

from sqlalchemy import select

from gurney.ledger import operations, resending
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import File, Item, Transfer
from gurney.ledger.selection import Selection
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import FileState, ItemState, Priority
from tests.ledger.world import World, happened

S = ItemState


def test_a_resend_is_a_new_generation_of_everything_that_we_still_have(world: World) -> None:
    ids = world.items(3, study="1", state=S.DONE)
    world.items(1, study="2", state=S.DONE)
    world.change(File, world.item(ids[1]).file_id, state=int(FileState.GONE))
    world.change(File, world.item(ids[2]).file_id, state=int(FileState.GONE), spool_path="")
    resent = world.ledger.transact(resending.resend, "1", "archive", "somebody", Priority.HIGH)
    assert resent is not None
    assert (resent.generation, resent.instances, resent.without_file) == (2, 2, 1)
    assert resent.bells == [Bell("archive", world.spool(), "work")]
    claimed = world.take()
    assert (claimed.transfer_id, claimed.priority, len(claimed.work)) == (resent.transfer_id, Priority.HIGH, 2)
    assert world.states(ids) == [S.DONE] * 3, "history is not rewritten"


def test_a_resend_to_a_destination_that_never_had_it_is_its_first_generation(world: World) -> None:
    world.items(1, study="1")
    world.destination("workstation")
    resent = world.ledger.transact(resending.resend, "1", "workstation", "somebody")
    assert resent is not None
    assert resent.generation == 1
    assert len(world.take("workstation").work) == 1


def missed(world: World, n: int = 1) -> list[int]:
    """Have items that failed because a worker did not find their files."""
    ids = world.items(n, study="1")
    claimed = world.take()
    world.settle(claimed, dict.fromkeys(ids, happened(EventKind.FILE_MISSING)))
    world.finish(claimed)
    return ids


def resent(world: World) -> tuple[int, int]:
    again = world.ledger.transact(resending.resend, "1", "archive", "somebody")
    assert again is not None
    return again.instances, again.without_file


def test_a_file_that_was_missed_is_not_resent_until_a_retry_has_asked_for_it_again(world: World) -> None:
    (item_id,) = missed(world)
    assert resent(world) == (0, 1)
    assert operations.retry(world.ledger, Selection(transfer_id=world.item(item_id).transfer_id), "somebody")[0] == 1
    assert resent(world) == (1, 0)
    assert world.send_all()


def test_another_file_of_the_instance_is_taken_where_one_was_missed(world: World) -> None:
    first, second = missed(world, 2)
    (other,) = world.items(1, study="2", spool="other", state=S.DONE)
    file_id = world.item(other).file_id
    world.change(File, file_id, instance_id=world.item(first).instance_id)
    assert resent(world) == (1, 1)
    operations.retry(world.ledger, Selection(transfer_id=world.item(first).transfer_id), "somebody")
    assert world.item(first).file_id == file_id
    assert world.item(second).file_id != file_id
    assert world.states([first, second]) == [S.READY, S.READY]


def test_what_is_not_known_is_not_resent(world: World) -> None:
    world.items(1, study="1")
    assert world.ledger.transact(resending.resend, "9", "archive", "somebody") is None
    assert world.ledger.transact(resending.resend, "1", "nowhere", "somebody") is None


def test_two_resends_at_once_are_two_generations(world: World) -> None:
    world.items(1, study="1", state=S.DONE)
    world.destination()
    threads = [
        threading.Thread(target=world.ledger.transact, args=(resending.resend, "1", "archive", "somebody"))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with world.ledger.read() as conn:
        assert sorted(conn.scalars(select(Transfer.generation))) == [1, 2, 3, 4]
        assert len(conn.scalars(select(Item.id)).all()) == 4
