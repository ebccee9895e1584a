"""Which items a claim takes: what is due for a retry, the head of what is ready, and its neighbours.

Never an OR, always one seek of a partial index: the head picks priority and study, and what stands behind it in the
index fills the batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from functools import cache

from sqlalchemy import ColumnElement, Connection, bindparam, func, literal_column, select, update
from sqlalchemy.orm import aliased

from gurney.ledger import refusals, trail
from gurney.ledger.database import AnyRow, AnySelect, Transaction
from gurney.ledger.leases import ALONE_AFTER
from gurney.ledger.models import File, Instance, Item, Transfer
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import item_is
from gurney.ledger.tally import Tally
from gurney.ledger.terms import BatchLimits, Claimant, Work
from gurney.transfer.retry import ALONE_AT
from gurney.transfer.states import ItemState, Priority

__all__ = ["has_due_work", "has_stat_work", "next_batch", "next_due", "promote", "studies_begun"]

# Every so many claims the oldest item goes first, whatever its priority, so that BULK never starves.
_OLDEST_EVERY = 8
# After one lost lease a batch is this small; after two it is one item.
_SUSPECT_BATCH = 20
_PROMOTE_AT_ONCE = 1_000
# So many batches may turn out to be refused as a whole before a claim leaves the rest to the next one.
_REFUSED_BATCHES = 5


# Statements are made once, here: making one anew for each claim would take longer than running it.
_OF_DESTINATION = Item.destination_id == bindparam("destination")
_READY = (_OF_DESTINATION, Item.spool_id == bindparam("spool"), item_is(ItemState.READY))
_RETRY = (_OF_DESTINATION, item_is(ItemState.RETRY))
# Not EXISTS: PostgreSQL drops its ORDER BY, then may read the table from its old end, where everything is done.
_FIRST_READY = select(Item.id).where(*_READY).order_by(Item.priority, Item.transfer_id, Item.id)
_FIRST_RETRY = select(Item.id).where(*_RETRY, Item.due_at <= bindparam("now")).order_by(Item.due_at)
_ONE: ColumnElement[int] = literal_column("1")
_HAS_WORK = select(
    _FIRST_READY.limit(_ONE).scalar_subquery().is_not(None) | _FIRST_RETRY.limit(_ONE).scalar_subquery().is_not(None)
)
_HAS_STAT = select(_FIRST_READY.where(Item.priority == int(Priority.STAT)).limit(_ONE).scalar_subquery().is_not(None))
_NEXT_DUE = select(func.min(Item.due_at)).where(*_RETRY)
_PROMOTE = (
    update(Item)
    .where(
        Item.id.in_(_FIRST_RETRY.limit(literal_column(str(_PROMOTE_AT_ONCE)))),
        item_is(ItemState.RETRY),
    )
    .values(state=int(ItemState.READY), due_at=None)
    .returning(Item.transfer_id)
)
# What gurney.ledger.terms.Work holds, in its order.
_WORK = (
    Item.id.label("item_id"),
    Item.file_id,
    Instance.sop_class_uid,
    Instance.sop_instance_uid,
    Instance.transfer_syntax_uid,
    File.dataset_offset,
    File.path,
    File.size,
    File.spool_mtime_ns,
    File.spool_path,
    Item.transfer_id,
    Item.priority,
    Item.suspect,
    Item.crash_suspect,
)
_BEGUN = select(Transfer.id).where(among(Transfer.id, "transfers"), Transfer.first_stored_at.is_(None))
_REFUSE = (
    update(Item)
    .where(Item.id == bindparam("item"))
    .values(state=int(ItemState.FAILED), refused=True, settled_at=bindparam("now"), last_words=bindparam("words"))
)


def has_due_work(conn: Connection, destination_id: int, spool_id: int, now: float) -> bool:
    """Whether a claim would find an item: two seeks of partial indexes."""
    return bool(conn.scalar(_HAS_WORK, {"destination": destination_id, "spool": spool_id, "now": now}))


def has_stat_work(conn: Connection, destination_id: int, spool_id: int) -> bool:
    """Whether a STAT item is ready."""
    return bool(conn.scalar(_HAS_STAT, {"destination": destination_id, "spool": spool_id}))


def promote(tx: Transaction, destination_id: int) -> None:
    """Make ready what is due for a retry."""
    rows = tx.conn.execute(_PROMOTE, {"destination": destination_id, "now": tx.now}).all()
    tally = Tally()
    for transfer_id, n in Counter(row.transfer_id for row in rows).items():
        tally.move(destination_id, transfer_id, ItemState.RETRY, ItemState.READY, n)
    tally.write(tx)


def next_due(tx: Transaction, destination_id: int) -> float | None:
    """Return when the next retry is due, in ledger seconds."""
    return tx.conn.scalar(_NEXT_DUE, {"destination": destination_id})


def studies_begun(tx: Transaction, row: AnyRow, live: Sequence[AnyRow]) -> list[int]:
    """Return the transfers on the wire with nothing stored yet: two associations would race to create the study.

    Not those of a lease over several, which is from when the destination took batches: while it lasts, a study of it
    may begin on another association as well.
    """
    transfers = [lease.transfer_id for lease in live if lease.transfer_id is not None]
    if row.association == "batch" or not transfers:
        return []
    return list(tx.conn.scalars(_BEGUN, {"transfers": transfers}))


def next_batch(
    tx: Transaction,
    row: AnyRow,
    claimant: Claimant,
    begun: list[int],
    limits: BatchLimits,
    *,
    probe: bool,
) -> list[Work]:
    """Find the head and fill its batch; what the destination is known to refuse is failed on the way.

    Of a study that is refused as a whole only so much is failed in one transaction; the next claim goes on.
    """
    refused = refusals.active(tx, row.id)
    for _ in range(_REFUSED_BATCHES):
        head = _head(tx, row, claimant, begun, probe=probe)
        if head is None:
            return []
        candidates = _fill(tx, row, claimant, head, limits, alone=probe)
        if not refused:
            return candidates
        batch = [item for item in candidates if not _refusal(refused, item)]
        if len(batch) < len(candidates):
            _fail_refused(tx, row.id, [item for item in candidates if _refusal(refused, item)], refused)
        if batch:
            return batch
    return []


class _Canary(StrEnum):
    """What a probe may carry, in the order in which it is looked for."""

    OTHER_STUDY = "other study"
    NEVER_FAILED = "same study, never failed"
    OTHER_ITEM = "anything but the one that failed"


def _head(tx: Transaction, row: AnyRow, claimant: Claimant, begun: list[int], *, probe: bool) -> AnyRow | None:
    """Find the item that picks priority and study."""
    place = {"destination": row.id, "spool": claimant.spool_id, "begun": begun, "avoid": row.last_failed_item_id}

    def first(canary: _Canary | None = None, priority: Priority | None = None) -> AnyRow | None:
        wanted = Priority.STAT if claimant.stat_only else priority
        query = _seek(begun=bool(begun), one_priority=wanted is not None, canary=canary)
        return tx.conn.execute(query, place | {"priority": wanted}).one_or_none()

    if probe and row.last_failed_item_id is not None:
        # Not what may be the cause, nor, where there is another, anything of its study.
        for canary in _Canary:
            if (head := first(canary)) is not None:
                return head
    if not claimant.stat_only and row.claims % _OLDEST_EVERY == _OLDEST_EVERY - 1:
        heads = [first(priority=priority) for priority in Priority]
        return min((head for head in heads if head is not None), key=lambda head: int(head.id), default=None)
    return first()


@cache
def _seek(*, begun: bool, one_priority: bool, canary: _Canary | None) -> AnySelect:
    """Make one of the few forms of the seek for a head."""
    seek = select(Item.id, Item.priority, Item.transfer_id, Item.series_id, Item.suspect, Item.crash_suspect)
    seek = seek.where(*_READY).order_by(Item.priority, Item.transfer_id, Item.id).limit(_ONE)
    if begun:
        seek = seek.where(~among(Item.transfer_id, "begun"))
    if one_priority:
        seek = seek.where(Item.priority == bindparam("priority"))
    other = aliased(Item)
    its_study = select(other.transfer_id).where(other.id == bindparam("avoid")).scalar_subquery()
    match canary:
        case _Canary.OTHER_STUDY:
            seek = seek.where(Item.transfer_id != its_study)
        case _Canary.NEVER_FAILED:
            seek = seek.where(
                Item.transfer_id == its_study, Item.id != bindparam("avoid"), Item.last_failed_at.is_(None)
            )
        case _Canary.OTHER_ITEM:
            seek = seek.where(Item.id != bindparam("avoid"))
    return seek


def _fill(
    tx: Transaction, row: AnyRow, claimant: Claimant, head: AnyRow, limits: BatchLimits, *, alone: bool
) -> list[Work]:
    """Take the head's neighbours up to every limit; suspects go in small company, and at last alone."""
    size = 1 if alone else _batch_size(head, limits)
    query = _neighbours("item" if size == 1 else row.association)
    place = {
        "destination": row.id,
        "spool": claimant.spool_id,
        "priority": head.priority,
        "transfer": head.transfer_id,
        "series": head.series_id,
        "item": head.id,
        "size": size,
    }
    batch: list[Work] = []
    contexts: set[tuple[str, str]] = set()
    total = 0
    for item in map(Work._make, tx.conn.execute(query, place)):
        if size > 1 and (item.crash_suspect != head.crash_suspect or item.suspect >= ALONE_AT):
            continue
        contexts.add((item.sop_class_uid, item.transfer_syntax_uid))
        total += item.size
        if batch and (len(contexts) > limits.contexts or total > limits.size):
            break
        batch.append(item)
    return batch


