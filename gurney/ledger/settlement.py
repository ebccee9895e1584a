"""Settle what a worker did: items, attempts, counts and the destination's gate in one transaction, under the fence.

Each settlement is decided by :func:`gurney.transfer.retry.decide` and nothing is decided here. Repeating a settlement
whose commit may or may not have happened is harmless: an attempt's key is (item, fence).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, exists, func, select, update

from gurney.dicom.dictionary import named_uid
from gurney.ledger import destinations, refusals, sendable, trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.leases import LeaseTicket, assert_live, release
from gurney.ledger.models import Attempt, Instance, Item, Lease, Transfer
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import item_is
from gurney.ledger.tally import Tally
from gurney.transfer import breaker
from gurney.transfer.breaker import Gate
from gurney.transfer.outcomes import Decision, Effect, Event, EventKind, ItemHistory, RefusalScope
from gurney.transfer.retry import decide
from gurney.transfer.states import ItemState, Outcome

__all__ = ["Settled", "Settlement", "conclude", "finish", "settle"]

_STORED = frozenset({ItemState.DONE, ItemState.WARNED})


class Settlement(NamedTuple):
    """How one item's attempt ended. ``alone``: its association carried nothing else."""

    item_id: int
    event: Event
    endpoint: str
    bytes_sent: int = 0
    seconds: float = 0.0
    alone: bool = False

    @property
    def plain(self) -> bool:
        """Whether there is nothing to decide: the peer said success."""
        return self.event.kind is EventKind.RESPONSE and self.event.status == 0


@dataclass(slots=True)
class Settled:
    """What a settlement came to.

    ``abort``: the association must not carry another message. ``closed``: the destination takes no more for now.
    """

    stored: int = 0
    faults: int = 0
    abort: bool = False
    closed: bool = False
    alerts: list[str] = field(default_factory=list)


def settle(
    tx: Transaction,
    ticket: LeaseTicket,
    settlements: Sequence[Settlement],
    *,
    uniform: Callable[[float, float], float] = random.uniform,
) -> Settled:
    """Write how attempts ended, in the order in which they did.

    Raises :class:`LeaseLost`, having written nothing, when the lease or any of the items is no longer the worker's.
    """
    row = destinations.lock_by_id(tx, ticket.destination_id)
    lease = assert_live(tx, ticket)
    batch = _Batch(tx, ticket, row, lease)
    if all(settlement.plain for settlement in settlements):
        settlements = batch.store(settlements)
    if settlements:
        batch.decide_each(settlements, uniform)
    return batch.close()


def finish(tx: Transaction, ticket: LeaseTicket, actor: str, *, stored: int, faults: int, reason: str = "done") -> int:
    """Release a batch's lease, and allow one association more where it went well. Return how many items went back."""
    row = destinations.lock_by_id(tx, ticket.destination_id)
    returned = release(tx, ticket, actor, reason)
    if returned is None:
        return 0
    gate = destinations.gate_of(row)
    if stored and not faults:
        destinations.store_gate(tx, row, breaker.on_batch_stored(gate))
    elif not stored and not faults and tx.conn.scalar(select(Lease.probe).where(Lease.id == ticket.id)):
        # A probe that never reached the peer (its file was gone, it was cancelled): let another try at once.
        destinations.store_gate(tx, row, breaker.on_nothing_learned(gate, tx.now))
    return returned


def conclude(
    tx: Transaction, ticket: LeaseTicket, settlements: Sequence[Settlement], before: Settled, actor: str, reason: str
) -> tuple[Settled, int]:
    """Settle the last results and release the lease in one transaction.

    ``before`` is what earlier settlements of the batch came to. Return the last one's report and how many items went
    back. Raises :class:`LeaseLost` as :func:`settle` does.
    """
    last = settle(tx, ticket, settlements) if settlements else Settled()
    returned = finish(
        tx, ticket, actor, stored=before.stored + last.stored, faults=before.faults + last.faults, reason=reason
    )
    return last, returned


