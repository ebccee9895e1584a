"""What was accepted and has been written over: the spool held it by a link, and shows what the folder's file shows.

Such a file is no file of its instance any more. What was still to be sent from it is sent from another file of the
instance, or fails at once with words that say what to do: nobody should learn of it when the archive is back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import exists, literal_column, select, update

from gurney.ledger import sendable, trail
from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import File, Instance, Item, Study, Tombstone
from gurney.ledger.models.predicates import file_is, is_refused, item_is
from gurney.transfer.states import FileState, ItemState

__all__ = ["WORDS", "Overwritten", "is_lost", "note_overwritten"]

WORDS = (
    "overwritten in the watched folder before it was sent, and no copy is left: "
    'export it again, and set spool = "copy" for this folder'
)
_ACTION = "instances.overwritten"


@dataclass(frozen=True, slots=True)
class Overwritten:
    """An instance that is lost to us before everybody had it, and how many items failed for that."""

    file_id: int
    sop_instance_uid: str
    study_instance_uid: str
    items: int


def note_overwritten(tx: Transaction, file_ids: Collection[int], actor: str) -> list[Overwritten]:
    """Say of superseded files that their bytes in the spool are lost too; return what can't be sent for that reason.

    What a worker has in hand is left to it: it compares the file before and after. A content that was replaced by
    the new one is none of these: its instance has a file again.
    """
    files = tx.conn.execute(
        select(File.id, File.instance_id, File.inode, File.size, File.mtime_ns)
        .add_columns(Instance.sop_instance_uid, Study.study_instance_uid)
        .join(Instance, Instance.id == File.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(File.id.in_(file_ids))
        .order_by(File.id)
    ).all()
    _lock_destinations(tx, [file.instance_id for file in files])
    waiting: dict[str, list[AnyRow]] = defaultdict(list)
    lost: list[Overwritten] = []
    for file in files:
        _disown(tx, file)
        items = _waiting(tx, file.instance_id)
        if _sends_from_another(tx, file.instance_id, items):
            continue
        if items or not _has_items(tx, file.instance_id):
            lost.append(Overwritten(file.id, file.sop_instance_uid, file.study_instance_uid, len(items)))
            waiting[file.study_instance_uid].extend(items)
    failed = {"held_for": "", "due_at": None, "refused": False, "last_words": WORDS, "settled_at": tx.now}
    for study_instance_uid, items in waiting.items():
        if items:
            change(tx, items, ItemState.FAILED, failed, actor, _ACTION, study_instance_uid=study_instance_uid)
        else:
            trail.record(tx, actor, _ACTION, study_instance_uid=study_instance_uid, items=0)
    return lost


def is_lost(tx: Transaction, instance_id: int) -> bool:
    """Tell whether nothing is left of a content, and no destination has it: what comes now may stand in its place.

    Nobody can claim it from here on.
    """
    brought = exists().where(File.instance_id == instance_id)
    if tx.conn.scalar(select(brought)):
        return False
    _lock_destinations(tx, [instance_id])
    elsewhere = item_is(ItemState.RUNNING, ItemState.DONE, ItemState.WARNED)
    sent = exists().where(Item.instance_id == instance_id, elsewhere)
    pruned = exists().where(Tombstone.instance_id == instance_id)
    return not tx.conn.scalar(select(sent | pruned))


def _lock_destinations(tx: Transaction, instance_ids: Collection[int]) -> None:
    concerned = select(Item.destination_id).where(Item.instance_id.in_(instance_ids)).distinct()
    for destination_id in sorted(tx.conn.scalars(concerned)):
        lock_destination(tx, destination_id)


def _disown(tx: Transaction, file: AnyRow) -> None:
    """Let a file be no instance's, with every other link to it; retention lets go of what the spool holds."""
    tx.conn.execute(
        update(File)
        .where(File.instance_id == file.instance_id, file_is(FileState.ACCEPTED, FileState.GONE))
        # One inode, linked under several names as the folder's file was renamed. The new file looks otherwise.
        .where(File.inode == file.inode, File.size == file.size, File.mtime_ns == file.mtime_ns)
        .where(File.spool_path != literal_column("''"), File.digest.is_(None))
        .values(instance_id=None, state=int(FileState.GONE), reason="overwritten", changed_at=tx.now)
    )


def _waiting(tx: Transaction, instance_id: int) -> list[AnyRow]:
    waits = item_is(ItemState.READY, ItemState.RETRY, ItemState.HELD) | (item_is(ItemState.FAILED) & is_refused())
    columns = select(Item.id, Item.state, Item.transfer_id, Item.destination_id)
    return list(tx.conn.execute(columns.where(Item.instance_id == instance_id, waits)).all())


def _has_items(tx: Transaction, instance_id: int) -> bool:
    return bool(tx.conn.scalar(select(exists().where(Item.instance_id == instance_id))))


def _sends_from_another(tx: Transaction, instance_id: int, items: list[AnyRow]) -> bool:
    """Let items be sent from another file of the instance; False where there is none."""
    others = sendable.secure(tx, [instance_id]).get(instance_id)
    if not others:
        return False
    file = others[-1]
    ids = [item.id for item in items]
    tx.conn.execute(update(Item).where(Item.id.in_(ids)).values(file_id=file.file_id, spool_id=file.spool_id))
    return True
