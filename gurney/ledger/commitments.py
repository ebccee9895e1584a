"""Storage commitment: what was asked of an archive, durable before it is asked, and what answers mean for the items.

An answer may come before the response to the request, in parts, or two days later to another process: so it is judged
by these rows alone, and may be given twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import exists, func, insert, literal_column, select, update

from gurney.ledger import bells, sendable, trail
from gurney.ledger.changes import change
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Commitment, CommitmentItem, Destination, Instance, Item
from gurney.ledger.models.predicates import item_is
from gurney.transfer.commitment import MOST_REFERENCES, Step, after_failure
from gurney.transfer.states import ItemState, Priority, Proof

__all__ = ["Answered", "Reference", "answer", "overdue", "request"]

_AWAITED = (int(Proof.REQUESTED), int(Proof.OVERDUE))
_NO_FILE = "the peer does not have it, and its file is gone: nothing is left to send again"


class Reference(NamedTuple):
    """One instance as it was sent (PS3.3 table 10-11)."""

    sop_class_uid: str
    sop_instance_uid: str


class Answered(NamedTuple):
    """What of an answer counted: items committed, sent again, to be asked for again, given up; and whom to ring."""

    committed: int
    sent_again: int
    open: int
    refused: int
    bells: list[Bell]


def request(
    tx: Transaction, transaction_uid: str, destination: str, item_ids: Collection[int], actor: str
) -> list[Reference]:
    """Write a request and what it names, before it goes out; return the references, each instance once.

    Only what the destination has stored and nobody asks for now is named; without any there is no request. Raises
    ValueError for more than :data:`~gurney.transfer.commitment.MOST_REFERENCES` items.
    """
    if len(item_ids) > MOST_REFERENCES:
        raise ValueError(f"{len(item_ids)} items in one storage commitment request: {MOST_REFERENCES} at most")
    destination_id = tx.conn.scalar(select(Destination.id).where(Destination.name == destination))
    if destination_id is None:
        return []
    lock_destination(tx, destination_id)
    rows = tx.conn.execute(
        select(Item.id, Instance.sop_class_uid)
        .add_columns(func.coalesce(Item.sent_sop_instance_uid, Instance.sop_instance_uid).label("sop_instance_uid"))
        .join(Instance, Instance.id == Item.instance_id)
        .where(
            Item.id.in_(item_ids),
            Item.destination_id == destination_id,
            item_is(ItemState.DONE, ItemState.WARNED),
            Item.proof.in_([int(Proof.NONE), int(Proof.OVERDUE)]),
        )
        .order_by(Item.id)
    ).all()
    if not rows:
        return []
    tx.conn.execute(
        insert(Commitment).values(
            transaction_uid=transaction_uid, destination_id=destination_id, requested_at=tx.now, state="requested"
        )
    )
    named = [{"transaction_uid": transaction_uid, "item_id": row.id, "proof": int(Proof.REQUESTED)} for row in rows]
    tx.conn.execute(insert(CommitmentItem), named)
    _prove(tx, [row.id for row in rows], Proof.REQUESTED)
    trail.record(
        tx, actor, "commitment.requested", destination_id=destination_id, transaction=transaction_uid, items=len(rows)
    )
    return list(dict.fromkeys(Reference(row.sop_class_uid, row.sop_instance_uid) for row in rows))


def answer(
    tx: Transaction,
    transaction_uid: str,
    ae_title: str,
    committed: Collection[Reference],
    failed: Mapping[str, int | None],
    actor: str,
) -> Answered | None:
    """Take an answer, whole or in part; None for a transaction that was not asked of the peer with this AE title.

    ``failed`` is Failure Reason by SOP Instance UID. An instance counts as committed only as it was named, and when
    nothing else is said of it; what was answered before stays, and an item that is on its way again is left alone.
    """
    asked = tx.conn.execute(
        select(Commitment.destination_id, Destination.name, Destination.ae_title)
        .join(Destination, Destination.id == Commitment.destination_id)
        .where(Commitment.transaction_uid == transaction_uid)
    ).one_or_none()
    if asked is None or asked.ae_title.strip() != ae_title.strip():
        return None
    lock_destination(tx, asked.destination_id)
    awaited = _awaited(tx, transaction_uid)
    held = set(committed)
    refused = [row for row in awaited if row.sop_instance_uid in failed]
    kept = [
        row.id
        for row in awaited
        if row.sop_instance_uid not in failed and Reference(row.sop_class_uid, row.sop_instance_uid) in held
    ]
    _note(tx, transaction_uid, kept, Proof.COMMITTED, None)
    for reason in {failed[row.sop_instance_uid] for row in refused}:
        which = [row.id for row in refused if failed[row.sop_instance_uid] == reason]
        _note(tx, transaction_uid, which, Proof.REFUSED, reason)
    # What was sent again or proven otherwise since is not touched by what is said of an older request.
    _prove(tx, kept, Proof.COMMITTED)
    steps = _steps(tx, [row for row in refused if row.proof in _AWAITED], failed)
    _prove(tx, [row.id for row, step in steps if step in (Step.ASK_AGAIN, Step.FIND)], Proof.OVERDUE)
    given_up = [row.id for row, step in steps if step is Step.GIVE_UP]
    again, rung = _send_again(tx, asked, [row for row, step in steps if step is Step.SEND_AGAIN], actor)
    _prove(tx, given_up, Proof.REFUSED)
    _conclude(tx, transaction_uid)
    wanted_again = sum(step is Step.SEND_AGAIN for _, step in steps)
    answered = Answered(
        len(kept),
        again,
        sum(step in (Step.ASK_AGAIN, Step.FIND) for _, step in steps),
        len(given_up) + wanted_again - again,
        rung,
    )
    if kept or refused:
        trail.record(
            tx,
            actor,
            "commitment.answered",
            destination_id=asked.destination_id,
            transaction=transaction_uid,
            committed=answered.committed,
            sent_again=answered.sent_again,
            open=answered.open,
            refused=answered.refused,
        )
    return answered


def overdue(tx: Transaction, timeout: float, actor: str) -> int:
    """Mark the oldest request without an answer for ``timeout`` seconds as overdue; return how many items that leaves.

    One request a call, so that the transaction is short. A late answer counts all the same.
    """
    late = tx.conn.execute(
        select(Commitment.transaction_uid, Commitment.destination_id)
        .where(Commitment.state == literal_column("'requested'"), Commitment.requested_at <= tx.now - timeout)
        .order_by(Commitment.requested_at)
        .limit(1)
    ).one_or_none()
    if late is None:
        return 0
    lock_destination(tx, late.destination_id)
    silent = tx.conn.scalars(
        update(CommitmentItem)
        .where(CommitmentItem.transaction_uid == late.transaction_uid, CommitmentItem.proof == int(Proof.REQUESTED))
        .values(proof=int(Proof.OVERDUE))
        .returning(CommitmentItem.item_id)
    ).all()
    _prove(tx, silent, Proof.OVERDUE)
    _conclude(tx, late.transaction_uid)
    trail.record(
        tx,
        actor,
        "commitment.overdue",
        destination_id=late.destination_id,
        transaction=late.transaction_uid,
        items=len(silent),
    )
    return len(silent)


def _awaited(tx: Transaction, transaction_uid: str) -> Sequence[AnyRow]:
    """Return what of a request is not answered yet, with the item's own state and proof."""
    return tx.conn.execute(
        select(Item.id, Item.state, Item.proof, Item.transfer_id, Item.destination_id, Item.instance_id, Item.file_id)
        .add_columns(Item.spool_id, Item.priority, Instance.sop_class_uid)
        .add_columns(func.coalesce(Item.sent_sop_instance_uid, Instance.sop_instance_uid).label("sop_instance_uid"))
        .join(CommitmentItem, CommitmentItem.item_id == Item.id)
        .join(Instance, Instance.id == Item.instance_id)
        .where(CommitmentItem.transaction_uid == transaction_uid, CommitmentItem.proof.in_(_AWAITED))
        .order_by(Item.id)
    ).all()


