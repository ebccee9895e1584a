"""A ledger in memory that obeys decisions as the real one must: enough to run nights and weekends in milliseconds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from random import Random

from gurney.transfer import breaker
from gurney.transfer.breaker import Admit, Breaker, Gate
from gurney.transfer.outcomes import Decision, Effect, Event, EventKind, ItemHistory
from gurney.transfer.retry import ALONE_AT, decide
from gurney.transfer.states import OPEN, ItemState

Peer = Callable[[int, float], Event]
"""Answers the store of one item at one time."""

LOSES_ASSOCIATION = frozenset(EventKind) - {
    EventKind.RESPONSE,
    EventKind.NO_CONTEXT,
    EventKind.FILE_MISSING,
    EventKind.UNFIT,
    EventKind.VETOED,
}


@dataclass
class SmallItem:
    """One instance on its way."""

    item_id: int
    state: ItemState = ItemState.READY
    due_at: float = 0.0
    attempts: int = 0
    first_failed_at: float | None = None
    last_failed_at: float | None = None
    suspect: int = 0
    context_retries: int = 0
    last_status: int | None = None
    settled_at: float | None = None
    sends: int = 0
    added_at: float = 0.0

    @property
    def study(self) -> int:
        return self.item_id // 100

    def history(self, *, alone: bool) -> ItemHistory:
        return ItemHistory(
            item_id=self.item_id,
            attempts=self.attempts,
            first_failed_at=self.first_failed_at,
            last_failed_at=self.last_failed_at,
            suspect=self.suspect,
            alone=alone,
            context_retries=self.context_retries,
            last_status=self.last_status,
        )


@dataclass
class SmallLedger:
    """One destination, its items and a clock that jumps to the next thing to do."""

    peer: Peer
    seed: int = 0
    batch: int = 10
    seconds_per_send: float = 1.0
    gate: Gate = field(default_factory=lambda: Gate(max_associations=2, effective_concurrency=2))
    now: float = 0.0
    items: dict[int, SmallItem] = field(default_factory=dict)
    opened: int = 0
    charges: Counter[int] = field(default_factory=Counter)  # for ambiguous failures since the last success

    open: list[SmallItem] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)

    def add(self, item_ids: Iterable[int]) -> None:
        added = {item_id: SmallItem(item_id, due_at=self.now, added_at=self.now) for item_id in item_ids}
        self.items |= added
        self.open += added.values()

    def states(self) -> set[ItemState]:
        return {item.state for item in self.items.values()}

    def run(self, until: float, steps: int = 50_000) -> None:
        """Work until a time, or until nothing is open."""
        for _ in range(steps):
            if self.now >= until:
                return
            waiting = self.open = [i for i in self.open if i.state in OPEN]
            if not waiting:
                return
            admission = breaker.may_claim(self.gate, self.now)
            if admission.admit is Admit.DENIED:
                assert admission.next_at is not None
                self.now = max(admission.next_at, self.now + 0.001)
                continue
            due = sorted((i for i in waiting if i.due_at <= self.now), key=lambda i: (i.due_at, i.item_id))
            if not due:
                self.now = max(min(i.due_at for i in waiting), self.now + 0.001)
                continue
            if admission.admit is Admit.PROBE:
                self.gate = breaker.begin_probe(self.gate, self.now)
                self._associate(self._canary(due))
            else:
                self._associate(self._fill(due))
        raise AssertionError("the ledger never came to rest")

    def _canary(self, due: list[SmallItem]) -> list[SmallItem]:
        """Prefer another study than the last failure's, then what never failed, then all but the last that failed."""
        failed = self.gate.last_failed_item_id or 0
        return [min(due, key=lambda i: (i.study == failed // 100, i.last_failed_at is not None, i.item_id == failed))]

    def _fill(self, due: list[SmallItem]) -> list[SmallItem]:
        if due[0].suspect >= ALONE_AT:
            return due[:1]
        return [item for item in due if item.suspect < ALONE_AT][: self.batch]

    def _associate(self, batch: list[SmallItem]) -> None:
        for position, item in enumerate(batch):
            self.now += self.seconds_per_send
            event = self.peer(item.item_id, self.now)
            item.sends += 1
            self._settle(item, event, alone=len(batch) == 1)
            if event.kind in LOSES_ASSOCIATION:
                for neighbour in batch[position + 1 :]:
                    self._settle(neighbour, Event(EventKind.NEIGHBOUR), alone=False)
                return
            if self.gate.breaker is not Breaker.CLOSED:
                return
        self.gate = breaker.on_batch_stored(self.gate)

    def _settle(self, item: SmallItem, event: Event, *, alone: bool) -> None:
        decision = decide(event, self.gate.history(), item.history(alone=alone), self.now, uniform=self.random.uniform)
        self._apply(item, event, decision)
        before = self.gate
        self.gate = breaker.apply(self.gate, decision, item.item_id, self.now, uniform=self.random.uniform)
        if before.breaker is Breaker.CLOSED and self.gate.breaker is Breaker.OPEN:
            self.opened += 1
        if decision.effect is Effect.SUCCESS:
            self.charges.clear()

    def _apply(self, item: SmallItem, event: Event, decision: Decision) -> None:
        item.state = decision.state
        item.due_at = self.now + decision.delay
        item.attempts += decision.charge
        item.suspect += decision.suspect
        item.context_retries += decision.context_retry
        item.last_status = event.status
        if decision.charge and item.first_failed_at is None:
            item.first_failed_at = self.now
        if decision.failed:
            item.last_failed_at = self.now
        if decision.state not in {ItemState.READY, ItemState.RETRY}:
            item.settled_at = self.now
        if decision.effect is Effect.AMBIGUOUS:
            self.charges[item.item_id] += 1
        if decision.refund:
            self._refund(decision.refund)

    def _refund(self, refund: tuple[int, ...]) -> None:
        assert Counter(refund) == self.charges, "every charge of the streak comes back, once"
        self.charges.clear()
        for item_id in refund:
            item = self.items[item_id]
            item.attempts -= 1
            if not item.attempts:
                item.first_failed_at = None
