"""When a file may be moved or deleted: every destination has its instance, proven, and nothing is vacuous.

Between ACCEPTED and GONE a file is DISPOSING: what a crash interrupts there is found and finished. All of this is about
the file in its folder; what the spool holds of it is not touched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, exists, literal_column, or_, select, update
from sqlalchemy.orm import aliased

from gurney.ledger import trail
from gurney.ledger.database import Transaction
from gurney.ledger.models import Destination, File, Instance, Item, Tombstone
from gurney.ledger.models.predicates import file_is, proves
from gurney.transfer.states import FileState, ItemState, Proof, Routing

__all__ = ["Disposable", "begin", "disposable", "finish", "give_back", "interrupted"]

# Stored, but not what was sent, or not said to be what was sent (PS3.4 B.2.3; PS3.7 C.5.2): no ground to delete upon.
_DOUBTFUL = (0xB006, 0xB007, 0x0111)
_PROVEN = (int(Proof.COMMITTED), int(Proof.VERIFIED))


@dataclass(frozen=True, slots=True)
class Disposable:
    """A file to move or delete, and how it must look. ``held``: the spool has it too."""

    file_id: int
    path: bytes = field(repr=False)  # may name a patient
    inode: int
    size: int
    mtime_ns: int
    after: str
    dataset_offset: int
    held: bool


def disposable(conn: Connection, source: str, after_id: int, limit: int) -> list[Disposable]:
    """Return files of a source behind an id, in the order of their ids, that may be disposed of."""
    return _files(
        conn,
        File.source == source,
        File.id > after_id,
        file_is(FileState.ACCEPTED),
        File.after != literal_column("'keep'"),
        *_everybody_has_it(),
        limit=limit,
    )


def interrupted(conn: Connection, source: str, limit: int) -> list[Disposable]:
    """Return files whose disposal was begun and not finished."""
    return _files(conn, File.source == source, file_is(FileState.DISPOSING), limit=limit)


def begin(tx: Transaction, file_ids: Sequence[int], digests: Mapping[int, bytes]) -> set[int]:
    """Mark files as being disposed of; return those of which everything is still true.

    ``digests`` are of data sets whose last file goes, so that a later file can be compared with them. The rows are
    locked first: whoever adds an item for a file locks the same row.
    """
    lock = select(File.id).where(File.id.in_(file_ids)).order_by(File.id)
    tx.conn.execute(lock.with_for_update() if tx.locks_rows else lock).all()
    marked = set(
        tx.conn.scalars(
            update(File)
            .where(File.id.in_(file_ids), file_is(FileState.ACCEPTED), *_everybody_has_it())
            .values(state=int(FileState.DISPOSING), changed_at=tx.now)
            .returning(File.id)
        )
    )
    for file_id in marked & digests.keys():
        tx.conn.execute(update(File).where(File.id == file_id).values(digest=digests[file_id]))
    return marked


def finish(tx: Transaction, done: Mapping[int, str], actor: str) -> None:
    """Say that files are gone from their folder, and how."""
    for file_id, how in done.items():
        tx.conn.execute(
            update(File)
            .where(File.id == file_id, file_is(FileState.DISPOSING))
            .values(state=int(FileState.GONE), reason=how, changed_at=tx.now)
        )
    if done:
        trail.record(tx, actor, "files.disposed", files=sorted(done), how=sorted(set(done.values())))


def give_back(tx: Transaction, failed: Mapping[int, str]) -> None:
    """Take files back that could not be moved or deleted, with the reason; they will be tried again."""
    for file_id, detail in failed.items():
        tx.conn.execute(
            update(File)
            .where(File.id == file_id, file_is(FileState.DISPOSING))
            .values(state=int(FileState.ACCEPTED), detail=detail[:400], changed_at=tx.now)
        )


def _files(conn: Connection, *conditions: ColumnElement[bool], limit: int) -> list[Disposable]:
    rows = conn.execute(
        select(File.id, File.path, File.inode, File.size, File.mtime_ns, File.after, File.dataset_offset)
        .add_columns(File.spool_path)
        .where(*conditions)
        .order_by(File.id)
        .limit(limit)
    )
    return [
        Disposable(file_id, path, inode, size, mtime_ns, after, dataset_offset, bool(spool_path))
        for file_id, path, inode, size, mtime_ns, after, dataset_offset, spool_path in rows
    ]


def _everybody_has_it() -> list[ColumnElement[bool]]:
    """Match files whose instance was routed, and which every destination that it was meant for has stored for sure."""
    later = aliased(Item)
    stored_later = exists().where(
        later.instance_id == Item.instance_id,
        later.destination_id == Item.destination_id,
        later.id > Item.id,
        _has_it(later),
    )
    missing = exists().where(Item.instance_id == File.instance_id, ~_has_it(Item), ~stored_later)
    meant = exists().where(Item.instance_id == File.instance_id)
    pruned = exists().where(Tombstone.instance_id == File.instance_id)
    routed = exists().where(Instance.id == File.instance_id, Instance.routing == int(Routing.ROUTED))
    return [routed, or_(meant, pruned), ~missing]


def _has_it(item: type[Item]) -> ColumnElement[bool]:
    """Match items that are stored for sure: proven, where the destination is to prove what it stores."""
    stored = or_(
        item.state == int(ItemState.DONE),
        and_(item.state == int(ItemState.WARNED), item.last_status.not_in(_DOUBTFUL)),
    )
    asked = exists().where(Destination.id == item.destination_id, proves()).correlate(item)
    return and_(stored, or_(item.proof.in_(_PROVEN), and_(item.proof == int(Proof.NONE), ~asked)))