@cache
def _neighbours(association: str) -> AnySelect:
    """Make the query for what goes with a head: itself, its series, its study, or whatever comes next."""
    query = (
        select(*_WORK)
        .join(Instance, Instance.id == Item.instance_id)
        .join(File, File.id == Item.file_id)
        .where(*_READY, Item.priority == bindparam("priority"))
        .order_by(Item.transfer_id, Item.id)
        .limit(bindparam("size"))
    )
    match association:
        case "item":
            return query.where(Item.id == bindparam("item"))
        case "series":
            return query.where(Item.transfer_id == bindparam("transfer"), Item.series_id == bindparam("series"))
        case "study":
            return query.where(Item.transfer_id == bindparam("transfer"))
        case _:
            return query.where(Item.transfer_id >= bindparam("transfer"))


def _batch_size(head: AnyRow, limits: BatchLimits) -> int:
    if head.crash_suspect >= ALONE_AFTER or head.suspect >= ALONE_AT:
        return 1
    return min(_SUSPECT_BATCH, limits.instances) if head.crash_suspect else limits.instances


def _refusal(refused: Mapping[tuple[str, str], str], item: Work) -> str | None:
    return refused.get((item.sop_class_uid, "")) or refused.get((item.sop_class_uid, item.transfer_syntax_uid))


def _fail_refused(
    tx: Transaction, destination_id: int, items: list[Work], refused: Mapping[tuple[str, str], str]
) -> None:
    tally = Tally()
    for item in items:
        tally.move(destination_id, item.transfer_id, ItemState.READY, ItemState.FAILED)
    tx.conn.execute(
        _REFUSE, [{"item": item.item_id, "now": tx.now, "words": _refusal(refused, item)} for item in items]
    )
    tally.write(tx)
    # No attempt says so: none was made.
    trail.record(
        tx,
        "ledger",
        "items.refused",
        destination_id=destination_id,
        items=[item.item_id for item in items],
        sop_classes=sorted({item.sop_class_uid for item in items}),
    )
