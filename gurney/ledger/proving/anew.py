"""Ask anew for proof, because a person says so: of what was refused, or never answered, or never asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from sqlalchemy import ColumnElement, delete, func, select, true, update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Destination, Item, Prover
from gurney.ledger.models.predicates import PROVABLE, is_provable, proves
from gurney.ledger.proving.errands import COMMITMENT, FIND, want_again
from gurney.ledger.selection import Selection
from gurney.transfer.states import Proof

__all__ = ["prove_again"]

_AT_ONCE: Final = 200
_UNPROVEN: Final = Item.proof.in_([int(Proof.NONE), int(Proof.REFUSED), int(Proof.OVERDUE)])


def prove_again(ledger: Ledger, selection: Selection, actor: str) -> int | None:
    """Ask anew for what is stored and not proven; return how many items, None where no destination is to prove any."""
    with ledger.read() as conn:
        if not conn.scalar(select(func.count()).where(proves(), _is_meant(selection))):
            return None
    total, after = 0, 0
    while True:
        with ledger.read() as conn:
            found = conn.execute(
                select(Item.id, Item.destination_id)
                .join(Destination, Destination.id == Item.destination_id)
                .where(*selection.conditions(*PROVABLE), Item.id > after, proves())
                .where(_UNPROVEN)
                .order_by(Item.id)
                .limit(_AT_ONCE)
            ).all()
        if not found:
            return total
        after = found[-1].id
        total += ledger.transact(_prove_some, found, actor)


def _is_meant(selection: Selection) -> ColumnElement[bool]:
    return Destination.name == selection.destination if selection.destination else true()


def _prove_some(tx: Transaction, found: Sequence[AnyRow], actor: str) -> int:
    by_destination: dict[int, list[int]] = defaultdict(list)
    for row in found:
        by_destination[row.destination_id].append(row.id)
    total = 0
    for destination_id, item_ids in sorted(by_destination.items()):
        lock_destination(tx, destination_id)
        open_again = tx.conn.scalars(
            update(Item)
            .where(Item.id.in_(item_ids), is_provable(), _UNPROVEN)
            .values(proof=int(Proof.NONE))
            .returning(Item.id)
        ).all()
        commits = tx.conn.scalar(select(Destination.commitment).where(Destination.id == destination_id)) != "none"
        want_again(tx, destination_id, open_again, COMMITMENT if commits else FIND)
        tx.conn.execute(delete(Prover).where(Prover.destination_id == destination_id))
        trail.record(tx, actor, "items.prove", destination_id=destination_id, items=len(open_again))
        total += len(open_again)
    return total
