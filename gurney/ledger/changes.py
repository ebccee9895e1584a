"""A decision that gives several items another state: their rows, their counts, and a row of the trail.

Who decides has locked the items' destinations, so that nobody claims or settles them meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sqlalchemy import update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import Item, Transfer
from gurney.ledger.tally import Tally
from gurney.transfer.states import ItemState

__all__ = ["change"]


def change(
    tx: Transaction,
    rows: Sequence[AnyRow],
    state: ItemState,
    values: Mapping[str, object],
    actor: str,
    action: str,
    *,
    study_instance_uid: str = "",
    **detail: trail.Fact,
) -> None:
    """Give items a state and ``values``, and write the decision, ``action``, for each destination.

    ``rows`` hold ``id``, ``state``, ``transfer_id`` and ``destination_id`` of each. What has come to rest is under way
    again when something of it is READY.
    """
    by_destination: dict[int, list[AnyRow]] = defaultdict(list)
    for row in rows:
        by_destination[row.destination_id].append(row)
    tx.conn.execute(update(Item).where(Item.id.in_([row.id for row in rows])).values(state=int(state), **values))
    if state is ItemState.READY:
        restless = update(Transfer).where(Transfer.id.in_({row.transfer_id for row in rows}))
        tx.conn.execute(restless.where(Transfer.quiet_since.is_not(None)).values(quiet_since=None))
    tally = Tally()
    for destination_id, changed in by_destination.items():
        for row in changed:
            tally.move(destination_id, row.transfer_id, ItemState(row.state), state)
        trail.record(
            tx,
            actor,
            action,
            study_instance_uid=study_instance_uid,
            destination_id=destination_id,
            items=len(changed),
            **detail,
        )
    tally.write(tx)
