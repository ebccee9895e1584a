"""States as literals: a planner uses a partial index only where it can prove its condition, never for a parameter."""

from __future__ import annotations

from sqlalchemy import ColumnElement, TextClause, and_, literal_column, or_, text

from gurney.ledger.models.content import File
from gurney.ledger.models.work import Destination, Item, Lease
from gurney.transfer.states import FileState, ItemState

__all__ = [
    "PROVABLE",
    "can_be_sent",
    "file_is",
    "is_live",
    "is_provable",
    "is_refused",
    "item_is",
    "proves",
]

PROVABLE = (ItemState.DONE, ItemState.WARNED)
"""The states in which a peer has said that it stored an item, so that it may be asked for proof."""


def item_is(*states: ItemState) -> ColumnElement[bool]:
    """Match items in one of the states."""
    if len(states) == 1:
        return Item.state == literal_column(str(int(states[0])))
    return Item.state.in_([literal_column(str(int(state))) for state in states])


def file_is(*states: FileState) -> ColumnElement[bool]:
    """Match files in one of the states."""
    if len(states) == 1:
        return File.state == literal_column(str(int(states[0])))
    return File.state.in_([literal_column(str(int(state))) for state in states])


def can_be_sent() -> ColumnElement[bool]:
    """Match files whose bytes we have: where they came from, or in the spool when the folder has let go of them."""
    held = and_(file_is(FileState.DISPOSING, FileState.GONE), File.spool_path != literal_column("''"))
    return or_(file_is(FileState.ACCEPTED), held)


def is_live() -> ColumnElement[bool]:
    """Match leases that nobody has released or lost; whether they have run out is another question."""
    return Lease.state == literal_column("'live'")


def is_refused() -> TextClause:
    """Match items that a refusal failed, spelt as the index is: SQLAlchemy would write ``refused = 1`` for SQLite."""
    return text("item.refused")


def is_provable() -> ColumnElement[bool]:
    """Match items of which the peer has said that it stored them."""
    return item_is(*PROVABLE)


def proves() -> ColumnElement[bool]:
    """Match destinations that are to prove what they store, by storage commitment or by a query."""
    return or_(Destination.commitment != literal_column("'none'"), Destination.verify)