class _Batch:
    """One settlement in progress."""

    def __init__(self, tx: Transaction, ticket: LeaseTicket, row: AnyRow, lease: AnyRow) -> None:
        self.tx, self.ticket, self.row, self.lease = tx, ticket, row, lease
        self.gate: Gate = destinations.gate_of(row)
        self.tally = Tally()
        self.report = Settled()
        self.stored_transfers: set[int] = set()
        self.more: dict[str, Any] = {}

    def store(self, settlements: Sequence[Settlement]) -> list[Settlement]:
        """Settle plain successes in one statement; return those whose items are not simply the worker's any more."""
        ids = [settlement.item_id for settlement in settlements]
        ours = {"ids": ids, "our_fence": self.ticket.fence}
        changed = self.tx.conn.execute(_STORE, ours | {"lease": self.ticket.id, "now": self.tx.now}).rowcount
        if not changed:
            return list(settlements)
        taken = set(ids if changed == len(ids) else self.tx.conn.scalars(_STORED_IDS, ours))
        for transfer_id, n in self._by_transfer(taken):
            self.tally.move(self.row.id, transfer_id, ItemState.RUNNING, ItemState.DONE, n)
            self.stored_transfers.add(transfer_id)
        self._insert_attempts((settlement, Outcome.OK, "") for settlement in settlements if settlement.item_id in taken)
        self.report.stored += len(taken)
        self.gate = breaker.on_success(self.gate, self.tx.now)
        return [settlement for settlement in settlements if settlement.item_id not in taken]

    def _by_transfer(self, item_ids: set[int]) -> Iterable[tuple[int, int]]:
        if self.lease.transfer_id is not None:
            return [(self.lease.transfer_id, len(item_ids))]
        return self.tx.conn.execute(_BY_TRANSFER, {"ids": list(item_ids)}).all()

    def decide_each(self, settlements: Sequence[Settlement], uniform: Callable[[float, float], float]) -> None:
        """Settle one after the other: each decision sees what the ones before it did."""
        items = self._load([settlement.item_id for settlement in settlements])
        histories = {item.id: _history(item) for item in items.values()}
        attempts: list[tuple[Settlement, Outcome, str]] = []
        changes: list[dict[str, object]] = []
        for settlement in settlements:
            item = items[settlement.item_id]
            if self._was_settled(item):
                continue
            destination = self.gate.history(
                duplicate_ok=self.row.duplicate_ok,
                calling_ae_title=self.row.calling_ae_title,
                called_ae_title=self.row.ae_title,
            )
            history = replace(histories[item.id], alone=settlement.alone)
            decision = decide(settlement.event, destination, history, self.tx.now, uniform=uniform)
            decision = _saying_what(decision, settlement.event, item)
            self.gate = breaker.apply(self.gate, decision, settlement.item_id, self.tx.now, uniform=uniform)
            self._note(item, decision)
            if settlement.event.kind is EventKind.FILE_MISSING:
                sendable.miss(self.tx, item.file_id)
            attempts.append((settlement, decision.outcome, decision.words))
            if self._may_change(item, decision):
                changes.append(self._change(item, history, settlement.event, decision))
            if decision.refund:
                self._flush(changes)
                self._refund(decision.refund, histories)
        self._flush(changes)
        self._insert_attempts(attempts)

    def close(self) -> Settled:
        """Write what the whole group changed."""
        if self.lease.first_stored_at is not None:
            self.stored_transfers.discard(self.lease.transfer_id)
        if self.stored_transfers:
            self.tx.conn.execute(_FIRST_STORED, {"transfers": list(self.stored_transfers), "now": self.tx.now})
        self.tally.write(self.tx)
        destinations.store_gate(self.tx, self.row, self.gate, **self.more)
        self.report.closed = self.gate.breaker is not breaker.Breaker.CLOSED
        return self.report

    def _load(self, ids: list[int]) -> dict[int, AnyRow]:
        rows = self.tx.conn.execute(_LOAD, {"ids": ids, "our_fence": self.ticket.fence})
        items = {row.id: row for row in rows}
        for item_id in ids:
            if item_id not in items:
                raise LeaseLost(f"item {item_id} is gone from the ledger")
        return items

    def _was_settled(self, item: AnyRow) -> bool:
        """Whether an earlier try of this very settlement was committed."""
        return item.settled is not None

    def _may_change(self, item: AnyRow, decision: Decision) -> bool:
        """Whether the item is still ours to change; that there was an attempt is written in any case.

        An operator may have cancelled it while it was on the wire: then stored is stored, and the rest is as the
        operator said. If it was retried and claimed again since, it is that claim's.
        """
        if item.fence != self.ticket.fence:
            return False
        return item.state == ItemState.RUNNING or decision.state in _STORED

    def _note(self, item: AnyRow, decision: Decision) -> None:
        self.report.abort |= decision.abort
        if decision.state in _STORED:
            self.report.stored += 1
            self.stored_transfers.add(item.transfer_id)
        if decision.effect in {Effect.FAULT, Effect.HOLD, Effect.AMBIGUOUS}:
            self.report.faults += 1
        if decision.state not in _STORED and not _is_given_back(decision):
            self.more |= {"last_error": decision.words[:400], "last_error_at": self.tx.now}
        if decision.refuse is not None:
            refusals.remember(
                self.tx, self.row.id, decision.refuse, item.sop_class_uid, item.transfer_syntax_uid, decision.words
            )
        if decision.alert:
            self.report.alerts.append(decision.words)
            trail.record(
                self.tx, "ledger", "item.alert", destination_id=self.row.id, item=item.id, words=decision.words
            )

    def _change(self, item: AnyRow, history: ItemHistory, event: Event, decision: Decision) -> dict[str, object]:
        state = decision.state
        self.tally.move(self.row.id, item.transfer_id, ItemState(item.state), state)
        first_failed_at = history.first_failed_at
        if decision.charge and first_failed_at is None:
            first_failed_at = self.tx.now
        return {
            "b_id": item.id,
            "state": int(state),
            "due_at": self.tx.now + decision.delay if state is ItemState.RETRY else None,
            "attempts": history.attempts + decision.charge,
            "suspect": item.suspect + decision.suspect,
            "context_retries": item.context_retries + decision.context_retry,
            "refused": decision.refuse is not None,
            "first_failed_at": first_failed_at,
            "last_failed_at": self.tx.now if decision.failed else item.last_failed_at,
            "last_status": item.last_status if _is_given_back(decision) else event.status,
            "last_words": "" if decision.outcome is Outcome.OK else decision.words[:400],
            "settled_at": None if state in {ItemState.READY, ItemState.RETRY} else self.tx.now,
        }

    def _flush(self, changes: list[dict[str, object]]) -> None:
        if changes:
            self.tx.conn.execute(_CHANGE, changes)
            changes.clear()

    def _refund(self, refund: tuple[int, ...], histories: dict[int, ItemHistory]) -> None:
        """Give charges back: the destination was at fault, not they. Some may be settled later in this group."""
        charges = Counter(refund)
        for item_id in charges.keys() & histories.keys():
            left = max(0, histories[item_id].attempts - charges[item_id])
            first_failed_at = histories[item_id].first_failed_at if left else None
            histories[item_id] = replace(histories[item_id], attempts=left, first_failed_at=first_failed_at)
        self.tx.conn.execute(_REFUND, [{"b_id": item_id, "n": n} for item_id, n in charges.items()])

    def _insert_attempts(self, attempts: Iterable[tuple[Settlement, Outcome, str]]) -> None:
        rows = [
            (
                settlement.item_id,
                self.ticket.fence,
                self.ticket.id,
                settlement.endpoint,
                int(outcome),
                settlement.event.status,
                words[:400],
                settlement.event.comment and _legible(settlement.event.comment),
                settlement.bytes_sent,
                settlement.seconds,
                self.tx.now,
            )
            for settlement, outcome, words in attempts
        ]
        if rows:
            self.tx.insert_tuples(Attempt, _ATTEMPT, rows)


