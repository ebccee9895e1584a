"""Let go of what the spool holds once it has been sent for long enough.

A file whose every item has ended well is kept for some days, so that it can be sent again; then the spool's copy goes.
Where the file still lies unchanged in its folder, that one stands for it from then on. What failed is kept until
somebody retries or cancels it, what a destination is to prove until it has; what no rule sent is kept for ever. What
was never an instance, or is that no more (rejected, discarded, released under another name, overwritten in its folder),
goes at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, and_, exists, literal_column, or_, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import File, Item, ProofWanted
from gurney.ledger.models.predicates import file_is, item_is
from gurney.transfer.states import FileState, ItemState, Proof

__all__ = ["Retained", "let_go", "lock", "releasable", "still_held"]

_ENDED = (ItemState.DONE, ItemState.WARNED, ItemState.CANCELLED)
_UNPROVEN = (int(Proof.REQUESTED), int(Proof.REFUSED), int(Proof.OVERDUE))
_OTHERS = tuple(state for state in ItemState if state not in _ENDED)


@dataclass(frozen=True, slots=True)
class Retained:
    """A file that the spool holds; ``path`` is where it lay when it came. ``wanted``: it is a file of an instance."""

    file_id: int
    path: bytes = field(repr=False)  # may name a patient
    size: int
    mtime_ns: int
    spool_path: str
    dataset_offset: int
    has_digest: bool
    wanted: bool


def releasable(conn: Connection, spool_id: int, before: float, after_id: int, limit: int) -> list[Retained]:
    """List held files from an id on: those that nobody wants, and those sent before a ledger time, every item well."""
    rows = conn.execute(
        select(File.id, File.path, File.size, File.mtime_ns, File.spool_path, File.dataset_offset)
        .add_columns(File.digest.is_not(None), ~_is_unwanted())
        .where(File.spool_id == spool_id, File.spool_path != literal_column("''"), File.id > after_id)
        .where(or_(_is_unwanted(), _was_sent_before(before)))
        .order_by(File.id)
        .limit(limit)
    )
    return [Retained(*row) for row in rows]


def _is_unwanted() -> ColumnElement[bool]:
    """Match files that are no instance's, and wait for nobody's decision."""
    return or_(file_is(FileState.IGNORED), and_(file_is(FileState.GONE), File.instance_id.is_(None)))


def _was_sent_before(before: float) -> ColumnElement[bool]:
    items = Item.instance_id == File.instance_id
    return and_(
        file_is(FileState.ACCEPTED, FileState.GONE),
        File.changed_at <= before,
        exists().where(items, item_is(ItemState.DONE, ItemState.WARNED)),
        ~exists().where(items, item_is(*_OTHERS)),
        ~exists().where(items, Item.settled_at > before),
        # What a peer has not proven yet may have to be sent again.
        ~exists().where(items, Item.proof.in_(_UNPROVEN)),
        ~exists().where(items, ProofWanted.item_id == Item.id),
    )


def still_held(conn: Connection, file_ids: Sequence[int]) -> set[int]:
    """Return which of these files the spool still holds."""
    return set(conn.scalars(select(File.id).where(File.id.in_(file_ids), File.spool_path != literal_column("''"))))


def lock(tx: Transaction, file_ids: Sequence[int]) -> None:
    """Lock files, so that nobody gives them new work: an item's row refers to its file's."""
    if tx.locks_rows:
        tx.conn.execute(select(File.id).where(File.id.in_(file_ids)).order_by(File.id).with_for_update()).all()


def let_go(tx: Transaction, in_place: Sequence[int], gone: Mapping[int, bytes | None]) -> None:
    """Note that the spool no longer holds some files: those that still lie in their folder, and those that don't.

    Unwanted ones belong to the first: their state stays.
    ``gone`` has the digest of each data set that has none yet: the content must be known when it comes again.

    A file that was given new work since it was listed must not be among them: a worker would find nothing. Take
    :func:`lock` and check with :func:`releasable` in the same transaction.
    """
    tx.conn.execute(update(File).where(File.id.in_(in_place)).values(spool_path="", spool_mtime_ns=File.mtime_ns))
    for file_id, digest in gone.items():
        values = {} if digest is None else {"digest": digest}
        tx.conn.execute(
            update(File)
            .where(File.id == file_id)
            .values(spool_path="", state=int(FileState.GONE), changed_at=tx.now, **values)
        )
