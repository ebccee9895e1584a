"""Refusals: what a destination does not take, remembered for a day so that it need not be asked for every instance.

When a refusal runs out, or somebody says that the peer has been taught, the items that it failed run again.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, bindparam, delete, exists, select, update

from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Instance, Item, Refusal
from gurney.ledger.models.predicates import is_refused, item_is
from gurney.transfer.outcomes import RefusalScope
from gurney.transfer.states import ItemState

__all__ = ["REMEMBERED", "active", "clear", "expire", "remember"]

REMEMBERED = 24 * 3600.0
# Items that one transaction changes at most.
_AT_ONCE = 200
# So many of them may one call take: the bells of the same daemon wait for it.
_GROUPS = 5

_ACTIVE = select(Refusal.sop_class_uid, Refusal.transfer_syntax_uid, Refusal.words).where(
    Refusal.destination_id == bindparam("destination"), Refusal.until > bindparam("now")
)


def remember(
    tx: Transaction, destination_id: int, scope: RefusalScope, sop_class_uid: str, transfer_syntax_uid: str, words: str
) -> None:
    """Keep a refusal for a day: of a whole SOP class, or of one of its syntaxes."""
    insert = tx.upsert(Refusal)
    values = {"words": words[:400], "until": tx.now + REMEMBERED}
    tx.conn.execute(
        insert.values(
            destination_id=destination_id,
            sop_class_uid=sop_class_uid,
            transfer_syntax_uid=transfer_syntax_uid if scope is RefusalScope.SYNTAX else "",
            **values,
        ).on_conflict_do_update(
            index_elements=[Refusal.destination_id, Refusal.sop_class_uid, Refusal.transfer_syntax_uid], set_=values
        )
    )


def active(tx: Transaction, destination_id: int) -> dict[tuple[str, str], str]:
    """Return what is refused now: (SOP class, transfer syntax or "" for all) -> words."""
    return {
        (row.sop_class_uid, row.transfer_syntax_uid): row.words
        for row in tx.conn.execute(_ACTIVE, {"destination": destination_id, "now": tx.now})
    }


def clear(tx: Transaction, destination_id: int) -> None:
    """Let a destination's refusals run out now; :func:`expire` then runs again what they failed."""
    tx.conn.execute(
        update(Refusal).where(Refusal.destination_id == destination_id, Refusal.until > tx.now).values(until=tx.now)
    )


def expire(ledger: Ledger) -> int:
    """Run again some of what refusals that have run out had failed; return how many items that is.

    A refusal that has run out is in force no more, and its row stays until its last item is READY: the next call goes
    on from there, whoever makes it. What the peer refuses anew meanwhile is remembered in that row, and its items stay.
    """
    now = ledger.now()
    with ledger.read() as conn:
        past = conn.execute(select(Refusal.__table__).where(Refusal.until <= now).order_by(Refusal.until)).all()
    again = groups = 0
    for refusal in past:
        while groups < _GROUPS:
            groups += 1
            moved = ledger.transact(_run_again, refusal)
            again += moved
            if not moved:
                break
    return again


def _run_again(tx: Transaction, refusal: AnyRow) -> int:
    """Make the next items READY that a refusal has failed; when there is none left, forget it."""
    lock_destination(tx, refusal.destination_id)
    key = (
        Refusal.destination_id == refusal.destination_id,
        Refusal.sop_class_uid == refusal.sop_class_uid,
        Refusal.transfer_syntax_uid == refusal.transfer_syntax_uid,
        Refusal.until <= tx.now,
    )
    if tx.conn.execute(select(Refusal.destination_id).where(*key)).one_or_none() is None:
        return 0
    failed = (
        select(Item.id, Item.state, Item.transfer_id, Item.destination_id)
        .join(Instance, Instance.id == Item.instance_id)
        .where(Item.destination_id == refusal.destination_id, item_is(ItemState.FAILED), is_refused())
        .where(Instance.sop_class_uid == refusal.sop_class_uid, ~_still_refused(tx))
        .limit(_AT_ONCE)
    )
    if refusal.transfer_syntax_uid:
        failed = failed.where(Instance.transfer_syntax_uid == refusal.transfer_syntax_uid)
    rows = tx.conn.execute(failed).all()
    if not rows:
        tx.conn.execute(delete(Refusal).where(*key))
        return 0
    change(
        tx,
        rows,
        ItemState.READY,
        {"refused": False, "settled_at": None, "context_retries": 0},
        "ledger",
        "refusal.ended",
        sop_class_uid=refusal.sop_class_uid,
        transfer_syntax_uid=refusal.transfer_syntax_uid,
    )
    return len(rows)


def _still_refused(tx: Transaction) -> ColumnElement[bool]:
    """Match instances that another refusal covers, which is in force."""
    return exists().where(
        Refusal.destination_id == Item.destination_id,
        Refusal.sop_class_uid == Instance.sop_class_uid,
        Refusal.transfer_syntax_uid.in_(["", Instance.transfer_syntax_uid]),
        Refusal.until > tx.now,
    )
