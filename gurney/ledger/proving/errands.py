"""Which items are still to be proven: a list that a study fills when it rests, and whoever asks the peer works off.

An item leaves the list when it is asked for, and comes back when the answer is none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Connection, String, case, delete, exists, func, literal, literal_column, or_, select

from gurney.ledger.database import Transaction
from gurney.ledger.destinations import lock
from gurney.ledger.models import Destination, File, Instance, Item, ProofWanted, Prover, Study
from gurney.ledger.models.predicates import is_provable, proves
from gurney.transfer.states import Proof

__all__ = [
    "COMMITMENT",
    "FIND",
    "Unproven",
    "clear_trouble",
    "due",
    "note_trouble",
    "take_off",
    "want",
    "want_again",
]

COMMITMENT: Final = "commitment"
FIND: Final = "find"
"""How an item is to be proven."""

_NONE: Final = literal_column("'none'", String)
# Of what is kept in its folder we have a copy there, whatever becomes of the spool's.
_LAST_COPY: Final = or_(File.after != literal_column("'keep'"), File.door != literal_column("'watch'"))
_AT_ONCE: Final = 200


class Unproven(NamedTuple):
    """An item to be looked for, by the UIDs that it was sent with."""

    item_id: int
    study_instance_uid: str
    sop_instance_uid: str


def want(tx: Transaction, transfer_id: int) -> None:
    """Put on the list what a transfer that rests has stored, where its destination is to prove it.

    A peer that is asked *before delete* is asked for what we have no other copy of: what is moved or deleted from a
    watched folder, and what came by any other door.
    """
    how = case((Destination.commitment != _NONE, COMMITMENT), else_=FIND)
    stored = (
        select(Item.id, Item.destination_id, how, literal(tx.now), literal(0))
        .join(Destination, Destination.id == Item.destination_id)
        .join(File, File.id == Item.file_id)
        .where(
            Item.transfer_id == transfer_id,
            is_provable(),
            Item.proof == int(Proof.NONE),
            proves(),
            or_(Destination.commitment != literal_column("'before_delete'"), _LAST_COPY),
        )
    )
    columns = ["item_id", "destination_id", "how", "due_at", "looked"]
    tx.conn.execute(tx.upsert(ProofWanted).from_select(columns, stored).on_conflict_do_nothing())


def want_again(tx: Transaction, destination_id: int, item_ids: Collection[int], how: str, delay: float = 0.0) -> None:
    """Put items on the list for later."""
    values = {"how": how, "due_at": tx.now + delay, "looked": 0}
    if item_ids:
        tx.conn.execute(
            tx.upsert(ProofWanted)
            .values([{"item_id": item_id, "destination_id": destination_id, **values} for item_id in sorted(item_ids)])
            .on_conflict_do_update(index_elements=[ProofWanted.item_id], set_=values)
        )


def take_off(tx: Transaction, item_ids: Collection[int]) -> None:
    """Take items off the list: they are asked for, or there is nothing to ask."""
    tx.conn.execute(delete(ProofWanted).where(ProofWanted.item_id.in_(item_ids)))


def due(conn: Connection, destination: str, how: str, now: float, limit: int = _AT_ONCE) -> list[Unproven]:
    """Return what is to be proven now, what has waited longest first; of one destination that may be asked.

    One that is paused, held or down, or at which asking has failed a moment ago, has nothing due.
    """
    may_be_asked = (
        Destination.name == destination,
        Destination.retired.is_(False),
        Destination.paused_by == "",
        Destination.hold_reason == "",
        Destination.breaker != literal_column("'open'"),
        ~exists().where(Prover.destination_id == Destination.id, Prover.look_at > now).correlate(Destination),
    )
    rows = conn.execute(
        select(ProofWanted.item_id)
        .add_columns(func.coalesce(Item.sent_study_instance_uid, Study.study_instance_uid).label("study"))
        .add_columns(func.coalesce(Item.sent_sop_instance_uid, Instance.sop_instance_uid).label("instance"))
        .join(Destination, Destination.id == ProofWanted.destination_id)
        .join(Item, Item.id == ProofWanted.item_id)
        .join(Instance, Instance.id == Item.instance_id)
        .join(Study, Study.id == Instance.study_id)
        .where(*may_be_asked, ProofWanted.how == how, ProofWanted.due_at <= now)
        .order_by(ProofWanted.due_at, ProofWanted.item_id)
        .limit(limit)
    )
    return [Unproven(row.item_id, row.study, row.instance) for row in rows]


def note_trouble(tx: Transaction, destination: str, words: str, delays: Sequence[float]) -> None:
    """Note why a destination can't be asked; it is left alone for a while, longer each time."""
    row = lock(tx, destination)
    if row is None:
        return
    before = tx.conn.execute(select(Prover.tries, Prover.since).where(Prover.destination_id == row.id)).first()
    tries = before.tries if before is not None else 0
    values = {
        "trouble": words[:400],
        "since": before.since if before is not None and before.since is not None else tx.now,
        "tries": tries + 1,
        "look_at": tx.now + delays[min(tries, len(delays) - 1)],
    }
    tx.conn.execute(
        tx.upsert(Prover)
        .values(destination_id=row.id, **values)
        .on_conflict_do_update(index_elements=[Prover.destination_id], set_=values)
    )


def clear_trouble(tx: Transaction, destination: str) -> None:
    """Note that a destination could be asked."""
    which = select(Destination.id).where(Destination.name == destination).scalar_subquery()
    tx.conn.execute(delete(Prover).where(Prover.destination_id == which))
