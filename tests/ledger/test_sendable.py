"""Known files get new work only while they can be sent, whatever lets go of them at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import func, select

from gurney.ledger import disposal, operations, resending, retention
from gurney.ledger.database import Transaction
from gurney.ledger.intake import take_in
from gurney.ledger.models import File, Instance, Item
from gurney.ledger.selection import Selection
from gurney.transfer.states import FileState, ItemState, Routing
from tests.ledger.test_intake import FOLLOW, arrival, decided, to
from tests.ledger.world import World

S = ItemState


def let_go(tx: Transaction, file_id: int) -> None:
    """Empty the spool of a file that has left its folder."""
    retention.lock(tx, [file_id])
    retention.let_go(tx, [], {file_id: None})


def dispose(tx: Transaction, file_id: int) -> None:
    """Begin to delete a file that the spool does not hold."""
    assert disposal.begin(tx, [file_id], {}) == {file_id}


def meanwhile(world: World, begin: Callable[[Transaction], object], act: Callable[[], object]) -> None:
    """Let somebody act while a transaction has begun, which commits only then."""
    actor = threading.Thread(target=act)
    with world.ledger.write() as tx:
        begin(tx)
        actor.start()
        actor.join(0.5)  # it waits, or goes ahead on what it sees
    actor.join(20)
    assert not actor.is_alive()


def stored(world: World) -> tuple[int, int]:
    """Have an instance that is stored at the archive; return its item and its file."""
    (item_id,) = world.items(1, state=S.DONE, settled_at=world.clock.time)
    return item_id, world.item(item_id).file_id


def also_cancelled(world: World, stored_item: int) -> int:
    """Have the same instance cancelled on its way to the workstation."""
    (item_id,) = world.items(1, destination="workstation", state=S.CANCELLED)
    row = world.item(stored_item)
    world.change(Item, item_id, instance_id=row.instance_id, file_id=row.file_id)
    return item_id


def items_of(world: World, file_id: int) -> int:
    with world.ledger.read() as conn:
        return int(conn.scalar(select(func.count()).where(Item.file_id == file_id)) or 0)


@pytest.mark.parametrize("end", [let_go, dispose])
def test_nothing_is_sent_again_from_a_file_that_is_being_let_go(
    world: World, end: Callable[[Transaction, int], None]
) -> None:
    _, file_id = stored(world)
    if end is dispose:
        world.change(File, file_id, spool_path="", after="delete")
    meanwhile(
        world,
        lambda tx: end(tx, file_id),
        lambda: world.ledger.transact(resending.resend, "1.2", "archive", "somebody"),
    )
    assert items_of(world, file_id) == 1


def test_a_cancelled_item_is_not_retried_from_a_file_that_is_being_let_go(world: World) -> None:
    item_id, file_id = stored(world)
    cancelled = also_cancelled(world, item_id)
    meanwhile(
        world,
        lambda tx: let_go(tx, file_id),
        lambda: operations.retry(world.ledger, Selection(destination="workstation"), "somebody"),
    )
    assert world.states([cancelled]) == [S.CANCELLED]
    assert "file is gone" in world.item(cancelled).last_words


def test_what_is_retried_first_keeps_its_file(world: World) -> None:
    item_id, file_id = stored(world)
    also_cancelled(world, item_id)
    later = world.clock.time + 1
    agreed: list[int] = []

    def empty_spool(tx: Transaction) -> None:
        retention.lock(tx, [file_id])
        agreed.extend(f.file_id for f in retention.releasable(tx.conn, world.spool(), later, 0, 10))

    selection = Selection(destination="workstation")
    states, fresh = operations.RETRYABLE, operations._FRESH
    with world.ledger.read() as conn:
        found = conn.execute(select(Item.id, Item.destination_id).where(*selection.conditions(*states))).all()
    meanwhile(
        world,
        lambda tx: operations._change_some(tx, found, selection, states, S.READY, fresh, "somebody", "items.retried"),
        lambda: world.ledger.transact(empty_spool),
    )
    assert agreed == []


def test_a_retry_goes_on_with_another_file_of_the_instance(world: World) -> None:
    (item_id,) = world.items(1, state=S.FAILED)
    (other,) = world.items(1, study="9", spool="other", state=S.DONE)
    row = world.item(item_id)
    world.change(File, row.file_id, state=int(FileState.GONE), spool_path="")
    world.change(File, world.item(other).file_id, instance_id=row.instance_id)
    _, bells = operations.retry(world.ledger, Selection(study_instance_uid="1.2"), "somebody")
    again = world.item(item_id)
    assert (again.state, again.file_id, again.spool_id) == (S.READY, world.item(other).file_id, world.spool("other"))
    assert [bell.spool_id for bell in bells] == [world.spool("other")]


def test_a_report_does_not_follow_from_a_file_that_is_being_let_go(world: World) -> None:
    world.destination()
    world.ledger.transact(take_in, [arrival(world, 1, decided(state=Routing.NO_ROUTE), modality="SR")], "watch:ct1")
    image = arrival(world, 2, decided(to(rule="chest"), matched=FOLLOW))
    meanwhile(world, lambda tx: let_go(tx, 1), lambda: world.ledger.transact(take_in, [image], "watch:ct1"))
    assert items_of(world, 1) == 0
    with world.ledger.read() as conn:
        assert conn.scalar(select(Instance.routing).where(Instance.id == 1)) == Routing.NO_ROUTE
