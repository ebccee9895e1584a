"""Settle what a worker did: items, attempts, counts and the destination's gate in one transaction, under the fence.

Each settlement is decided by :func:`gurney.transfer.retry.decide` and nothing is decided here. Repeating a settlement
whose commit may or may not have happened is harmless: an attempt's key is (item, fence).
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, insert, select, update

from gurney.ledger import destinations, refusals, trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.leases import LeaseTicket, assert_live, release
from gurney.ledger.models import Attempt, Instance, Item, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.ledger.tally import Tally
from gurney.transfer import breaker
from gurney.transfer.breaker import Gate
from gurney.transfer.outcomes import Decision, Effect, Event, EventKind, ItemHistory
from gurney.transfer.retry import decide
from gurney.transfer.states import ItemState, Outcome

__all__ = ["Settled", "Settlement", "conclude", "finish", "settle"]

_STORED = frozenset({ItemState.DONE, ItemState.WARNED})


@dataclass(frozen=True, slots=True)
class Settlement:
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
    assert_live(tx, ticket)
    batch = _Batch(tx, ticket, row)
    if all(settlement.plain for settlement in settlements) and batch.store_plainly(settlements):
        return batch.close()
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
    elif not stored and not faults:
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

    def __init__(self, tx: Transaction, ticket: LeaseTicket, row: AnyRow) -> None:
        self.tx, self.ticket, self.row = tx, ticket, row
        self.gate: Gate = destinations.gate_of(row)
        self.tally = Tally()
        self.report = Settled()
        self.stored_transfers: set[int] = set()
        self.more: dict[str, Any] = {}

    def store_plainly(self, settlements: Sequence[Settlement]) -> bool:
        """Settle a group of plain successes in one statement; False, with nothing written, if any is not ours."""
        ids = [settlement.item_id for settlement in settlements]
        if not ids:
            return True
        with self.tx.conn.begin_nested() as savepoint:
            rows = self.tx.conn.execute(
                update(Item)
                .where(
                    Item.id.in_(ids),
                    Item.lease_id == self.ticket.id,
                    Item.fence == self.ticket.fence,
                    item_is(ItemState.RUNNING),
                )
                .values(state=int(ItemState.DONE), lease_id=None, last_status=0, last_words="", settled_at=self.tx.now)
                .returning(Item.transfer_id)
            ).all()
            if len(rows) != len(ids):
                savepoint.rollback()
                return False
        for transfer_id, n in Counter(row.transfer_id for row in rows).items():
            self.tally.move(self.row.id, transfer_id, ItemState.RUNNING, ItemState.DONE, n)
            self.stored_transfers.add(transfer_id)
        self._insert_attempts((settlement, Outcome.OK, "") for settlement in settlements)
        self.report.stored += len(ids)
        self.gate = breaker.on_success(self.gate, self.tx.now)
        return True

    def decide_each(self, settlements: Sequence[Settlement], uniform: Callable[[float, float], float]) -> None:
        """Settle one after the other: each decision sees what the ones before it did."""
        items = self._load([settlement.item_id for settlement in settlements])
        attempts: list[tuple[Settlement, Outcome, str]] = []
        changes: list[dict[str, object]] = []
        for settlement in settlements:
            item = items[settlement.item_id]
            if self._is_settled(item):
                continue
            history = self.gate.history(
                duplicate_ok=self.row.duplicate_ok,
                calling_ae_title=self.row.calling_ae_title,
                called_ae_title=self.row.ae_title,
            )
            decision = decide(settlement.event, history, _history(item, settlement), self.tx.now, uniform=uniform)
            self.gate = breaker.apply(self.gate, decision, settlement.item_id, self.tx.now, uniform=uniform)
            self._note(item, decision)
            attempts.append((settlement, decision.outcome, decision.words))
            changes.append(self._change(item, settlement, decision))
            if decision.refund:
                self._flush(changes)
                self._refund(decision.refund)
        self._flush(changes)
        self._insert_attempts(attempts)

    def close(self) -> Settled:
        """Write what the whole group changed."""
        if self.stored_transfers:
            self.tx.conn.execute(
                update(Transfer)
                .where(Transfer.id.in_(self.stored_transfers), Transfer.first_stored_at.is_(None))
                .values(first_stored_at=self.tx.now)
            )
        self.tally.write(self.tx)
        destinations.store_gate(self.tx, self.row, self.gate, **self.more)
        self.report.closed = self.gate.breaker is not breaker.Breaker.CLOSED
        return self.report

    def _load(self, ids: list[int]) -> dict[int, AnyRow]:
        query = (
            select(Item.__table__, Instance.sop_class_uid, Instance.transfer_syntax_uid, Attempt.fence.label("settled"))
            .join(Instance, Instance.id == Item.instance_id)
            .outerjoin(Attempt, (Attempt.item_id == Item.id) & (Attempt.fence == self.ticket.fence))
            .where(Item.id.in_(ids))
        )
        items = {row.id: row for row in self.tx.conn.execute(query)}
        for item_id in ids:
            if item_id not in items:
                raise LeaseLost(f"item {item_id} is gone from the ledger")
        return items

    def _is_settled(self, item: AnyRow) -> bool:
        """Whether an earlier try of this very settlement was committed; raises unless the item is ours to settle."""
        if item.fence != self.ticket.fence:
            raise LeaseLost(f"item {item.id} has been claimed again under fence {item.fence}")
        if item.settled is not None:
            return True
        # Cancelled while it was on the wire: what the peer answered is recorded all the same.
        if item.state == ItemState.CANCELLED or (item.state == ItemState.RUNNING and item.lease_id == self.ticket.id):
            return False
        raise LeaseLost(f"item {item.id} is {ItemState(item.state).name} and not under lease {self.ticket.id}")

    def _note(self, item: AnyRow, decision: Decision) -> None:
        self.report.abort |= decision.abort
        if decision.state in _STORED:
            self.report.stored += 1
            self.stored_transfers.add(item.transfer_id)
        if decision.effect in {Effect.FAULT, Effect.HOLD, Effect.AMBIGUOUS}:
            self.report.faults += 1
        if decision.outcome not in {Outcome.OK, Outcome.WARN}:
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

    def _change(self, item: AnyRow, settlement: Settlement, decision: Decision) -> dict[str, object]:
        state = decision.state
        if item.state == ItemState.CANCELLED and state not in _STORED:
            state = ItemState.CANCELLED
        self.tally.move(self.row.id, item.transfer_id, ItemState(item.state), state)
        closed = state not in {ItemState.READY, ItemState.RETRY}
        return {
            "b_id": item.id,
            "state": int(state),
            "due_at": self.tx.now + decision.delay if state is ItemState.RETRY else None,
            "attempts": item.attempts + decision.charge,
            "suspect": item.suspect + decision.suspect,
            "context_retries": item.context_retries + decision.context_retry,
            "refused": decision.refuse is not None,
            "first_failed_at": self.tx.now
            if decision.charge and item.first_failed_at is None
            else item.first_failed_at,
            "last_failed_at": self.tx.now if decision.failed else item.last_failed_at,
            "last_status": settlement.event.status,
            "last_words": "" if decision.outcome is Outcome.OK else decision.words[:400],
            "settled_at": self.tx.now if closed else None,
        }

    def _flush(self, changes: list[dict[str, object]]) -> None:
        if changes:
            self.tx.conn.execute(_CHANGE, changes)
            changes.clear()

    def _refund(self, refund: tuple[int, ...]) -> None:
        """Give charges back: the destination was at fault, not they."""
        for item_id, n in Counter(refund).items():
            self.tx.conn.execute(
                update(Item).where(Item.id == item_id, Item.attempts >= n).values(attempts=Item.attempts - n)
            )
            self.tx.conn.execute(
                update(Item).where(Item.id == item_id, Item.attempts == 0).values(first_failed_at=None)
            )

    def _insert_attempts(self, attempts: Iterable[tuple[Settlement, Outcome, str]]) -> None:
        rows = [
            {
                "item_id": settlement.item_id,
                "fence": self.ticket.fence,
                "lease_id": self.ticket.id,
                "endpoint": settlement.endpoint,
                "outcome": int(outcome),
                "status": settlement.event.status,
                "words": words[:400],
                "bytes_sent": settlement.bytes_sent,
                "seconds": settlement.seconds,
                "settled_at": self.tx.now,
            }
            for settlement, outcome, words in attempts
        ]
        if rows:
            self.tx.conn.execute(insert(Attempt), rows)


_CHANGE = (
    update(Item.__table__)  # type: ignore[arg-type]  # declared as FromClause
    .where(Item.id == bindparam("b_id"))
    .values(
        lease_id=None,
        crash_suspect=0,
        **{
            name: bindparam(name)
            for name in (
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
        },
    )
)


def _history(item: AnyRow, settlement: Settlement) -> ItemHistory:
    return ItemHistory(
        item_id=item.id,
        attempts=item.attempts,
        first_failed_at=item.first_failed_at,
        last_failed_at=item.last_failed_at,
        suspect=item.suspect,
        alone=settlement.alone,
        context_retries=item.context_retries,
        last_status=item.last_status,
    )
