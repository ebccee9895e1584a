"""A resend is a new generation of what we still have."""

from __future__ import annotations

import threading

from sqlalchemy import select

from gurney.ledger import resending
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import File, Item, Transfer
from gurney.transfer.states import FileState, ItemState, Priority
from tests.ledger.world import World

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