# Statements are made once, here: making one anew for each group would take longer than running it.
_STORE = (
    update(Item)
    .where(
        among(Item.id, "ids"),
        Item.lease_id == bindparam("lease"),
        Item.fence == bindparam("our_fence"),
        item_is(ItemState.RUNNING),
    )
    .values(state=int(ItemState.DONE), lease_id=None, last_status=0, last_words="", settled_at=bindparam("now"))
)
# Not RETURNING: row by row, each would cost the lock that the sending thread wants (see Transaction.insert_tuples).
_STORED_IDS = select(Item.id).where(
    among(Item.id, "ids"),
    Item.fence == bindparam("our_fence"),
    item_is(ItemState.DONE),
    # Those of an earlier try have theirs.
    ~exists().where(Attempt.item_id == Item.id, Attempt.fence == Item.fence),
)
_BY_TRANSFER = select(Item.transfer_id, func.count().label("n")).where(among(Item.id, "ids")).group_by(Item.transfer_id)
_LOAD = (
    select(Item.__table__, Instance.sop_class_uid, Instance.transfer_syntax_uid, Attempt.fence.label("settled"))
    .join(Instance, Instance.id == Item.instance_id)
    .outerjoin(Attempt, (Attempt.item_id == Item.id) & (Attempt.fence == bindparam("our_fence")))
    .where(among(Item.id, "ids"))
)
_CHANGED = (
    "state",
    "due_at",
    "attempts",
    "suspect",
    "context_retries",
    "refused",
    "first_failed_at",
    "last_failed_at",
    "last_status",
    "last_words",
    "settled_at",
)
_CHANGE = (
    update(Item.__table__)  # type: ignore[arg-type]  # declared as FromClause
    .where(Item.id == bindparam("b_id"))
    .values(lease_id=None, crash_suspect=0, **{name: bindparam(name) for name in _CHANGED})
)
_REFUND = (
    update(Item.__table__)  # type: ignore[arg-type]  # as above
    .where(Item.id == bindparam("b_id"))
    .values(
        attempts=case((Item.attempts > bindparam("n"), Item.attempts - bindparam("n")), else_=0),
        first_failed_at=case((Item.attempts > bindparam("n"), Item.first_failed_at), else_=None),
    )
)
_ATTEMPT = (
    "item_id",
    "fence",
    "lease_id",
    "endpoint",
    "outcome",
    "status",
    "words",
    "comment",
    "bytes_sent",
    "seconds",
    "settled_at",
)
_FIRST_STORED = (
    update(Transfer)
    .where(among(Transfer.id, "transfers"), Transfer.first_stored_at.is_(None))
    .values(first_stored_at=bindparam("now"))
)


def _saying_what(decision: Decision, event: Event, item: AnyRow) -> Decision:
    """Name what the peer does not take, where that is the kind of an instance: whoever mends it must know."""
    if decision.refuse is RefusalScope.SOP_CLASS:
        what = named_uid(item.sop_class_uid)
    elif event.kind is EventKind.NO_CONTEXT:
        what = f"{named_uid(item.sop_class_uid)} in {named_uid(item.transfer_syntax_uid)}"
    else:
        return decision
    return replace(decision, words=f"{decision.words}: {what}")


def _is_given_back(decision: Decision) -> bool:
    """Whether the attempt says nothing of the item or the destination: it was never made, or ended by us."""
    return decision.effect is Effect.NONE and not decision.charge


def _legible(comment: str) -> str:
    """Cut a peer's Error Comment to its length, without what columns and terminals don't take (PS3.5 6.2, LO)."""
    return "".join(char for char in comment if char.isprintable())[:64]


def _history(item: AnyRow) -> ItemHistory:
    return ItemHistory(
        item_id=item.id,
        attempts=item.attempts,
        first_failed_at=item.first_failed_at,
        last_failed_at=item.last_failed_at,
        suspect=item.suspect,
        context_retries=item.context_retries,
        last_status=item.last_status,
    )
