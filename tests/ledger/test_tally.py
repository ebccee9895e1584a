"""Counts that equal the truth, folded or not, and say so when they don't."""

from __future__ import annotations

from sqlalchemy import delete, func, select

from gurney.ledger import reports, tally
from gurney.ledger.models import Count, CountDelta, Item
from gurney.transfer.states import ItemState
from tests.ledger.world import World, answered


def deltas(world: World) -> int:
    """Count what is not folded yet."""
    with world.ledger.read() as conn:
        return int(conn.scalar(select(func.count()).select_from(CountDelta)) or 0)


def test_counts_are_the_same_before_in_the_middle_of_and_after_folding(world: World) -> None:
    world.items(3, study="1")
    world.items(2, study="2", state=ItemState.FAILED)
    world.send_all()
    with world.ledger.read() as conn:
        before = reports.destination_states(conn, world.clock.time), reports.study_report(conn, "1")
    assert (before[0]["archive"]["done"], before[0]["archive"]["failed"]) == (3, 2)
    for _ in range(10):
        world.ledger.transact(tally.fold, 2)
        with world.ledger.read() as conn:
            now = reports.destination_states(conn, world.clock.time), reports.study_report(conn, "1")
        assert now == before
        world.assert_counts_are_true()
    assert deltas(world) == 0
    assert world.ledger.transact(tally.fold) == 0


def test_a_wrong_count_is_found(world: World) -> None:
    ids = world.items(3)
    world.ledger.transact(tally.fold)
    world.change(Item, ids[0], state=int(ItemState.DONE))
    with world.ledger.read() as conn:
        wrong = tally.discrepancies(conn)
    assert wrong == [(1, 1, int(ItemState.READY), 3, 2), (1, 1, int(ItemState.DONE), 0, 1)]
    world.change(Item, ids[0], state=int(ItemState.READY))


def test_a_wrong_total_is_found(world: World) -> None:
    world.items(3)
    world.ledger.transact(tally.fold)
    with world.ledger.write() as tx:
        tx.conn.execute(delete(Count).where(Count.transfer_id == tally.WHOLE))
        assert tally.discrepancies(tx.conn) == [(1, tally.WHOLE, int(ItemState.READY), 0, 3)]
        tx.conn.rollback()


def test_a_settlement_writes_its_difference_and_no_more(world: World) -> None:
    world.items(50)
    claimed = world.take()
    before = deltas(world)
    world.settle(claimed)
    assert deltas(world) == before + 2
    world.settle(claimed, answered(0))
    assert deltas(world) == before + 2
