"""Counts that one can trust: every change of state writes its difference in its own transaction; a role folds them.

A GROUP BY over ten million items takes a second, and a counter in a shared row makes every worker wait for every
other. Differences are inserted and never contended for; a reader adds the folded counts to what is not yet folded.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import delete, func, select

from gurney.ledger.database import Transaction
from gurney.ledger.models import Count, CountDelta, Item
from gurney.transfer.states import ItemState

__all__ = ["WHOLE", "Tally", "discrepancies", "fold"]

# Stands for all transfers of a destination, so that its total is one row and no sum over studies.
WHOLE = 0


class Tally:
    """Collect the changes of one transaction, then write them in one statement."""

    __slots__ = ("_changes",)

    def __init__(self) -> None:
        """Start with no change."""
        self._changes: Counter[tuple[int, int, int]] = Counter()

    def add(self, destination_id: int, transfer_id: int, state: ItemState, n: int = 1) -> None:
        """Count ``n`` more items in a state."""
        self._changes[destination_id, transfer_id, int(state)] += n

    def move(self, destination_id: int, transfer_id: int, old: ItemState, new: ItemState, n: int = 1) -> None:
        """Count ``n`` items out of one state and into another."""
        self.add(destination_id, transfer_id, old, -n)
        self.add(destination_id, transfer_id, new, n)

    def write(self, tx: Transaction) -> None:
        """Insert what changed."""
        rows = [(*place, n) for place, n in self._changes.items() if n]
        if rows:
            tx.insert_tuples(CountDelta, ("destination_id", "transfer_id", "state", "n"), rows)


def fold(tx: Transaction, limit: int = 5_000) -> int:
    """Fold the oldest differences into the counts; return how many were folded."""
    ids = select(CountDelta.id).order_by(CountDelta.id).limit(limit).subquery()
    taken = tx.conn.execute(
        delete(CountDelta)
        .where(CountDelta.id.in_(select(ids.c.id)))
        .returning(CountDelta.destination_id, CountDelta.transfer_id, CountDelta.state, CountDelta.n)
    ).all()
    sums: Counter[tuple[int, int, int]] = Counter()
    for row in taken:
        sums[row.destination_id, row.transfer_id, row.state] += row.n
        sums[row.destination_id, WHOLE, row.state] += row.n
    rows = [
        {"destination_id": destination, "transfer_id": transfer, "state": state, "n": n}
        for (destination, transfer, state), n in sorted(sums.items())
        if n
    ]
    if rows:
        upsert = tx.upsert(Count)
        tx.conn.execute(
            upsert.on_conflict_do_update(
                index_elements=[Count.destination_id, Count.transfer_id, Count.state],
                set_={"n": Count.n + upsert.excluded.n},
            ),
            rows,
        )
    return len(taken)


def discrepancies(tx: Transaction) -> list[tuple[int, int, int, int, int]]:
    """Compare counts with items: (destination, transfer, state, counted, true) where they differ.

    A destination's total, under :data:`WHOLE`, is compared with what was folded into its transfers.
    """
    counted: Counter[tuple[int, int, int]] = Counter()
    folded: Counter[tuple[int, int, int]] = Counter()
    for table in (Count, CountDelta):
        for row in tx.conn.execute(
            select(table.destination_id, table.transfer_id, table.state, func.sum(table.n).label("n")).group_by(
                table.destination_id, table.transfer_id, table.state
            )
        ):
            counted[row.destination_id, row.transfer_id, row.state] += int(row.n)
            if table is Count and row.transfer_id != WHOLE:
                folded[row.destination_id, WHOLE, row.state] += int(row.n)
    true = dict(folded) | {
        (row.destination_id, row.transfer_id, row.state): int(row.n)
        for row in tx.conn.execute(
            select(Item.destination_id, Item.transfer_id, Item.state, func.count().label("n")).group_by(
                Item.destination_id, Item.transfer_id, Item.state
            )
        )
    }
    return [
        (*place, counted[place], true.get(place, 0))
        for place in sorted(counted.keys() | true.keys())
        if counted[place] != true.get(place, 0)
    ]
