"""A ledger to act in: rows in a line, claims and settlements as a worker makes them, a clock that a test moves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, func, insert, select, update

from gurney.ledger import claims, leases, settlement, tally
from gurney.ledger.database import AnyRow, Ledger, Transaction
from gurney.ledger.leases import LEASE_SECONDS
from gurney.ledger.models import (
    Attempt,
    Audit,
    Base,
    Destination,
    File,
    Instance,
    Item,
    Lease,
    Series,
    Spool,
    Study,
    Transfer,
)
from gurney.ledger.settlement import Settled, Settlement
from gurney.ledger.terms import BatchLimits, Claim, Claimant, Denied
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.states import FileState, ItemState, Priority, Routing

__all__ = [
    "CT",
    "EXPLICIT",
    "JPEG",
    "MR",
    "OK",
    "ManualClock",
    "World",
    "aborted",
    "answered",
    "happened",
    "longest",
]

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG = "1.2.840.10008.1.2.4.50"

T = TypeVar("T")


def answered(status: int) -> Event:
    """Report a response with a status."""
    return Event(EventKind.RESPONSE, status=status)


def happened(kind: EventKind, **more: Any) -> Event:
    """Report anything else."""
    return Event(kind, **more)


OK = answered(0)
aborted = Event(EventKind.ABORTED, in_flight=True)


def longest(_low: float, high: float) -> float:
    """Draw the longest delay there is, so that a test knows it."""
    return high


class ManualClock:
    """Time that passes when a test says so."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start

    def now(self, _conn: Connection) -> float:
        return self.time

    def pass_by(self, seconds: float) -> None:
        self.time += seconds


