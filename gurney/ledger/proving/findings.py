"""What a query for unproven items showed: those that the peer named are verified, the others are looked for again.

What it does not name for a while is sent once more, and given up after that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import func, select, update

from gurney.ledger import bells, sendable, trail
from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.destinations import lock
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Attempt, Item, ProofWanted
from gurney.ledger.models.predicates import is_provable
from gurney.ledger.proving.errands import take_off
from gurney.transfer.commitment import Step, after_absence, look_again_after
from gurney.transfer.states import ItemState, Outcome, Priority, Proof

__all__ = ["Absent", "absent", "present", "send_again"]

_NO_FILE: Final = "the peer does not have it, and its file is gone: nothing is left to send again"
_NOT_FOUND: Final = "the peer took it twice, and does not find it"


class Absent(NamedTuple):
    """What a query did not name: items to be looked for again, sent again, given up; and whom to ring."""

    open: int
    sent_again: int
    given_up: int
    bells: list[Bell]


def present(tx: Transaction, destination: str, item_ids: Collection[int], actor: str) -> None:
    """Note that the peer named items when it was asked what it has: they are verified."""
    row = lock(tx, destination)
    if row is None:
        return
    tx.conn.execute(
        update(Item)
        .where(Item.id.in_(item_ids), is_provable(), Item.proof != int(Proof.COMMITTED))
        .values(proof=int(Proof.VERIFIED))
    )
    take_off(tx, item_ids)
    trail.record(tx, actor, "items.verified", destination_id=row.id, items=len(item_ids))


def absent(tx: Transaction, destination: str, item_ids: Collection[int], actor: str) -> Absent:
    """Note that the peer did not name items when it was asked what it has, and decide what follows."""
    peer = lock(tx, destination)
    if peer is None:
        return Absent(0, 0, 0, [])
    stored = (
        select(func.count())
        .where(Attempt.item_id == Item.id, Attempt.outcome.in_([int(Outcome.OK), int(Outcome.WARN)]))
        .correlate(Item)
        .scalar_subquery()
    )
    rows = tx.conn.execute(
        select(Item.id, Item.state, Item.transfer_id, Item.destination_id, Item.instance_id, Item.file_id)
        .add_columns(Item.spool_id, Item.priority, ProofWanted.looked, stored.label("stored"))
        .join(ProofWanted, ProofWanted.item_id == Item.id)
        .where(Item.id.in_(item_ids), is_provable())
        .order_by(Item.id)
    ).all()
    steps: dict[Step, list[AnyRow]] = defaultdict(list)
    for row in rows:
        steps[after_absence(row.looked + 1, row.stored)].append(row)
    for row in steps[Step.FIND]:
        tx.conn.execute(
            update(ProofWanted)
            .where(ProofWanted.item_id == row.id)
            .values(looked=row.looked + 1, due_at=tx.now + look_again_after(row.looked + 1))
        )
    take_off(tx, {*item_ids} - {row.id for row in steps[Step.FIND]})
    again, rung = send_again(tx, destination, steps[Step.SEND_AGAIN], actor)
    _refuse(tx, [row.id for row in steps[Step.GIVE_UP]], _NOT_FOUND)
    given_up = len(steps[Step.GIVE_UP]) + len(steps[Step.SEND_AGAIN]) - again
    if again or given_up:
        trail.record(tx, actor, "items.not_found", destination_id=peer.id, sent_again=again, refused=given_up)
    return Absent(len(steps[Step.FIND]), again, given_up, rung)


def send_again(tx: Transaction, destination: str, rows: Sequence[AnyRow], actor: str) -> tuple[int, list[Bell]]:
    """Make items READY once more, charged, by a file that we still have; those without one are refused.

    The destination's row is locked. Return how many go again, and whom to ring.
    """
    files = sendable.secure(tx, {row.instance_id for row in rows})
    there = [row for row in rows if row.instance_id in files]
    _refuse(tx, [row.id for row in rows if row.instance_id not in files], _NO_FILE)
    if not there:
        return 0, []
    places = set()
    for row in there:
        known = {file.file_id: file.spool_id for file in files[row.instance_id]}
        file_id = row.file_id if row.file_id in known else files[row.instance_id][-1].file_id
        tx.conn.execute(update(Item).where(Item.id == row.id).values(file_id=file_id, spool_id=known[file_id]))
        places.add((known[file_id], "stat" if row.priority == Priority.STAT else "work"))
    values: dict[str, object] = {"proof": int(Proof.NONE), "attempts": Item.attempts + 1, "settled_at": None}
    change(tx, there, ItemState.READY, values, actor, "items.unproven")
    return len(there), [
        Bell(destination, spool_id, lane)
        for spool_id, lane in sorted(places)
        if bells.claim_ring(tx, there[0].destination_id, spool_id, lane)
    ]


def _refuse(tx: Transaction, item_ids: Sequence[int], words: str) -> None:
    if item_ids:
        values = {"proof": int(Proof.REFUSED), "last_words": words}
        tx.conn.execute(update(Item).where(Item.id.in_(item_ids)).values(**values))
