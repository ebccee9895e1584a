"""Routing loops: what a peer that we have sent to brings back, and what changes each time that it comes round.

The same content that comes back adds nothing. Content that was changed on its way round is another one, under the same
UID, and where a conflict is to be settled by replacing it would go round for ever.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

from sqlalchemy import func, select

from gurney.ledger.database import Transaction
from gurney.ledger.models import Destination, Instance, Item

__all__ = ["MOST_VERSIONS", "goes_round", "sent_to"]

MOST_VERSIONS: Final = 5
"""So many contents of one SOP Instance UID replace each other in a day; the next one waits for a person."""

_DAY: Final = 86_400.0


def sent_to(tx: Transaction, came: Iterable[tuple[str, str]]) -> dict[tuple[str, str], frozenset[str]]:
    """Return, for each pair of calling AE title and SOP Instance UID, the destinations that brought back what they got.

    That is those with this AE title that were sent the instance, in whichever version. Pairs without any are left out.
    """
    wanted = {(ae_title, uid) for ae_title, uid in came if ae_title}
    if not wanted:
        return {}
    rows = tx.conn.execute(
        select(Destination.ae_title, Instance.sop_instance_uid, Destination.name)
        .join(Item, Item.destination_id == Destination.id)
        .join(Instance, Instance.id == Item.instance_id)
        .where(
            Instance.sop_instance_uid.in_({uid for _, uid in wanted}),
            Destination.ae_title.in_({ae_title for ae_title, _ in wanted}),
            Item.fence > 0,
        )
    )
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for ae_title, uid, name in rows:
        if (ae_title, uid) in wanted:
            found[ae_title, uid].add(name)
    return {pair: frozenset(names) for pair, names in found.items()}


def goes_round(tx: Transaction, sop_instance_uid: str) -> bool:
    """Tell whether so many contents came under one UID within a day that they seem to be changed in a circle."""
    recent = select(func.count()).where(
        Instance.sop_instance_uid == sop_instance_uid, Instance.created_at > tx.now - _DAY
    )
    return (tx.conn.scalar(recent) or 0) >= MOST_VERSIONS
