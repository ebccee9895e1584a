"""Which items a claim takes: what is due for a retry, the head of what is ready, and its neighbours.

Never an OR, always one seek of a partial index: the head picks priority and study, and what stands behind it in the
index fills the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from gurney.ledger import refusals
from gurney.ledger.database import AnyRow, AnySelect, Transaction
from gurney.ledger.leases import ALONE_AFTER
from gurney.ledger.models import File, Instance, Item, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.ledger.tally import Tally
from gurney.ledger.terms import BatchLimits, Claimant
from gurney.transfer.retry import ALONE_AT
from gurney.transfer.states import ItemState, Priority

__all__ = ["has_due_work", "has_stat_work", "next_batch", "next_due", "promote", "studies_begun"]

# Every so many claims the oldest item goes first, whatever its priority, so that BULK never starves.
_OLDEST_EVERY = 8
# After one lost lease a batch is this small; after two it is one item.
_SUSPECT_BATCH = 20
_PROMOTE_AT_ONCE = 1_000


def has_due_work(conn: Connection, destination_id: int, spool_id: int, now: float) -> bool:
    """Whether a claim would find an item: two seeks of partial indexes."""
    ready = exists().where(Item.destination_id == destination_id, Item.spool_id == spool_id, item_is(ItemState.READY))
    retry = exists().where(Item.destination_id == destination_id, Item.due_at <= now, item_is(ItemState.RETRY))
    return bool(conn.scalar(select(ready | retry)))


def has_stat_work(conn: Connection, destination_id: int, spool_id: int) -> bool:
    """Whether a STAT item is ready."""
    stat = exists().where(
        Item.destination_id == destination_id,
        Item.spool_id == spool_id,
        Item.priority == int(Priority.STAT),
        item_is(ItemState.READY),
    )
    return bool(conn.scalar(select(stat)))


def promote(tx: Transaction, destination_id: int) -> None:
    """Make ready what is due for a retry."""
    due = (
        select(Item.id)
        .where(Item.destination_id == destination_id, item_is(ItemState.RETRY))
        .where(Item.due_at <= tx.now)
        .order_by(Item.due_at)
        .limit(_PROMOTE_AT_ONCE)
    )
    rows = tx.conn.execute(
        update(Item)
        .where(Item.id.in_(due), item_is(ItemState.RETRY))
        .values(state=int(ItemState.READY), due_at=None)
        .returning(Item.transfer_id)
    ).all()
    tally = Tally()
    for transfer_id, n in Counter(row.transfer_id for row in rows).items():
        tally.move(destination_id, transfer_id, ItemState.RETRY, ItemState.READY, n)
    tally.write(tx)


def next_due(tx: Transaction, destination_id: int) -> float | None:
    """Return when the next retry is due, in ledger seconds."""
    return tx.conn.scalar(
        select(func.min(Item.due_at)).where(Item.destination_id == destination_id, item_is(ItemState.RETRY))
    )


def studies_begun(tx: Transaction, row: AnyRow, live: Sequence[AnyRow]) -> list[int]:
    """Return the transfers on the wire with nothing stored yet: two associations would race to create the study."""
    if row.association == "batch" or not live:
        return []
    return list(
        tx.conn.scalars(
            select(Transfer.id).where(
                Transfer.id.in_([lease.transfer_id for lease in live]), Transfer.first_stored_at.is_(None)
            )
        )
    )


def next_batch(
    tx: Transaction,
    row: AnyRow,
    claimant: Claimant,
    begun: list[int],
    limits: BatchLimits,
    *,
    avoid: int | None,
) -> list[AnyRow]:
    """Find the head and fill its batch; what the destination is known to refuse is failed on the way."""
    refused = refusals.active(tx, row.id)
    while (head := _head(tx, row, claimant, begun, avoid)) is not None:
        candidates = _fill(tx, row, claimant, head, limits)
        batch = [item for item in candidates if not _refusal(refused, item)]
        if len(batch) < len(candidates):
            _fail_refused(tx, row.id, [item for item in candidates if _refusal(refused, item)], refused)
        if batch:
            return batch
    return []


def _ready(row: AnyRow, claimant: Claimant) -> list[ColumnElement[bool]]:
    return [Item.destination_id == row.id, Item.spool_id == claimant.spool_id, item_is(ItemState.READY)]


def _head(tx: Transaction, row: AnyRow, claimant: Claimant, begun: list[int], avoid: int | None) -> AnyRow | None:
    seek = select(Item.id, Item.priority, Item.transfer_id, Item.series_id, Item.suspect, Item.crash_suspect).where(
        *_ready(row, claimant)
    )
    if begun:
        seek = seek.where(Item.transfer_id.not_in(begun))
    if avoid is not None:
        probe = _probe_item(tx, seek, claimant, avoid)
        if probe is not None:
            return probe
    if not claimant.stat_only and row.claims % _OLDEST_EVERY == _OLDEST_EVERY - 1:
        heads = [_first(tx, seek.where(Item.priority == int(priority)), claimant) for priority in Priority]
        return min((head for head in heads if head is not None), key=lambda head: int(head.id), default=None)
    return _first(tx, seek, claimant)


def _probe_item(tx: Transaction, seek: AnySelect, claimant: Claimant, avoid: int) -> AnyRow | None:
    """Find what a probe should carry: not what may be the cause, nor, where there is another, anything of its study."""
    of_its_study = select(Item.transfer_id).where(Item.id == avoid).scalar_subquery()
    return (
        _first(tx, seek.where(Item.transfer_id != of_its_study), claimant)
        or _first(tx, seek.where(Item.transfer_id == of_its_study, Item.last_failed_at.is_(None)), claimant)
        or _first(tx, seek.where(Item.id != avoid), claimant)
    )


def _first(tx: Transaction, seek: AnySelect, claimant: Claimant) -> AnyRow | None:
    if claimant.stat_only:
        seek = seek.where(Item.priority == int(Priority.STAT))
    return tx.conn.execute(seek.order_by(Item.priority, Item.transfer_id, Item.id).limit(1)).one_or_none()


def _fill(tx: Transaction, row: AnyRow, claimant: Claimant, head: AnyRow, limits: BatchLimits) -> list[AnyRow]:
    """Take the head's neighbours up to every limit; suspects go in small company, and at last alone."""
    size = _batch_size(head, limits)
    query = (
        select(
            Item.id.label("item_id"),
            Item.transfer_id,
            Item.priority,
            Item.size,
            Item.suspect,
            Item.crash_suspect,
            Item.file_id,
            Instance.sop_class_uid,
            Instance.sop_instance_uid,
            Instance.transfer_syntax_uid,
            File.dataset_offset,
            File.path,
            File.size.label("file_size"),
            File.spool_mtime_ns,
            File.spool_path,
        )
        .join(Instance, Instance.id == Item.instance_id)
        .join(File, File.id == Item.file_id)
        .where(*_ready(row, claimant), Item.priority == head.priority)
        .order_by(Item.transfer_id, Item.id)
        .limit(size)
    )
    if size == 1:
        query = query.where(Item.id == head.id)
    elif row.association == "batch":
        query = query.where(Item.transfer_id >= head.transfer_id)
    else:
        query = query.where(Item.transfer_id == head.transfer_id)
        if row.association == "series":
            query = query.where(Item.series_id == head.series_id)
    batch: list[AnyRow] = []
    contexts: set[tuple[str, str]] = set()
    total = 0
    for item in tx.conn.execute(query):
        if size > 1 and (item.crash_suspect != head.crash_suspect or item.suspect >= ALONE_AT):
            continue
        contexts.add((item.sop_class_uid, item.transfer_syntax_uid))
        total += item.size
        if batch and (len(contexts) > limits.contexts or total > limits.size):
            break
        batch.append(item)
    return batch


def _batch_size(head: AnyRow, limits: BatchLimits) -> int:
    if head.crash_suspect >= ALONE_AFTER or head.suspect >= ALONE_AT:
        return 1
    return min(_SUSPECT_BATCH, limits.instances) if head.crash_suspect else limits.instances


def _refusal(refused: Mapping[tuple[str, str], str], item: AnyRow) -> str | None:
    if not refused:
        return None
    return refused.get((item.sop_class_uid, "")) or refused.get((item.sop_class_uid, item.transfer_syntax_uid))


def _fail_refused(
    tx: Transaction, destination_id: int, items: list[AnyRow], refused: Mapping[tuple[str, str], str]
) -> None:
    tally = Tally()
    for item in items:
        tx.conn.execute(
            update(Item)
            .where(Item.id == item.item_id)
            .values(state=int(ItemState.FAILED), refused=True, settled_at=tx.now, last_words=_refusal(refused, item))
        )
        tally.move(destination_id, item.transfer_id, ItemState.READY, ItemState.FAILED)
    tally.write(tx)
