"""Files that were refused, and what people decide on them: release, or discard. Both are kept in the trail."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, select, update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Conflict, File
from gurney.ledger.models.predicates import file_is
from gurney.transfer.states import FileState

__all__ = ["CONFLICT", "Quarantined", "discard", "note_release", "quarantined"]

# The reason of a file whose SOP Instance UID is known with another data set.
CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A refused file. ``path`` may hold a patient's name: it is for the person who asked, never for a log."""

    file_id: int
    source: str
    door: str
    path: bytes = field(repr=False)  # may name a patient
    dev: int
    inode: int
    size: int
    mtime_ns: int
    reason: str
    detail: str
    spool_id: int
    spool_path: str
    spool_mtime_ns: int
    after: str
    changed_at: float


def quarantined(
    conn: Connection,
    *,
    ids: Sequence[int] | None = None,
    source: str = "",
    reason: str = "",
    after_id: int = 0,
    limit: int = 500,
) -> list[Quarantined]:
    """Return quarantined files in the order of their ids, behind an id; all, or those that are asked for."""
    query = select(*(getattr(File, name) for name in Quarantined.__slots__ if name != "file_id"), File.id)
    query = query.where(file_is(FileState.QUARANTINED), File.id > after_id)
    if ids is not None:
        query = query.where(File.id.in_(ids))
    if source:
        query = query.where(File.source == source)
    if reason:
        query = query.where(File.reason == reason)
    rows: Sequence[AnyRow] = conn.execute(query.order_by(File.id).limit(limit)).all()
    return [
        Quarantined(**{name: getattr(row, "id" if name == "file_id" else name) for name in Quarantined.__slots__})
        for row in rows
    ]


def discard(tx: Transaction, file_ids: Sequence[int], actor: str) -> dict[int, str]:
    """Decide that files are not wanted, and count them as ignored; return what their spool holds for each, if anything.

    The rows go on saying so until retention has seen to it: who dies before the copies are removed leaves none behind.
    What lies in the folder is not touched, and not looked at again unless it changes.
    """
    query = select(File.id, File.spool_path, File.reason).where(File.id.in_(file_ids), file_is(FileState.QUARANTINED))
    rows = tx.conn.execute(query.with_for_update() if tx.locks_rows else query).all()
    ids = [row.id for row in rows]
    tx.conn.execute(update(File).where(File.id.in_(ids)).values(state=int(FileState.IGNORED), changed_at=tx.now))
    _decide_conflicts(tx, ids, "rejected", actor)
    if ids:
        trail.record(tx, actor, "quarantine.discarded", files=ids, reasons=sorted({row.reason for row in rows}))
    return {row.id: row.spool_path for row in rows}


def note_release(tx: Transaction, file_id: int, actor: str, *, forced: Collection[str], caution: str = "") -> None:
    """Record that a file was released, and is held under another name.

    ``forced`` are the checks that were skipped, ``caution`` what the one who decided was told to mind.
    """
    _decide_conflicts(tx, [file_id], "replaced" if CONFLICT in forced else "kept", actor)
    trail.record(tx, actor, "quarantine.released", files=[file_id], forced=sorted(forced), caution=caution)


def _decide_conflicts(tx: Transaction, file_ids: Sequence[int], state: str, actor: str) -> None:
    tx.conn.execute(
        update(Conflict)
        .where(Conflict.file_id.in_(file_ids), Conflict.state == "open")
        .values(state=state, decided_at=tx.now, decided_by=actor[:64])
    )
