"""Follow some instances on their way to one destination, until each is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gurney.ledger.models import Destination, Instance, Item, Transfer
from gurney.transfer.states import ItemState

__all__ = ["Followed", "items_to", "look_at"]

_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Followed:
    """Where an item stands, and why; ``created_at`` in seconds on the ledger's clock."""

    item_id: int
    transfer_id: int
    study_instance_uid: str
    sop_instance_uid: str
    state: ItemState
    words: str
    created_at: float


def items_to(conn: Connection, destination: str, sop_instance_uids: Sequence[str]) -> list[int]:
    """Return the items that carry some instances to a destination, that of the newest generation for each.

    An instance has none where it was stored there so long ago that its item was pruned.
    """
    newest: dict[str, int] = {}
    for start in range(0, len(sop_instance_uids), _AT_ONCE):
        rows = conn.execute(
            select(Instance.sop_instance_uid, Item.id)
            .join(Item, Item.instance_id == Instance.id)
            .join(Destination, Destination.id == Item.destination_id)
            .join(Transfer, Transfer.id == Item.transfer_id)
            .where(
                Destination.name == destination,
                Instance.sop_instance_uid.in_(sop_instance_uids[start : start + _AT_ONCE]),
            )
            .order_by(Instance.version, Transfer.generation, Item.id)
        )
        newest.update((row.sop_instance_uid, row.id) for row in rows)
    return list(newest.values())


def look_at(conn: Connection, item_ids: Sequence[int]) -> list[Followed]:
    """Return where some items stand."""
    found: list[Followed] = []
    for start in range(0, len(item_ids), _AT_ONCE):
        rows = conn.execute(
            select(Item.id, Item.transfer_id, Item.state, Item.last_words, Item.held_for, Item.created_at)
            .add_columns(Transfer.study_instance_uid, Instance.sop_instance_uid)
            .join(Instance, Instance.id == Item.instance_id)
            .join(Transfer, Transfer.id == Item.transfer_id)
            .where(Item.id.in_(item_ids[start : start + _AT_ONCE]))
            .order_by(Item.id)
        )
        found.extend(
            Followed(
                row.id,
                row.transfer_id,
                row.study_instance_uid,
                row.sop_instance_uid,
                ItemState(row.state),
                row.last_words or (f"held: {row.held_for.replace('_', ' ')}" if row.held_for else ""),
                row.created_at,
            )
            for row in rows
        )
    return found