@dataclass
class World:
    """One ledger, with verbs in the words of a test. Each verb is one committed transaction."""

    ledger: Ledger

    def __post_init__(self) -> None:
        self._serial = itertools.count(1)
        self._ids: dict[tuple[str, str], int] = {}

    @property
    def clock(self) -> ManualClock:
        clock = self.ledger.clock
        assert isinstance(clock, ManualClock)
        return clock

    # --- What there is ------------------------------------------------------------------------------------------------

    def spool(self, name: str = "main") -> int:
        """Find or make a spool."""
        return self._find_or_make(Spool, "name", name, path=f"/{name}", marker=name)

    def destination(self, name: str = "archive", **columns: Any) -> int:
        """Find or make a destination; one association unless said otherwise."""
        columns.setdefault("max_associations", 1)
        columns.setdefault("effective_concurrency", columns["max_associations"])
        return self._find_or_make(Destination, "name", name, ae_title=name.upper(), calling_ae_title="US", **columns)

    def items(
        self,
        n: int = 1,
        *,
        destination: str = "archive",
        study: str = "1.2",
        series: str = "1",
        spool: str = "main",
        priority: Priority = Priority.ROUTINE,
        sop_class_uid: str = CT,
        transfer_syntax_uid: str = EXPLICIT,
        size: int = 1_000,
        **columns: Any,
    ) -> list[int]:
        """Add items of new instances, READY unless said otherwise; return their ids."""
        spool_id, destination_id = self.spool(spool), self.destination(destination)
        now = self.clock.time
        with self.ledger.write() as tx:
            study_id, series_id = self._study(tx, study, series)
            transfer_id = self._transfer(tx, study, study_id, destination_id)
            serials = [next(self._serial) for _ in range(n)]
            instances = tx.conn.scalars(
                insert(Instance).returning(Instance.id, sort_by_parameter_order=True),
                [
                    {
                        "sop_instance_uid": f"2.25.{serial}",
                        "version": 1,
                        "sop_class_uid": sop_class_uid,
                        "transfer_syntax_uid": transfer_syntax_uid,
                        "study_id": study_id,
                        "series_id": series_id,
                        "size": size,
                        "routing": int(Routing.ROUTED),
                        "routing_detail": "",
                        "created_at": now,
                    }
                    for serial in serials
                ],
            ).all()
            files = tx.conn.scalars(
                insert(File).returning(File.id, sort_by_parameter_order=True),
                [
                    {
                        "source": "ct1",
                        "door": "watch",
                        "path": b"/in/%d" % serial,
                        "dev": 1,
                        "inode": serial,
                        "size": size + 400,
                        "mtime_ns": serial,
                        "state": int(FileState.ACCEPTED),
                        "instance_id": instance_id,
                        "dataset_offset": 400,
                        "spool_id": spool_id,
                        "spool_path": f"{serial}.dcm",
                        "spool_mtime_ns": serial,
                        "seen_at": now,
                        "changed_at": now,
                    }
                    for serial, instance_id in zip(serials, instances, strict=True)
                ],
            ).all()
            state = ItemState(columns.pop("state", ItemState.READY))
            ids = tx.conn.scalars(
                insert(Item).returning(Item.id, sort_by_parameter_order=True),
                [
                    {
                        "transfer_id": transfer_id,
                        "instance_id": instance_id,
                        "file_id": file_id,
                        "series_id": series_id,
                        "destination_id": destination_id,
                        "spool_id": spool_id,
                        "size": size,
                        "priority": int(priority),
                        "state": int(state),
                        "created_at": now,
                        **columns,
                    }
                    for instance_id, file_id in zip(instances, files, strict=True)
                ],
            ).all()
            counted = tally.Tally()
            counted.add(destination_id, transfer_id, state, n)
            counted.write(tx)
        return list(ids)

    def _find_or_make(self, model: type[Base], column: str, value: str, **columns: Any) -> int:
        key = (model.__tablename__, value)
        if key not in self._ids:
            with self.ledger.write() as tx:
                made = insert(model).values({column: value, **columns}).returning(model.__table__.c.id)
                self._ids[key] = int(tx.conn.execute(made).scalar_one())
        return self._ids[key]

    def _study(self, tx: Transaction, study: str, series: str) -> tuple[int, int]:
        study_id = tx.conn.scalar(select(Study.id).where(Study.study_instance_uid == study))
        if study_id is None:
            made = insert(Study).values(study_instance_uid=study, first_seen_at=tx.now).returning(Study.id)
            study_id = tx.conn.execute(made).scalar_one()
        which = select(Series.id).filter_by(study_id=study_id, series_instance_uid=f"{study}.{series}")
        series_id = tx.conn.scalar(which)
        if series_id is None:
            series_row = insert(Series).values(study_id=study_id, series_instance_uid=f"{study}.{series}")
            series_id = tx.conn.execute(series_row.returning(Series.id)).scalar_one()
        return study_id, series_id

    def _transfer(self, tx: Transaction, study: str, study_id: int, destination_id: int) -> int:
        which = select(Transfer.id).filter_by(study_id=study_id, destination_id=destination_id)
        found = tx.conn.scalar(which)
        if found is not None:
            return found
        row = insert(Transfer).values(
            study_id=study_id,
            study_instance_uid=study,
            destination_id=destination_id,
            created_at=tx.now,
            last_arrival_at=tx.now,
        )
        return int(tx.conn.execute(row.returning(Transfer.id)).scalar_one())

    # --- What workers do ----------------------------------------------------------------------------------------------

    def claim(
        self,
        destination: str = "archive",
        *,
        worker: str = "w1",
        host: str = "h1",
        slots: int = 8,
        spool: str = "main",
        stat_only: bool = False,
        **limits: Any,
    ) -> Claim | Denied:
        """Claim as a worker does."""
        claimant = Claimant(worker, host, slots, self.spool(spool), stat_only)
        return self.ledger.transact(claims.claim, destination, claimant, BatchLimits(**limits))

    def take(self, destination: str = "archive", **more: Any) -> Claim:
        """Claim, and fail the test when there is nothing."""
        claim = self.claim(destination, **more)
        assert isinstance(claim, Claim), claim
        return claim

    def denied(self, destination: str = "archive", **more: Any) -> Denied:
        """Claim, and fail the test when there is something."""
        claim = self.claim(destination, **more)
        assert isinstance(claim, Denied), claim
        return claim

    def settle(self, claim: Claim, events: Mapping[int, Event] | Event = OK, *, alone: bool | None = None) -> Settled:
        """Settle what was claimed: all with one event, or some with each its own."""
        if isinstance(events, Event):
            events = dict.fromkeys(ids_of(claim), events)
        alone = len(claim.work) == 1 if alone is None else alone
        results = [Settlement(item, event, "pacs:104", 1_000, 0.01, alone) for item, event in events.items()]
        return self.ledger.transact(settlement.settle, claim.ticket, results, uniform=longest)

    def finish(self, claim: Claim, *, stored: int = 0, faults: int = 0) -> int:
        """Release a claim's lease as a worker does at the end of its batch."""
        return self.ledger.transact(settlement.finish, claim.ticket, "w1", stored=stored, faults=faults)

    def send_all(self, destination: str = "archive", **more: Any) -> list[int]:
        """Claim a batch, store it all, release; return the items in the order of their sending."""
        claim = self.take(destination, **more)
        self.settle(claim)
        self.finish(claim, stored=len(claim.work))
        return ids_of(claim)

    def renew(self, claim: Claim) -> None:
        """Renew a claim's lease."""
        self.ledger.transact(leases.renew, claim.ticket)

    def crash(self) -> None:
        """Let every worker die: their leases run out."""
        self.clock.pass_by(LEASE_SECONDS + 1)

    # --- What is seen -------------------------------------------------------------------------------------------------

    def item(self, item_id: int) -> AnyRow:
        """Return one item's row."""
        with self.ledger.read() as conn:
            return conn.execute(select(Item.__table__).where(Item.id == item_id)).one()

    def states(self, ids: Iterable[int]) -> list[ItemState]:
        """Return items' states in the order of the ids."""
        wanted = list(ids)
        with self.ledger.read() as conn:
            known = {row.id: ItemState(row.state) for row in conn.execute(select(Item.id, Item.state))}
        return [known[item_id] for item_id in wanted]

    def row(self, name: str = "archive") -> AnyRow:
        """Return a destination's row."""
        with self.ledger.read() as conn:
            return conn.execute(select(Destination.__table__).where(Destination.name == name)).one()

    def lease(self, claim: Claim) -> AnyRow:
        """Return a claim's lease."""
        with self.ledger.read() as conn:
            return conn.execute(select(Lease.__table__).where(Lease.id == claim.ticket.id)).one()

    def attempts(self, item_id: int) -> list[AnyRow]:
        """Return an item's attempts, oldest first."""
        with self.ledger.read() as conn:
            query = select(Attempt.__table__).where(Attempt.item_id == item_id).order_by(Attempt.fence)
            return list(conn.execute(query).all())

    def audited(self, action: str) -> int:
        """Count the rows of the trail with an action."""
        with self.ledger.read() as conn:
            return int(conn.scalar(select(func.count()).select_from(Audit).where(Audit.action == action)) or 0)

    def change(self, model: type[Base], which: int, **columns: Any) -> None:
        """Write columns of a row behind the ledger's back."""
        with self.ledger.write() as tx:
            tx.conn.execute(update(model).where(model.__table__.c.id == which).values(**columns))

    def assert_counts_are_true(self) -> None:
        """Compare the kept counts with the items."""
        with self.ledger.read() as conn:
            assert tally.discrepancies(conn) == []


def ids_of(claim: Claim) -> list[int]:
    """Return a claim's items in the order of their sending."""
    return [work.item_id for work in claim.work]