def _note(tx: Transaction, transaction_uid: str, item_ids: Sequence[int], proof: Proof, reason: int | None) -> None:
    tx.conn.execute(
        update(CommitmentItem)
        .where(CommitmentItem.transaction_uid == transaction_uid, CommitmentItem.item_id.in_(item_ids))
        .values(proof=int(proof), reason=reason)
    )


def _prove(tx: Transaction, item_ids: Sequence[int], proof: Proof) -> None:
    """Give items a proof, where they are stored and it is still open."""
    before = [int(Proof.NONE), *_AWAITED] if proof is Proof.REQUESTED else list(_AWAITED)
    tx.conn.execute(
        update(Item)
        .where(Item.id.in_(item_ids), item_is(ItemState.DONE, ItemState.WARNED), Item.proof.in_(before))
        .values(proof=int(proof))
    )


def _steps(tx: Transaction, refused: Sequence[AnyRow], failed: Mapping[str, int | None]) -> list[tuple[AnyRow, Step]]:
    """Decide upon each refused item by all that was ever asked for it, this answer included."""
    asked, missed = Counter[int](), Counter[tuple[int, int | None]]()
    for item_id, reason in tx.conn.execute(
        select(CommitmentItem.item_id, CommitmentItem.reason).where(
            CommitmentItem.item_id.in_([row.id for row in refused])
        )
    ):
        asked[item_id] += 1
        missed[item_id, reason] += 1
    return [
        (row, after_failure(reason, missed[row.id, reason], asked[row.id]))
        for row in refused
        for reason in [failed[row.sop_instance_uid]]
    ]


