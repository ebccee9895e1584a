"""Counts that one can trust: every change of state writes its difference in its own transaction; a role folds them.

A GROUP BY over ten million items takes a second, and a counter in a shared row makes every worker wait for every
other. Differences are inserted and never contended for; a reader adds the folded counts to what is not yet folded.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, delete, func, literal_column, select, union_all

from gurney.ledger.database import Transaction
from gurney.ledger.models import Count, CountDelta, Item
from gurney.transfer.states import ItemState

__all__ = ["WHOLE", "Discrepancy", "Tally", "discrepancies", "fold"]

# Stands for all transfers of a destination, so that its total is one row and no sum over studies.
WHOLE = 0


class Discrepancy(NamedTuple):
    """How many items a transfer was counted to have in a state, and how many it has."""

    destination_id: int
    transfer_id: int
    state: int
    counted: int
    found: int


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


def discrepancies(conn: Connection) -> list[Discrepancy]:
    """Compare counts with items, and destinations' totals, under :data:`WHOLE`, with what was folded into them.

    One statement, so that it sees one moment on either database, and only reads; at ten million items it takes seconds.
    """
    return [Discrepancy(*row) for row in conn.execute(_DISCREPANCIES)]


_NONE: ColumnElement[int] = literal_column("0")
_BOTH = union_all(
    select(Count.destination_id, Count.transfer_id, Count.state, Count.n.label("counted"), _NONE.label("found")),
    select(CountDelta.destination_id, CountDelta.transfer_id, CountDelta.state, CountDelta.n, _NONE),
    select(Item.destination_id, Item.transfer_id, Item.state, _NONE, func.count()).group_by(
        Item.destination_id, Item.transfer_id, Item.state
    ),
    select(Count.destination_id, literal_column(str(WHOLE)), Count.state, _NONE, Count.n).where(
        Count.transfer_id != WHOLE
    ),
).subquery()
_COUNTED, _FOUND = func.sum(_BOTH.c.counted), func.sum(_BOTH.c.found)
_DISCREPANCIES = (
    select(
        _BOTH.c.destination_id, _BOTH.c.transfer_id, _BOTH.c.state, cast(_COUNTED, BigInteger), cast(_FOUND, BigInteger)
    )
    .group_by(_BOTH.c.destination_id, _BOTH.c.transfer_id, _BOTH.c.state)
    .having(_COUNTED != _FOUND)
    .order_by(_BOTH.c.destination_id, _BOTH.c.transfer_id, _BOTH.c.state)
)
