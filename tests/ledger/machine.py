"""A machine that does to one destination whatever can happen to it, in any order, and knows what must come of it.

Workers claim, renew, settle, release, die, and wake up long after their lease; doorbells ring twice; operators retry,
cancel, pause; time jumps. The machine keeps books of its own: who believes to hold a lease, what was settled under
which fence, what was charged. After every step the ledger must say the same.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select

from gurney.ledger import destinations, leases, operations, reconciling, refusals, settlement, tally
from gurney.ledger.database import AnyRow
from gurney.ledger.errors import LeaseLost
from gurney.ledger.leases import ALONE_AFTER, LEASE_SECONDS, LeaseTicket
from gurney.ledger.models import Attempt, Item, Lease, Transfer
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim
from gurney.transfer.outcomes import Decision, Event, EventKind
from gurney.transfer.states import OPEN, ItemState, Priority
from tests.ledger.world import CT, MR, OK, ManualClock, World, aborted, answered, happened, ids_of

S = ItemState
STORED = {S.DONE, S.WARNED}
LIMIT = 3
STUDIES = ("1", "2", "3")

# What may follow what, whoever does it. A claim also takes back what the dead held and promotes what is due.
BY_CLAIM = {(S.READY, S.RUNNING), (S.READY, S.FAILED), (S.RETRY, S.READY), (S.RETRY, S.RUNNING), (S.RETRY, S.FAILED)}
BY_LOSS = {(S.RUNNING, S.READY), (S.RUNNING, S.FAILED), (S.RUNNING, S.RUNNING)}
BY_SETTLEMENT = {(S.RUNNING, state) for state in ItemState if state is not S.HELD} | {
    (before, after) for before in (S.CANCELLED, S.READY) for after in STORED
}
BY_RELEASE = {(S.RUNNING, S.READY)}
BY_RETRY = {(state, S.READY) for state in operations.RETRYABLE}
BY_CLEARING = {(S.FAILED, S.READY)}
BY_CANCEL = {(state, S.CANCELLED) for state in operations.CANCELLABLE}

EVENTS: tuple[Event, ...] = (
    OK,
    OK,
    OK,
    OK,
    answered(0xB000),
    answered(0xA700),
    answered(0xC001),
    answered(0xA900),
    answered(0x0122),
    answered(0x0124),
    aborted,
    happened(EventKind.NEIGHBOUR),
    happened(EventKind.CONNECT_FAILED),
    happened(EventKind.FILE_MISSING),
    happened(EventKind.UNREADABLE),
    happened(EventKind.NO_CONTEXT, result=2),
)


# Made once: the machine looks after every step.
ITEMS, LEASES, ATTEMPTS = select(Item.__table__), select(Lease.__table__), select(Attempt.item_id, Attempt.fence)


@dataclass
class Hand:
    """A worker with a claim, dead or alive; what it believes and what is true of its lease."""

    claim: Claim
    until: float
    settled: dict[int, Event] = field(default_factory=dict)
    ended: bool = False  # released, or lost and noticed

    def holds(self, now: float) -> bool:
        """Whether the lease is still its own."""
        return not self.ended and now < self.until


@dataclass(frozen=True)
class Shift:
    """One batch of one worker: how many it takes at most, what the peer answers, how the results are written."""

    instances: int
    events: list[Event]
    one_by_one: bool
    backwards: bool
    dies: bool


TICKS = st.sampled_from([1.0, 20.0, LEASE_SECONDS - 1, LEASE_SECONDS, 400.0, 4_000.0, 90_000.0])
# How long a worker was stopped, all of a sudden.
ASLEEP = st.sampled_from([0.0, 0.0, LEASE_SECONDS])

SHIFTS = st.builds(
    Shift,
    instances=st.integers(1, 8),
    events=st.one_of(
        st.sampled_from(EVENTS).map(lambda one: [one] * 8),
        st.just([answered(0xA700)] * 8),  # a peer out of resources: the destination is to blame in the end
        st.lists(st.sampled_from(EVENTS), min_size=8, max_size=8),
    ),
    one_by_one=st.booleans(),
    backwards=st.booleans(),
    dies=st.sampled_from([False, False, False, True]),
)


class LedgerMachine(RuleBasedStateMachine):
    """See the module. ``make_ledger`` gives an empty ledger; ``decisions`` is fed by :func:`watched_decisions`."""

    make_ledger: ClassVar[Any]
    decisions: ClassVar[list[tuple[int, Decision]]] = []

    @initialize()
    def begin(self) -> None:
        self.world = World(type(self).make_ledger(ManualClock()))
        self.world.destination(max_associations=LIMIT)
        self.hands: list[Hand] = []
        self.rows: dict[int, AnyRow] = {}
        self.charged: Counter[int] = Counter()
        self.fences: set[tuple[int, int]] = set()
        self.paused = False
        self.known_leases: dict[int, str] = {}
        self.looks = 0
        for study, n in zip(STUDIES, (6, 3, 3), strict=True):
            self.arrive_now(n, study)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.everything_arrives()

    @property
    def now(self) -> float:
        return self.world.clock.time

    # --- Arrivals, time, operators ------------------------------------------------------------------------------------

    @rule(
        n=st.integers(1, 5),
        study=st.sampled_from(STUDIES),
        priority=st.sampled_from([Priority.STAT, Priority.ROUTINE]),
        sop_class=st.sampled_from([CT, CT, MR]),
    )
    def arrive(self, n: int, study: str, priority: Priority, sop_class: str) -> None:
        self.arrive_now(n, study, priority, sop_class)

    def arrive_now(self, n: int, study: str, priority: Priority = Priority.ROUTINE, sop_class: str = CT) -> None:
        """Let instances come in."""
        for item in self.world.items(n, study=study, priority=priority, sop_class_uid=sop_class):
            self.rows[item] = self.world.item(item)

    @rule(seconds=TICKS)
    def let_time_pass(self, seconds: float) -> None:
        self.tick(seconds)

    def tick(self, seconds: float) -> None:
        self.world.clock.pass_by(seconds)

    @rule(
        what=st.sampled_from(["retry", "retry a study", "cancel a study", "pause", "mended"]),
        study=st.sampled_from(STUDIES),
    )
    def operate(self, what: str, study: str) -> None:
        if self.paused:
            self.resume()
            return
        match what:
            case "retry":
                self.retry()
            case "retry a study":
                self.retry(study)
            case "cancel a study":
                with self.only(BY_CANCEL):
                    operations.cancel(self.world.ledger, Selection(study_instance_uid=study), "operator")
            case "pause":
                self.paused = True
                with self.only(set()):
                    self.world.ledger.transact(destinations.pause, "archive", "operator")
            case _:
                self.mend()

    def retry(self, study: str = "") -> None:
        with self.only(BY_RETRY) as seen:
            operations.retry(self.world.ledger, Selection(study_instance_uid=study), "operator")
        for item, (before, after) in seen.items():
            if before.state != after.state:
                self.charged[item] = 0

    def resume(self) -> None:
        self.paused = False
        with self.only(set()):
            self.world.ledger.transact(destinations.resume, "archive", "operator")

    def mend(self) -> None:
        with self.only(BY_CLEARING):
            self.world.ledger.transact(destinations.probe_now, "archive")
            refusals.expire(self.world.ledger)

    # --- Daemon -------------------------------------------------------------------------------------------------------

    @rule()
    def reconcile(self) -> None:
        with self.only(BY_LOSS) as seen:
            reconciling.expire_leases(self.world.ledger)
        self.note_losses(seen)
        reconciling.due_bells(self.world.ledger)
        with self.only(BY_CLEARING):
            refusals.expire(self.world.ledger)
        self.world.ledger.transact(tally.fold, 7)

    # --- Workers ------------------------------------------------------------------------------------------------------

    @rule(instances=st.integers(1, 4), twice=st.booleans())
    def ring(self, instances: int, twice: bool) -> None:
        """Claim; a doorbell may ring twice."""
        for _ in range(1 + twice):
            self.claim(instances)

    def claim(self, instances: int) -> Claim | None:
        with self.only(BY_CLAIM | BY_LOSS) as seen:
            claimed = self.world.claim(instances=instances)
        self.note_losses(seen)
        if not isinstance(claimed, Claim):
            return None
        assert not self.paused, "claimed while paused"
        live = [hand for hand in self.hands if hand.holds(self.now)]
        assert len(live) < LIMIT, "more associations than allowed"
        self.check_batch(claimed, seen, live)
        self.hands.append(Hand(claimed, self.now + LEASE_SECONDS))
        return claimed

    def check_batch(self, claimed: Claim, seen: dict[int, tuple[AnyRow, AnyRow]], live: list[Hand]) -> None:
        ids = ids_of(claimed)
        assert ids, "an empty batch"
        assert len(set(ids)) == len(ids), "an item twice in a batch"
        assert claimed.ticket.fence > max((hand.claim.ticket.fence for hand in self.hands), default=0)
        for item in ids:
            before, after = seen[item]
            assert after.state == S.RUNNING
            assert (after.lease_id, after.fence) == (claimed.ticket.id, claimed.ticket.fence)
            assert (after.priority, after.transfer_id) == (claimed.priority, claimed.transfer_id), "a mixed batch"
            assert before.state != S.RETRY or before.due_at <= self.now, "sent before it was due"
            assert not any(item in ids_of(hand.claim) and before.lease_id == hand.claim.ticket.id for hand in live), (
                "taken from a worker that holds it"
            )
        if any(hand.claim.transfer_id == claimed.transfer_id for hand in live):
            with self.world.ledger.read() as conn:
                begun = conn.scalar(select(Transfer.first_stored_at).where(Transfer.id == claimed.transfer_id))
            assert begun is not None, "two associations begin one study"

    @rule(shifts=st.lists(SHIFTS, min_size=1, max_size=4))
    def work(self, shifts: list[Shift]) -> None:
        """Do what workers do most of the time: claim, send, settle, and release, unless they die before."""
        for shift in shifts:
            claimed = self.claim(shift.instances)
            if claimed is None:
                continue
            hand = self.hands[-1]
            results = list(zip(ids_of(claimed), shift.events, strict=False))
            if shift.backwards:
                results.reverse()
            for group in [[result] for result in results] if shift.one_by_one else [results]:
                self.settle_results(hand, dict(group))
            if not shift.dies:
                self.release_hand(hand)

    @precondition(lambda self: self.hands)
    @rule(which=st.integers(0, 7), asleep=ASLEEP, what=st.sampled_from(["renew", "renew", "forge", "release"]))
    def go_on(self, which: int, asleep: float, what: str) -> None:
        """Let a worker go on, or what its lease has outlived."""
        hand = self.pick(which)
        self.tick(asleep)
        match what:
            case "renew":
                if not self.is_refused(hand, lambda: self.world.renew(hand.claim)):
                    hand.until = self.now + LEASE_SECONDS
            case "forge":
                for fence in (hand.claim.ticket.fence - 1, hand.claim.ticket.fence + 1):
                    self.renew_with(dataclasses.replace(hand.claim.ticket, fence=fence))
            case _:
                self.release_hand(hand)

    def renew_with(self, forged: LeaseTicket) -> None:
        """Only the current fence may renew."""
        try:
            self.world.ledger.transact(leases.renew, forged)
        except LeaseLost:
            return
        raise AssertionError("another fence renewed a lease")

    @precondition(lambda self: self.hands)
    @rule(
        which=st.integers(0, 7),
        asleep=ASLEEP,
        n=st.integers(1, 4),
        events=st.lists(st.sampled_from(EVENTS), min_size=4, max_size=4),
        again=st.booleans(),
    )
    def settle(self, which: int, asleep: float, n: int, events: list[Event], again: bool) -> None:
        """Settle some results, in time or long after; and once more, as after a commit whose fate is not known."""
        hand = self.pick(which)
        self.tick(asleep)
        waiting = [item for item in ids_of(hand.claim) if item not in hand.settled]
        results = dict(zip(waiting, events[:n], strict=False)) or dict(list(hand.settled.items())[:n])
        if not self.settle_results(hand, results) or not again:
            return
        gate = self.world.row()
        with self.only(set()):
            self.world.settle(hand.claim, results)
        assert self.world.row() == gate, "a repeated settlement was counted once more"

    def settle_results(self, hand: Hand, results: dict[int, Event]) -> bool:
        """Settle what may have been settled before; false when the worker is refused."""
        fresh = [item for item in results if item not in hand.settled]
        self.decisions.clear()
        with self.only(BY_SETTLEMENT if hand.holds(self.now) and fresh else set()) as seen:
            refused = self.is_refused(hand, lambda: self.world.settle(hand.claim, results))
        if refused:
            return False
        self.note_charges(hand, seen)
        for item in fresh:
            before, after = seen[item]
            if before.fence != hand.claim.ticket.fence:  # cancelled, retried and claimed again while it was on the wire
                assert before == after, "what another holds was changed"
            elif results[item] == OK:
                assert after.state == S.DONE, "stored is stored"
            elif before.state == S.CANCELLED:
                assert after.state in {S.CANCELLED, *STORED}
        self.fences |= {(item, hand.claim.ticket.fence) for item in results}
        hand.settled |= results
        return True

    def release_hand(self, hand: Hand) -> None:
        """End a batch, perhaps long after its lease is gone."""
        with self.only(set() if hand.ended else BY_RELEASE):
            self.world.finish(hand.claim, stored=len(hand.settled))
        hand.ended = True

    def pick(self, which: int) -> Hand:
        """Choose among the last workers, dead ones too: a zombie is one whose lease has gone."""
        return self.hands[-8:][which % len(self.hands[-8:])]

    def is_refused(self, hand: Hand, act: Any) -> bool:
        """Act; the ledger must refuse exactly when the lease is not the worker's any more."""
        try:
            act()
        except LeaseLost:
            assert not hand.holds(self.now), "a worker was refused what is its own"
            return True
        assert hand.holds(self.now), "a zombie was obeyed"
        return False

    # --- Books --------------------------------------------------------------------------------------------------------

    @contextmanager
    def only(self, arrows: set[tuple[ItemState, ItemState]]) -> Iterator[dict[int, tuple[AnyRow, AnyRow]]]:
        """Let items change their state along these arrows only; yield their rows before and after."""
        seen: dict[int, tuple[AnyRow, AnyRow]] = {}
        before = self.read_items()
        yield seen
        after = self.read_items()
        assert before.keys() == after.keys()
        for item, row in after.items():
            seen[item] = (before[item], row)
            if tuple(row) != tuple(before[item]):
                arrow = (S(before[item].state), S(row.state))
                assert arrow in arrows or (arrow[0] == arrow[1] and arrows), f"item {item} went {arrow}"
        self.rows = after

    def read_items(self) -> dict[int, AnyRow]:
        with self.world.ledger.read() as conn:
            return {row.id: row for row in conn.execute(ITEMS)}

    def note_losses(self, seen: dict[int, tuple[AnyRow, AnyRow]]) -> None:
        """Book what a claim or the reconciler had to take back; only what was sent alone is charged."""
        for hand in self.hands:
            if hand.ended or hand.until > self.now:
                continue
            hand.ended = True
            for item in ids_of(hand.claim):
                before, after = seen[item]
                if before.lease_id == hand.claim.ticket.id:
                    alone = before.crash_suspect >= ALONE_AFTER
                    self.charged[item] += alone
                    assert after.crash_suspect == before.crash_suspect + 1
                    assert (after.state == S.FAILED) == (before.crash_suspect == ALONE_AFTER + 1) or not alone

    def note_charges(self, hand: Hand, seen: dict[int, tuple[AnyRow, AnyRow]]) -> None:
        """Book what was decided: charges of what was the worker's own, and what was given back."""
        for item, decision in self.decisions:
            if seen[item][0].lease_id == hand.claim.ticket.id:
                self.charged[item] += decision.charge
            for refunded in decision.refund:
                self.charged[refunded] = max(0, self.charged[refunded] - 1)

    # --- What must always be true -------------------------------------------------------------------------------------

    @invariant()
    def books_agree(self) -> None:
        if not hasattr(self, "world"):
            return
        with self.world.ledger.read() as conn:
            items = {row.id: row for row in conn.execute(ITEMS)}
            attempts = {tuple(row) for row in conn.execute(ATTEMPTS)}
            known = {row.id: row for row in conn.execute(LEASES)}
        for row in items.values():
            assert (row.state == S.RUNNING) == (row.lease_id is not None)
            assert (row.state == S.RETRY) == (row.due_at is not None)
            if row.lease_id is not None:
                lease = known[row.lease_id]
                assert (lease.state, lease.fence) == ("live", row.fence), "an item under a lease that is not its own"
            assert row.attempts == self.charged[row.id], f"item {row.id}: {row.attempts} charged"
        assert attempts == self.fences, "one attempt for each settlement"
        live = [lease for lease in known.values() if lease.state == "live" and lease.until > self.now]
        assert len(live) <= LIMIT
        assert len({lease.fence for lease in known.values()}) == len(known), "a fence twice"
        for lease_id, state in self.known_leases.items():
            assert state == "live" or known[lease_id].state == state, "an ended lease came back"
        self.known_leases = {lease_id: lease.state for lease_id, lease in known.items()}
        for hand in self.hands:
            assert not hand.holds(self.now) or known[hand.claim.ticket.id].state == "live"
        self.looks += 1
        if self.looks % 5 == 0:  # a count that is wrong stays wrong
            self.world.assert_counts_are_true()

    def everything_arrives(self) -> None:
        """Mend everything; then each item must be stored, whatever happened before."""
        done = {item for item, row in self.read_items().items() if row.state in STORED}
        if self.paused:
            self.resume()
        self.mend()
        self.retry()
        for _ in range(40 + 4 * len(self.rows)):
            claimed = self.claim(instances=50)
            if claimed is not None:
                self.decisions.clear()
                self.world.settle(claimed)
                self.world.finish(claimed, stored=len(claimed.work))
                self.hands[-1].ended = True
                self.fences |= {(item, claimed.ticket.fence) for item in ids_of(claimed)}
                continue
            self.tick(LEASE_SECONDS)
            self.retry()
            self.mend()
            rows = self.read_items()
            if not any(S(row.state) in OPEN for row in rows.values()):
                break
        rows = self.read_items()
        assert all(row.state in STORED for row in rows.values()), "something was lost"
        assert rows.keys() == self.rows.keys()
        assert done <= rows.keys()
        self.books_agree()
        self.world.assert_counts_are_true()


@contextmanager
def watched_decisions() -> Iterator[None]:
    """Let the machine see what was decided, as it was decided."""
    real: Any = vars(settlement)["decide"]

    def watched(event: Any, destination: Any, item: Any, now: float, *, uniform: Any) -> Decision:
        decision: Decision = real(event, destination, item, now, uniform=uniform)
        LedgerMachine.decisions.append((item.item_id, decision))
        return decision

    vars(settlement)["decide"] = watched
    try:
        yield
    finally:
        vars(settlement)["decide"] = real
