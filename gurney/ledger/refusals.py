"""Refusals: what a destination does not take, remembered for a day so that it need not be asked for every instance.

When a refusal runs out, or somebody says that the peer has been taught, the items that it failed run again.
"""

from __future__ import annotations

from collections import Counter

from sqlalchemy import bindparam, delete, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Item, Refusal
from gurney.ledger.models.predicates import is_refused, item_is
from gurney.ledger.tally import Tally
from gurney.transfer.outcomes import RefusalScope
from gurney.transfer.states import ItemState

__all__ = ["REMEMBERED", "active", "clear", "expire", "remember"]

REMEMBERED = 24 * 3600.0

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


def expire(tx: Transaction) -> int:
    """Clear every destination that has a refusal past its time; return how many items run again."""
    past = select(Refusal.destination_id).where(Refusal.until <= tx.now).distinct()
    return sum(clear(tx, destination_id) for destination_id in tx.conn.scalars(past).all())


def clear(tx: Transaction, destination_id: int) -> int:
    """Forget a destination's refusals; what they failed is READY again. Return how many items that is."""
    lock_destination(tx, destination_id)
    tx.conn.execute(delete(Refusal).where(Refusal.destination_id == destination_id))
    rows = tx.conn.execute(
        update(Item)
        .where(Item.destination_id == destination_id, item_is(ItemState.FAILED), is_refused())
        .values(state=int(ItemState.READY), refused=False, settled_at=None, context_retries=0)
        .returning(Item.transfer_id)
    ).all()
    tally = Tally()
    for transfer_id, n in Counter(row.transfer_id for row in rows).items():
        tally.move(destination_id, transfer_id, ItemState.FAILED, ItemState.READY, n)
    tally.write(tx)
    return len(rows)
