"""What operators do: retry, cancel, release, resend. In short transactions, each with its row in the trail.

History is never rewritten: a retry resets an item's budget and keeps its attempts and its fence; a resend is a new
generation of the transfer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import exists, func, insert, select, update

from gurney.ledger import bells, sendable, trail
from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.forwarding import FORWARD, Bell
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Destination, Instance, Item, Lease, Study, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.ledger.selection import Selection
from gurney.ledger.tally import Tally
from gurney.transfer.states import ItemState, Priority, Routing

__all__ = ["CANCELLABLE", "RETRYABLE", "Resent", "cancel", "release_held", "resend", "retry"]

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

    What had come to its end may have lost its file since, or may be losing it at this moment.
    """
    files = sendable.secure(tx, {row.instance_id for row in rows})
    gone = [row.id for row in rows if row.instance_id not in files]
    if gone:
        tx.conn.execute(update(Item).where(Item.id.in_(gone)).values(last_words=_NO_FILE))
    moved = False
    for row in rows:
        known = files.get(row.instance_id, [])
        if known and row.file_id not in {file.file_id for file in known}:
            file_id, spool_id = known[-1]
            tx.conn.execute(update(Item).where(Item.id == row.id).values(file_id=file_id, spool_id=spool_id))
            moved = True
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


@dataclass(frozen=True, slots=True)
class Resent:
    """A new generation of a transfer."""

    transfer_id: int
    generation: int
    instances: int
    without_file: int
    bells: list[Bell]


def resend(
    tx: Transaction, study_instance_uid: str, destination: str, actor: str, priority: Priority = Priority.ROUTINE
) -> Resent | None:
    """Send a study again: a new generation with every instance whose file we still have. None: not known here."""
    study_id = tx.conn.scalar(select(Study.id).where(Study.study_instance_uid == study_instance_uid))
    destination_id = tx.conn.scalar(select(Destination.id).where(Destination.name == destination))
    if study_id is None or destination_id is None:
        return None
    lock_destination(tx, destination_id)  # two at once would make the same generation
    which = (
        Transfer.study_instance_uid == study_instance_uid,
        Transfer.destination_id == destination_id,
        Transfer.origin == FORWARD,
    )
    generation = (tx.conn.scalar(select(func.max(Transfer.generation)).where(*which)) or 0) + 1
    transfer_id = tx.conn.execute(
        insert(Transfer)
        .values(
            study_id=study_id,
            study_instance_uid=study_instance_uid,
            destination_id=destination_id,
            origin=FORWARD,
            generation=generation,
            requested_by=actor[:64],
            created_at=tx.now,
            last_arrival_at=tx.now,
        )
        .returning(Transfer.id)
    ).scalar_one()
    newest = (
        select(Instance.sop_instance_uid, func.max(Instance.version).label("version"))
        .where(Instance.study_id == study_id)
        .group_by(Instance.sop_instance_uid)
        .subquery()
    )
    rows = tx.conn.execute(
        select(Instance.id, Instance.series_id, Instance.size)
        .join(
            newest,
            (newest.c.sop_instance_uid == Instance.sop_instance_uid) & (newest.c.version == Instance.version),
        )
        .order_by(Instance.id)
    ).all()
    files = sendable.secure(tx, [row.id for row in rows])
    present = [(row, files[row.id][-1]) for row in rows if row.id in files]
    if present:
        tx.conn.execute(
            insert(Item),
            [
                {
                    "transfer_id": transfer_id,
                    "destination_id": destination_id,
                    "instance_id": row.id,
                    "file_id": file.file_id,
                    "series_id": row.series_id,
                    "spool_id": file.spool_id,
                    "size": row.size,
                    "priority": int(priority),
                    "state": int(ItemState.READY),
                    "created_at": tx.now,
                }
                for row, file in present
            ],
        )
    tally = Tally()
    tally.add(destination_id, transfer_id, ItemState.READY, len(present))
    tally.write(tx)
    trail.record(
        tx,
        actor,
        "study.resent",
        study_instance_uid=study_instance_uid,
        destination_id=destination_id,
        generation=generation,
        instances=len(present),
    )
    lane = "stat" if priority is Priority.STAT else "work"
    rung = [
        Bell(destination, spool_id, lane)
        for spool_id in sorted({file.spool_id for _, file in present})
        if bells.claim_ring(tx, destination_id, spool_id, lane)
    ]
    return Resent(transfer_id, generation, len(present), len(rows) - len(present), rung)
