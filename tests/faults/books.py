"""The ledger as an auditor reads it: what it says, what must follow, and whether the peer's own account agrees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, update

from gurney.ledger import batches, destinations
from gurney.ledger.database import Ledger
from gurney.ledger.errors import LedgerUnavailable
from gurney.ledger.models import (
    Attempt,
    Completion,
    Destination,
    File,
    Instance,
    Item,
    Lease,
    Refusal,
    Role,
    Spool,
    Transfer,
)
from gurney.ledger.tally import discrepancies
from gurney.pacs.testing import FakePacs
from gurney.transfer import breaker
from gurney.transfer.breaker import Admit
from gurney.transfer.states import OPEN, FileState, ItemState, Outcome
from tests.faults import instances
from tests.services import wait_until

__all__ = ["Books", "Entry", "Line", "account_of", "check"]

_PATIENCE = 60.0
_STORED = {ItemState.DONE, ItemState.WARNED}


@dataclass(frozen=True, slots=True)
class Line:
    """One item."""

    id: int
    sop_instance_uid: str
    destination: str
    transfer_id: int
    state: ItemState
    attempts: int
    suspect: int
    crash_suspect: int
    status: int | None
    words: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One attempt."""

    outcome: Outcome
    status: int | None
    words: str


class Books:
    """A ledger that is only read, but for time: a test may let hours pass."""

    def __init__(self, url: str) -> None:
        self.ledger = Ledger(url)

    def close(self) -> None:
        """Let go of the database."""
        self.ledger.dispose()

    def items(self, destination: str = "") -> list[Line]:
        """List the items, oldest first."""
        query = (
            select(Item.__table__, Instance.sop_instance_uid, Destination.name)
            .join(Instance, Instance.id == Item.instance_id)
            .join(Destination, Destination.id == Item.destination_id)
            .order_by(Item.id)
        )
        with self.ledger.read() as conn:
            rows = conn.execute(query if not destination else query.where(Destination.name == destination)).all()
        return [
            Line(
                row.id,
                row.sop_instance_uid,
                row.name,
                row.transfer_id,
                ItemState(row.state),
                row.attempts,
                row.suspect,
                row.crash_suspect,
                row.last_status,
                row.last_words,
            )
            for row in rows
        ]

    def states(self, destination: str = "") -> Counter[ItemState]:
        """Count the items in each state."""
        return Counter(item.state for item in self.items(destination))

    def files(self) -> Counter[FileState]:
        """Count the files in each state."""
        with self.ledger.read() as conn:
            return Counter(FileState(state) for state in conn.scalars(select(File.state)))

    def attempts(self, sop_instance_uid: str = "", destination: str = "") -> list[Entry]:
        """List the attempts, of one instance or of all, in the order in which they were settled."""
        query = (
            select(Attempt.outcome, Attempt.status, Attempt.words)
            .join(Item, Item.id == Attempt.item_id)
            .join(Instance, Instance.id == Item.instance_id)
            .order_by(Attempt.settled_at, Attempt.fence)
        )
        if sop_instance_uid:
            query = query.where(Instance.sop_instance_uid == sop_instance_uid)
        if destination:
            query = query.join(Destination, Destination.id == Item.destination_id).where(
                Destination.name == destination
            )
        with self.ledger.read() as conn:
            return [Entry(Outcome(row.outcome), row.status, row.words) for row in conn.execute(query)]

    def leases(self, state: str) -> list[Any]:
        """List the leases in a state: live, released or lost."""
        with self.ledger.read() as conn:
            return list(conn.execute(select(Lease.__table__).where(Lease.state == state).order_by(Lease.id)).all())

    def destination(self, name: str = "pacs") -> Any:
        """Return a destination's row."""
        with self.ledger.read() as conn:
            return conn.execute(select(Destination.__table__).where(Destination.name == name)).one_or_none()

    def is_complete(self) -> bool:
        """Tell whether every transfer has come to rest, and a quiet period was noted for all that is in it."""
        with self.ledger.read() as conn:
            transfers = conn.execute(select(Transfer.id, Transfer.quiet_since)).all()
            covered = dict(conn.execute(select(Completion.transfer_id, Completion.last_item_id)).all())
            last = dict(conn.execute(select(Item.transfer_id, func.max(Item.id)).group_by(Item.transfer_id)).all())
        return bool(transfers) and all(
            row.quiet_since is not None and covered.get(row.id, 0) >= last.get(row.id, 0) for row in transfers
        )

    # --- Waiting ------------------------------------------------------------------------------------------------------

    def wait_for(self, wanted: Mapping[ItemState, int], seconds: float = _PATIENCE, destination: str = "") -> None:
        """Wait until exactly so many items stand in each state, and none in any other."""
        seen: Counter[ItemState] = Counter()

        def agrees() -> bool:
            nonlocal seen
            seen = self._states_if_reachable(destination)
            return seen == Counter(wanted)

        try:
            wait_until(agrees, seconds, f"{dict(wanted)}", interval=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; the ledger says {seen}") from None

    def wait_until_stored(self, count: int, seconds: float = _PATIENCE, destination: str = "") -> None:
        """Wait until so many items are done, with or without a warning, and none is anything else."""

        def are_stored() -> bool:
            states = self._states_if_reachable(destination)
            return states.total() == count and set(states) <= _STORED

        try:
            wait_until(are_stored, seconds, f"{count} items to be stored", interval=0.05)
        except AssertionError as error:
            raise AssertionError(f"{error}; the ledger says {self.states(destination)}") from None

    def wait_until(self, predicate: Callable[[], bool], what: str, seconds: float = _PATIENCE) -> None:
        """Wait until the ledger agrees with a predicate."""
        wait_until(predicate, seconds, what, interval=0.05)

    def wait_until_idle(self) -> None:
        """Wait until no batch is on its way, and nothing could be claimed now."""
        self.wait_until(self.is_idle, "nothing to be due")

    def wait_until_complete(self, seconds: float = _PATIENCE) -> None:
        """Wait until every study has come to rest."""
        wait_until(self.is_complete, seconds, "every transfer to be complete", interval=0.05)

    def let_pass_until_settled(self, hours: float = 7.0, rounds: int = 40) -> float:
        """Let so many hours pass whenever nothing is left to do, until nothing is open; return how many there were."""
        passed = 0.0
        for _ in range(rounds):
            self.wait_until_idle()
            if not set(self.states()) & OPEN:
                return passed
            self.let_pass(hours * 3600)
            passed += hours
        raise AssertionError(f"after {passed:g} hours there is still something to do: {self.states()}")

    def is_idle(self) -> bool:
        """Tell whether no batch is on its way, and nothing could be claimed now."""
        with self.ledger.read() as conn:
            now = self.ledger.clock.now(conn)
            rows = conn.execute(select(Destination.__table__)).all()
            live = conn.scalar(select(func.count()).where(Lease.state == "live"))
            return not live and not any(
                batches.has_due_work(conn, row.id, spool_id, now)
                for row in rows
                if breaker.may_claim(destinations.gate_of(row), now).admit is not Admit.DENIED
                for spool_id in conn.scalars(select(Spool.id))
            )

    def _states_if_reachable(self, destination: str) -> Counter[ItemState]:
        try:
            return self.states(destination)
        except LedgerUnavailable:  # a test may have taken the database down
            return Counter()

    # --- Acting upon it -----------------------------------------------------------------------------------------------

    def let_pass(self, seconds: float) -> None:
        """Let time pass: everything that the ledger remembers of failures is so much longer ago."""
        with self.ledger.write() as tx:
            for model, columns in _PAST.items():
                for column in columns:
                    tx.conn.execute(update(model).where(column.is_not(None)).values({column.key: column - seconds}))

    def roles_held(self) -> list[str]:
        """Tell which roles somebody holds now."""
        now = self.ledger.now()
        with self.ledger.read() as conn:
            return list(conn.scalars(select(Role.name).where(Role.until > now)))

    def let_roles_run_out(self) -> None:
        """Let the leases pass by which daemons share their roles; those who live renew theirs."""
        with self.ledger.write() as tx:
            tx.conn.execute(update(Role).values(until=tx.now))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold what every settlement must lock, so that none commits: SQLite's one writer, or the destinations."""
        with self.ledger.write() as tx:
            tx.conn.execute(select(Destination.id).with_for_update()).all()
            yield


_PAST: Mapping[Any, Sequence[Any]] = {
    Item: (Item.due_at, Item.first_failed_at, Item.last_failed_at),
    Destination: (
        Destination.probe_at,
        Destination.opened_at,
        Destination.hold_since,
        Destination.last_success_at,
        Destination.last_error_at,
    ),
    Refusal: (Refusal.until,),
}


def account_of(pacs: FakePacs) -> list[tuple[str, str]]:
    """Return what a fake PACS has stored: SOP Instance UID and digest, once for each time."""
    return [(one.sop_instance_uid, one.digest) for one in pacs.stored]


def check(
    books: Books,
    sent: Iterable[instances.Instance],
    arrived: Iterable[tuple[str, str]],
    *,
    destination: str = "pacs",
    failed: Iterable[str] = (),
) -> None:
    """Hold the ledger and the peer's account against each other.

    ``arrived`` is what the peer stored, (SOP Instance UID, SHA-256 of the data set), once for each time that it did;
    ``failed`` are the instances that must have failed. Everything else must be done, be at the peer bit for bit, and
    have come there as often as the ledger explains: once, and once more for each attempt that did not end well and
    each lease that was lost with its study.
    """
    expected = {instance.sop_instance_uid: instance.digest for instance in sent}
    at_peer: dict[str, list[str]] = defaultdict(list)
    for sop_instance_uid, digest in arrived:
        at_peer[sop_instance_uid].append(digest)
    lines = {line.sop_instance_uid: line for line in books.items(destination)}
    assert lines.keys() == expected.keys(), "the ledger must know what was sent, and nothing else"
    assert at_peer.keys() <= expected.keys(), "the peer must have what was sent, and nothing else"
    lost = Counter(lease.transfer_id for lease in books.leases("lost"))
    not_stored = set(failed)
    for sop_instance_uid, line in lines.items():
        outcomes = Counter(entry.outcome for entry in _attempts_of(books, line))
        good = outcomes[Outcome.OK] + outcomes[Outcome.WARN]
        if sop_instance_uid in not_stored:
            assert line.state in {ItemState.FAILED, ItemState.DEAD}, line
            assert line.words, "a failure must have its reason"
            assert good == 0, line
            continue
        assert line.state in _STORED, line
        assert good == 1, (line, outcomes)
        copies = at_peer[sop_instance_uid]
        assert copies, f"falsely done: {line}"
        assert set(copies) == {expected[sop_instance_uid]}, f"other bytes arrived: {line}"
        explained = 1 + outcomes.total() - good + lost[line.transfer_id]
        assert len(copies) <= explained, f"stored {len(copies)} times, {explained} explained: {line} {outcomes}"
    assert books.leases("live") == []
    with books.ledger.read() as conn:
        assert discrepancies(conn) == []


def _attempts_of(books: Books, line: Line) -> list[Entry]:
    with books.ledger.read() as conn:
        rows = conn.execute(select(Attempt.outcome, Attempt.status, Attempt.words).where(Attempt.item_id == line.id))
        return [Entry(Outcome(row.outcome), row.status, row.words) for row in rows]
