"""Storage commitment: what was asked of an archive, durable before it is asked, and what answers mean for the items.

An answer may come before the response to the request, in parts, or two days later to another process: so it is judged
by these rows alone, and may be given twice.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Select, exists, func, insert, literal_column, select, update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.leases import lock_destination
from gurney.ledger.models import Commitment, CommitmentItem, Destination, Instance, Item
from gurney.ledger.models.predicates import item_is
from gurney.ledger.proving.errands import COMMITMENT, FIND, take_off, want_again
from gurney.ledger.proving.findings import send_again
from gurney.transfer.commitment import MOST_REFERENCES, Step, after_failure, after_silence, ask_again_after
from gurney.transfer.states import ItemState, Proof

__all__ = ["Answered", "Reference", "answer", "is_overdue", "not_taken", "overdue", "request"]

_OPEN = (Step.ASK_AGAIN, Step.FIND)
_AWAITED = (int(Proof.REQUESTED), int(Proof.OVERDUE))


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
    take_off(tx, item_ids)
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
        select(Commitment.destination_id, Destination.name, Destination.ae_title, Destination.verify)
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
    _leave_open(tx, asked, steps, failed)
    given_up = [row.id for row, step, _ in steps if step is Step.GIVE_UP]
    again, rung = send_again(tx, asked.name, [row for row, step, _ in steps if step is Step.SEND_AGAIN], actor)
    _prove(tx, given_up, Proof.REFUSED)
    _conclude(tx, transaction_uid)
    wanted_again = sum(step is Step.SEND_AGAIN for _, step, _ in steps)
    answered = Answered(
        len(kept),
        again,
        sum(step in _OPEN for _, step, _ in steps),
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


def is_overdue(conn: Connection, destination: str, timeout: float, now: float) -> bool:
    """Tell whether :func:`overdue` has something to mark; a look every few seconds is to cost no transaction."""
    return conn.execute(_late(destination, now - timeout)).first() is not None


def overdue(tx: Transaction, destination: str, timeout: float, actor: str) -> int:
    """Mark a destination's oldest request without an answer for ``timeout`` seconds; return how many items that leaves.

    One request a call, so that the transaction is short. A late answer counts all the same.
    """
    late = tx.conn.execute(_late(destination, tx.now - timeout)).one_or_none()
    return 0 if late is None else _unanswered(tx, late, None, actor, "commitment.overdue")


def not_taken(tx: Transaction, transaction_uid: str, status: int | None, actor: str) -> int:
    """Note that the peer refused the request itself (PS3.7 10.1.4.1.10), or ended the association without a response.

    Return how many items that leaves. Should it have taken the request all the same, its answer counts.
    """
    asked = tx.conn.execute(_ASKED.where(Commitment.transaction_uid == transaction_uid)).one()
    return _unanswered(tx, asked, status, actor, "commitment.not_taken")


_ASKED = select(Commitment.transaction_uid, Commitment.destination_id, Destination.name, Destination.verify).join(
    Destination, Destination.id == Commitment.destination_id
)


def _late(destination: str, before: float) -> Select[str, int, str, bool]:
    return (
        _ASKED.where(Commitment.state == literal_column("'requested'"), Commitment.requested_at <= before)
        .where(Destination.name == destination)
        .order_by(Commitment.requested_at)
        .limit(1)
    )


def _unanswered(tx: Transaction, asked: AnyRow, status: int | None, actor: str, action: str) -> int:
    """Give up one request, with ``status`` where the peer did not even take it; ask for its items again, or look."""
    lock_destination(tx, asked.destination_id)
    silent = [row for row in _awaited(tx, asked.transaction_uid) if row.of_request == Proof.REQUESTED]
    _note(tx, asked.transaction_uid, [row.id for row in silent], Proof.OVERDUE, status)
    # What another request asks for, or was proven otherwise since, is not this one's business.
    waiting = [row for row in silent if row.proof == Proof.REQUESTED]
    n = _times_asked(tx, [row.id for row in waiting])
    steps = [(row, after_silence(n[row.id]), n[row.id]) for row in waiting]
    _leave_open(tx, asked, steps, dict.fromkeys((row.sop_instance_uid for row in waiting), status))
    _conclude(tx, asked.transaction_uid)
    trail.record(
        tx,
        actor,
        action,
        destination_id=asked.destination_id,
        transaction=asked.transaction_uid,
        items=len(silent),
        status=None if status is None else f"{status:04X}",
    )
    return len(silent)


def _leave_open(
    tx: Transaction,
    asked: AnyRow,
    steps: Sequence[tuple[AnyRow, Step, int]],
    reasons: Mapping[str, int | None],
) -> None:
    """Leave items without proof for now: ask again later, or look where that is wanted; else a late answer may come."""
    _prove(tx, [row.id for row, step, _ in steps if step in _OPEN], Proof.OVERDUE)
    errands = defaultdict[tuple[str, float], list[int]](list)
    for row, step, n in steps:
        if step is Step.ASK_AGAIN:
            errands[COMMITMENT, ask_again_after(n, reasons[row.sop_instance_uid])].append(row.id)
        elif step is Step.FIND and asked.verify:
            errands[FIND, 0.0].append(row.id)
    for (how, delay), item_ids in errands.items():
        want_again(tx, asked.destination_id, item_ids, how, delay)


def _awaited(tx: Transaction, transaction_uid: str) -> Sequence[AnyRow]:
    """Return what of a request is not answered yet, with the item's own state and proof."""
    return tx.conn.execute(
        select(Item.id, Item.state, Item.proof, Item.transfer_id, Item.destination_id, Item.instance_id, Item.file_id)
        .add_columns(Item.spool_id, Item.priority, Instance.sop_class_uid, CommitmentItem.proof.label("of_request"))
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


def _steps(
    tx: Transaction, refused: Sequence[AnyRow], failed: Mapping[str, int | None]
) -> list[tuple[AnyRow, Step, int]]:
    """Decide upon each refused item by all that was ever asked for it, this answer included; and say how often."""
    asked, missed = _times_asked(tx, [row.id for row in refused]), Counter[tuple[int, int | None]]()
    for item_id, reason in tx.conn.execute(
        select(CommitmentItem.item_id, CommitmentItem.reason).where(
            CommitmentItem.item_id.in_([row.id for row in refused])
        )
    ):
        missed[item_id, reason] += 1
    return [
        (row, after_failure(reason, missed[row.id, reason], asked[row.id]), asked[row.id])
        for row in refused
        for reason in [failed[row.sop_instance_uid]]
    ]


def _times_asked(tx: Transaction, item_ids: Sequence[int]) -> Counter[int]:
    return Counter(tx.conn.scalars(select(CommitmentItem.item_id).where(CommitmentItem.item_id.in_(item_ids))))


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
