"""What operators do to items: retry, cancel, release. In short transactions, each with its row in the trail.

History is never rewritten: a retry resets an item's budget and keeps its attempts and its fence.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import exists, select, update

from gurney.ledger import bells, sendable
from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Destination, Instance, Item, Lease
from gurney.ledger.models.predicates import item_is
from gurney.ledger.selection import Selection
from gurney.transfer.states import ItemState, Priority, Routing

__all__ = ["CANCELLABLE", "RETRYABLE", "cancel", "release_held", "retry"]

RETRYABLE = (ItemState.FAILED, ItemState.DEAD, ItemState.CANCELLED, ItemState.RETRY)
CANCELLABLE = (ItemState.READY, ItemState.RETRY, ItemState.HELD, ItemState.RUNNING)
_AT_ONCE = 200

_NO_FILE = "its file is gone: nothing is left to send"
_ROWS = (
    select(Item.id, Item.state, Item.transfer_id, Item.destination_id, Item.spool_id, Item.priority, Item.lease_id)
    .add_columns(Item.instance_id, Item.file_id)
    .order_by(Item.id)
)
_FRESH: dict[str, object] = {
    "held_for": "",
    "due_at": None,
    "lease_id": None,
    "attempts": 0,
    "context_retries": 0,
    "suspect": 0,
    "crash_suspect": 0,
    "refused": False,
    "first_failed_at": None,
    "settled_at": None,
}


def retry(ledger: Ledger, selection: Selection, actor: str) -> tuple[int, list[Bell]]:
    """Make failed, dead, cancelled and waiting items READY with a fresh budget; return how many, and whom to ring.

    What has lost its last file stays as it is, and says so.
    """
    return _change(ledger, selection, RETRYABLE, ItemState.READY, _FRESH, actor, "items.retried")


def release_held(ledger: Ledger, selection: Selection, actor: str) -> tuple[int, list[Bell]]:
    """Let held items go; return how many, and whom to ring."""
    return _change(ledger, selection, (ItemState.HELD,), ItemState.READY, {"held_for": ""}, actor, "items.released")


def cancel(ledger: Ledger, selection: Selection, actor: str) -> int:
    """Cancel what is open; return how many. What is on the wire ends as the peer answers: stored is stored."""
    values: dict[str, object] = {
        "held_for": "",
        "due_at": None,
        "lease_id": None,
        "last_words": f"cancelled by {actor}"[:400],
    }
    return _change(ledger, selection, CANCELLABLE, ItemState.CANCELLED, values, actor, "items.cancelled")[0]


def _change(
    ledger: Ledger,
    selection: Selection,
    states: tuple[ItemState, ...],
    new: ItemState,
    values: dict[str, object],
    actor: str,
    action: str,
) -> tuple[int, list[Bell]]:
    """Change items in groups, so that no transaction is long however many there are."""
    total, after = 0, 0
    wanted: dict[Bell, None] = {}
    while True:
        # Looked for outside the writing transaction: among millions of items this may take a second.
        with ledger.read() as conn:
            which = select(Item.id, Item.destination_id).where(*selection.conditions(*states), Item.id > after)
            found = conn.execute(which.order_by(Item.id).limit(_AT_ONCE)).all()
        if not found:
            return total, list(wanted)
        after = found[-1].id
        changed, rung = ledger.transact(_change_some, found, selection, states, new, values, actor, action)
        total += changed
        wanted |= dict.fromkeys(rung)


def _change_some(
    tx: Transaction,
    found: Sequence[AnyRow],
    selection: Selection,
    states: tuple[ItemState, ...],
    new: ItemState,
    values: dict[str, object],
    actor: str,
    action: str,
) -> tuple[int, list[Bell]]:
    """Change those of the items found that still are as they were, while nobody can claim or settle them."""
    for destination_id in sorted({row.destination_id for row in found}):
        lock_destination(tx, destination_id)
    rows = tx.conn.execute(_ROWS.where(*selection.conditions(*states), Item.id.in_([row.id for row in found]))).all()
    if values is _FRESH:
        rows = _with_file(tx, rows)
    if not rows:
        return 0, []
    change(
        tx,
        rows,
        new,
        values,
        actor,
        action,
        study_instance_uid=selection.study_instance_uid,
        transfer=selection.transfer_id,
    )
    _conclude_routing(tx, {row.instance_id for row in rows if row.state == ItemState.HELD})
    recalled = {row.lease_id for row in rows if row.lease_id is not None}
    if recalled:
        tx.conn.execute(update(Lease).where(Lease.id.in_(recalled)).values(recalled=True))
    return len(rows), _bells(tx, rows) if new is ItemState.READY else []


def _conclude_routing(tx: Transaction, instance_ids: set[int]) -> None:
    """Note as routed the instances that were held and of which no item waits any more: somebody has decided.

    Their rows are locked before anybody looks: of two who let go at two destinations, the second sees both.
    """
    held = select(Instance.id).where(Instance.id.in_(instance_ids), Instance.routing == int(Routing.HELD))
    locked = tx.conn.scalars(held.order_by(Instance.id).with_for_update(key_share=True)).all() if instance_ids else []
    if not locked:
        return
    waiting = exists().where(Item.instance_id == Instance.id, item_is(ItemState.HELD))
    decided = update(Instance).where(Instance.id.in_(locked), ~waiting)
    tx.conn.execute(decided.values(routing=int(Routing.ROUTED), routing_detail=""))


def _with_file(tx: Transaction, rows: Sequence[AnyRow]) -> Sequence[AnyRow]:
    """Return the items whose instance can be sent, by the file that it has now.

    What had come to its end may have lost its file since, or may be losing it at this moment. A file that was missed
    may have been put back.
    """
    files = sendable.secure(tx, {row.instance_id for row in rows})
    gone = [row.id for row in rows if row.instance_id not in files]
    if gone:
        tx.conn.execute(update(Item).where(Item.id.in_(gone)).values(last_words=_NO_FILE))
    missed = {file.file_id for known in files.values() for file in known if file.missed}
    moved = False
    for row in rows:
        known = files.get(row.instance_id, [])
        # One that was missed serves only where there is no other.
        if known and row.file_id not in {file.file_id for file in known if file.missed == known[-1].missed}:
            file = known[-1]
            tx.conn.execute(update(Item).where(Item.id == row.id).values(file_id=file.file_id, spool_id=file.spool_id))
            moved = True
    sendable.try_again(tx, missed)
    left = [row for row in rows if row.instance_id in files]
    return tx.conn.execute(_ROWS.where(Item.id.in_([row.id for row in left]))).all() if moved else left


def _bells(tx: Transaction, rows: Sequence[AnyRow]) -> list[Bell]:
    names = {row.id: row.name for row in tx.conn.execute(select(Destination.id, Destination.name))}
    wanted = {(row.destination_id, row.spool_id, "stat" if row.priority == Priority.STAT else "work") for row in rows}
    return [
        Bell(names[destination_id], spool_id, lane)
        for destination_id, spool_id, lane in sorted(wanted)
        if bells.claim_ring(tx, destination_id, spool_id, lane)
    ]