def _send_again(tx: Transaction, asked: AnyRow, rows: Sequence[AnyRow], actor: str) -> tuple[int, list[Bell]]:
    """Make items READY once more, charged, by a file that we still have; those without one are refused."""
    files = sendable.secure(tx, {row.instance_id for row in rows})
    present = [row for row in rows if row.instance_id in files]
    gone = [row.id for row in rows if row.instance_id not in files]
    tx.conn.execute(update(Item).where(Item.id.in_(gone)).values(proof=int(Proof.REFUSED), last_words=_NO_FILE))
    if not present:
        return 0, []
    places = set()
    for row in present:
        known = {file.file_id: file.spool_id for file in files[row.instance_id]}
        file_id = row.file_id if row.file_id in known else files[row.instance_id][-1].file_id
        tx.conn.execute(update(Item).where(Item.id == row.id).values(file_id=file_id, spool_id=known[file_id]))
        places.add((known[file_id], "stat" if row.priority == Priority.STAT else "work"))
    values: dict[str, object] = {"proof": int(Proof.NONE), "attempts": Item.attempts + 1, "settled_at": None}
    change(tx, present, ItemState.READY, values, actor, "items.uncommitted")
    return len(present), [
        Bell(asked.name, spool_id, lane)
        for spool_id, lane in sorted(places)
        if bells.claim_ring(tx, asked.destination_id, spool_id, lane)
    ]


def _conclude(tx: Transaction, transaction_uid: str) -> None:
    """Say in one word how a request stands, by its items."""
    proofs = Counter(
        tx.conn.scalars(select(CommitmentItem.proof).where(CommitmentItem.transaction_uid == transaction_uid))
    )
    if proofs[Proof.REQUESTED]:
        state = "requested"
    elif proofs[Proof.OVERDUE]:
        state = "overdue"
    elif not proofs[Proof.REFUSED]:
        state = "committed"
    else:
        state = "partial" if proofs[Proof.COMMITTED] else "refused"
    answered = exists().where(
        CommitmentItem.transaction_uid == transaction_uid,
        CommitmentItem.proof.in_([int(Proof.COMMITTED), int(Proof.REFUSED)]),
    )
    which = update(Commitment).where(Commitment.transaction_uid == transaction_uid)
    tx.conn.execute(which.values(state=state))
    tx.conn.execute(which.where(Commitment.answered_at.is_(None), answered).values(answered_at=tx.now))
