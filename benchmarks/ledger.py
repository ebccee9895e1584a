"""Measure claims and settlements through the shipped functions, on ledgers of ten thousand to ten million items.

    python -m benchmarks.ledger [--sizes 10000 1000000 10000000] [--databases sqlite postgresql]
                                [--folder DIR] [--rounds 9] [--batches 20]

A batch is what one worker does: claim 200 items, settle them in groups of 50, release, durably (SQLite synchronous =
FULL; PostgreSQL fsync and synchronous_commit on; the folder must be on a disk). Half of the items stand as they
arrived, study after study; the other half arrived from many studies at once, so that one study's items, instances and
files lie scattered over their tables. Half of each is done already, the rest waits. Ledgers of all sizes take turns;
figures are medians over rounds, and results/s hold the claims too. Ten million items need 25 GB in the folder and some
minutes to load; everything is removed at the end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from gurney.ledger.claims import claim
from gurney.ledger.database import Ledger
from gurney.ledger.models import (
    Attempt,
    Base,
    Count,
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
from gurney.ledger.schema import migrate
from gurney.ledger.settlement import Settled, Settlement, conclude, settle
from gurney.ledger.terms import Claim, Claimant
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.states import FileState, ItemState, Outcome, Routing
from tests.services.postgresql import PostgreSql

BATCH, GROUP = 200, 50
LAYOUTS = ("consecutive", "scattered")
BARS = {
    ("sqlite", "consecutive"): 40_000,
    ("sqlite", "scattered"): 8_000,
    ("postgresql", "consecutive"): 10_000,
    ("postgresql", "scattered"): 10_000,
}
FLAT = 1.3
STORED = Event(EventKind.RESPONSE, status=0)


@dataclass(frozen=True)
class Shape:
    """How many items there are, and which study each belongs to; ids are 1, 2, 3 in every table."""

    items: int

    @property
    def studies(self) -> int:
        """Studies of one destination."""
        return self.items // 2 // BATCH

    @property
    def half(self) -> int:
        """Items of one destination."""
        return self.studies * BATCH

    @property
    def transfer(self) -> str:
        """The transfer of item i: first those in order, then those that came in turns."""
        scattered = f"{self.studies} + (i - {self.half} - 1) % {self.studies}"
        return f"(CASE WHEN i <= {self.half} THEN (i - 1) / {BATCH} ELSE {scattered} END + 1)"

    @property
    def destination(self) -> str:
        """The destination of transfer t."""
        return f"(CASE WHEN t <= {self.studies} THEN 1 ELSE 2 END)"

    @property
    def done(self) -> str:
        """Whether transfer t is done: the first half of each destination's."""
        return f"(t - 1) % {self.studies} < {self.studies // 2}"


def load(conn: Connection, shape: Shape) -> None:
    """Fill an empty ledger."""
    is_sqlite = conn.dialect.name == "sqlite"
    encoded = "CAST({} AS BLOB)" if is_sqlite else "convert_to({}, 'UTF8')"
    done, state = shape.done, f"CASE WHEN {shape.done} THEN {ItemState.DONE:d} ELSE {ItemState.READY:d} END"
    transfers, items = 2 * shape.studies, 2 * shape.half
    _fill(conn, Spool, 1, name="'main'", path="'/spool'", marker="'main'")
    _fill(conn, Destination, 2, name=f"CASE t WHEN 1 THEN '{LAYOUTS[0]}' ELSE '{LAYOUTS[1]}' END", fence=f"{transfers}")
    uid = "'1.2.840.113619.2.55.3.2831164355.' || t"
    _fill(conn, Study, transfers, study_instance_uid=uid, patient_id="'P' || t", first_seen_at="0")
    _fill(conn, Series, transfers, study_id="t", series_instance_uid=f"{uid} || '.1'", modality="'CT'")
    _fill(
        conn,
        Transfer,
        transfers,
        study_id="t",
        study_instance_uid=uid,
        destination_id=shape.destination,
        created_at="0",
        last_arrival_at="0",
        first_stored_at=f"CASE WHEN {done} THEN 1.0 END",
        quiet_since="1",
    )
    _fill(
        conn,
        Lease,
        transfers,
        where=done,
        destination_id=shape.destination,
        transfer_id="t",
        worker="'w'",
        host="'h'",
        priority="2",
        fence="t",
        items=f"{BATCH}",
        state="'released'",
        acquired_at="1",
        until="60",
        ended_at="2",
    )
    _fill(conn, Count, transfers, destination_id=shape.destination, transfer_id="t", state=state, n=f"{BATCH}")
    _fill(
        conn,
        Instance,
        items,
        of=shape.transfer,
        sop_instance_uid="'1.2.840.113619.2.55.3.2831164355.781.' || (1700000000 + i)",
        sop_class_uid="'1.2.840.10008.5.1.4.1.1.2'",
        transfer_syntax_uid="'1.2.840.10008.1.2.1'",
        study_id="t",
        series_id="t",
        size="525000",
        routing=f"{Routing.ROUTED:d}",
        created_at="0",
    )
    _fill(
        conn,
        File,
        items,
        of=shape.transfer,
        source="'ct1'",
        door="'watch'",
        path=encoded.format("'2024/02/29/' || t || '/IM' || i || '.dcm'"),
        dev="1",
        inode="i",
        size="525400",
        mtime_ns="1700000000000000000 + i",
        state=f"{FileState.ACCEPTED:d}",
        instance_id="i",
        dataset_offset="400",
        spool_id="1",
        spool_path="t || '/' || i || '.dcm'",
        spool_mtime_ns="1700000000000000000 + i",
        seen_at="0",
        changed_at="0",
    )
    _fill(
        conn,
        Item,
        items,
        of=shape.transfer,
        transfer_id="t",
        instance_id="i",
        file_id="i",
        series_id="t",
        destination_id=shape.destination,
        spool_id="1",
        size="525000",
        state=state,
        fence=f"CASE WHEN {done} THEN t ELSE 0 END",
        last_status=f"CASE WHEN {done} THEN 0 END",
        settled_at=f"CASE WHEN {done} THEN 1.0 END",
        created_at="0",
    )
    _fill(
        conn,
        Attempt,
        items,
        of=shape.transfer,
        where=done,
        item_id="i",
        fence="t",
        lease_id="t",
        endpoint="'10.0.0.1:104'",
        outcome=f"{Outcome.OK:d}",
        status="0",
        bytes_sent="525400",
        seconds="0.001",
        settled_at="1",
    )


def _fill(
    conn: Connection, model: type[Base], rows_wanted: int, /, *, of: str = "i", where: str = "", **columns: str
) -> None:
    """Insert n rows: the columns given as SQL over i (the row) and t (its transfer), the others as the model has it."""
    if "id" in model.__table__.columns:
        columns.setdefault("id", "i")
    for column in model.__table__.columns:
        default = getattr(column.default, "arg", None)
        if column.name not in columns and default is not None:
            columns[column.name] = str(default).upper() if isinstance(default, bool) else repr(default)
    if conn.dialect.name == "sqlite":
        numbers = f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows_wanted})"
        rows = f"(SELECT i, {of} AS t FROM n)"
    else:
        numbers, rows = "", f"(SELECT i, {of} AS t FROM generate_series(1, {rows_wanted}::bigint) AS n(i)) AS rows"
    conn.execute(
        text(
            f"INSERT INTO {model.__tablename__} ({', '.join(columns)}) "
            f"{numbers} SELECT {', '.join(columns.values())} FROM {rows} {f'WHERE {where}' if where else ''}".replace(
                ":", "\\:"
            )
        )
    )


@contextmanager
def sqlite(folder: Path, shape: Shape) -> Iterator[str]:
    """Make a filled SQLite ledger; loading is not what is measured, so it need not be durable."""
    path = folder / f"ledger-{shape.items}.sqlite3"
    url = f"sqlite:///{path}"
    try:
        migrate(url)
        engine = create_engine(url)
        with engine.connect() as conn:
            for pragma in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -4000000", "temp_store = MEMORY"):
                conn.exec_driver_sql(f"PRAGMA {pragma}")
            load(conn, shape)
            conn.commit()
        engine.dispose()
        os.sync()  # or the kernel would write out what was loaded while we measure
        yield url
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextmanager
def postgresql(cluster: PostgreSql, shape: Shape) -> Iterator[str]:
    """Make a filled PostgreSQL ledger, and let it rest as autovacuum would."""
    url = cluster.create_database()
    try:
        migrate(url)
        engine = create_engine(url, isolation_level="AUTOCOMMIT")
        with engine.connect() as conn:
            conn.execute(text("SET session_replication_role = replica"))  # no foreign key is checked row by row
            conn.execute(text("SET synchronous_commit = off"))
            load(conn, shape)
            for table in ("spool", "destination", "study", "series", "transfer", "lease", "instance", "file", "item"):
                conn.execute(text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
            conn.execute(text("VACUUM ANALYZE"))
            conn.execute(text("CHECKPOINT"))
        engine.dispose()
        os.sync()
        yield url
    finally:
        cluster.drop_database(url)


@dataclass
class Figures:
    """What the rounds on one half of one ledger came to."""

    claims: list[float] = field(default_factory=list)
    settlements: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def claim_ms(self) -> float:
        return 1_000 * statistics.median(self.claims)

    @property
    def settle_ms(self) -> float:
        return 1_000 * statistics.median(self.settlements)


def work(ledger: Ledger, destination: str, batches: int, figures: Figures) -> None:
    """Carry batches as a worker does, except that nothing is sent."""
    claimant = Claimant("host:1:a", "host", 8, spool_id=1)
    stored, begun = 0, time.perf_counter()
    for _ in range(batches):
        before = time.perf_counter()
        claimed = ledger.transact(claim, destination, claimant)
        if not isinstance(claimed, Claim):
            break
        figures.claims.append(time.perf_counter() - before)
        results = [Settlement(item.item_id, STORED, "10.0.0.1:104", item.size, 0.001) for item in claimed.work]
        total = Settled()
        for start in range(0, len(results), GROUP):
            group, before = results[start : start + GROUP], time.perf_counter()
            if start + GROUP < len(results):
                total.stored += ledger.transact(settle, claimed.ticket, group).stored
                figures.settlements.append(time.perf_counter() - before)
            else:
                last, returned = ledger.transact(conclude, claimed.ticket, group, total, "host:1:a", "done")
                assert (total.stored + last.stored, returned) == (len(results), 0)
        stored += len(results)
    if stored:
        figures.rates.append(stored / (time.perf_counter() - begun))


def restock(ledger: Ledger, destination_id: int) -> None:
    """Let what was sent since the ledger was loaded wait again, where there is too little for all rounds."""
    with ledger.write() as tx:
        sent = f"destination_id = {destination_id} AND settled_at > 1"
        tx.conn.execute(text(f"DELETE FROM attempt WHERE item_id IN (SELECT id FROM item WHERE {sent})"))
        tx.conn.execute(text(f"UPDATE item SET state = {ItemState.READY:d}, settled_at = NULL WHERE {sent}"))


class Subject:
    """One filled ledger and what was measured on it."""

    def __init__(self, url: str, shape: Shape, batches: int) -> None:
        self.ledger, self.shape = Ledger(url), shape
        self.batches = min(batches, shape.studies // 4)
        self.left = dict.fromkeys(LAYOUTS, shape.studies // 2)
        self.figures = {layout: Figures() for layout in LAYOUTS}

    def round(self, *, counts: bool) -> None:
        """Work on both halves; the first rounds, which fill caches and compile statements, don't count."""
        for destination_id, layout in enumerate(LAYOUTS, 1):
            if self.left[layout] < self.batches:
                restock(self.ledger, destination_id)
                self.left[layout] = self.shape.studies // 2
            self.left[layout] -= self.batches
            work(self.ledger, layout, self.batches, self.figures[layout] if counts else Figures())


def measure(subjects: list[Subject], rounds: int) -> None:
    """Let ledgers of all sizes take turns, so that whatever else this machine does hits them alike."""
    for number in range(-2, rounds):
        for subject in subjects:
            subject.round(counts=number >= 0)


def report(database: str, subjects: list[Subject]) -> bool:
    """Print the figures of one database; tell whether all bars are met."""
    met = True
    for layout in LAYOUTS:
        smallest = subjects[0].figures[layout].claim_ms
        for subject in subjects:
            figures, bar = subject.figures[layout], BARS[database, layout]
            growth = figures.claim_ms / smallest
            met &= figures.rate >= bar and growth <= FLAT
            print(
                f"{database:10}  {layout:11}  {subject.shape.items:>10,} items  {figures.rate:>7,.0f} results/s "
                f"= {figures.rate / bar:4.2f} x bar  claim {figures.claim_ms:5.2f} ms = {growth:4.2f} x smallest "
                f"(bar {FLAT})  settle {figures.settle_ms:5.2f} ms",
                flush=True,
            )
    return met


def main() -> int:
    """Print the table; exit with 1 where a bar is not met."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", nargs="+", type=int, default=[10_000, 1_000_000, 10_000_000], help="items")
    options.add_argument("--databases", nargs="+", choices=["sqlite", "postgresql"], default=["sqlite", "postgresql"])
    options.add_argument("--folder", type=Path, help="where the ledgers are made; on a disk")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--batches", type=int, default=20, help="batches of 200 items in one round")
    chosen = options.parse_args()
    met = True
    for database in chosen.databases:
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gurney-bench-", dir=chosen.folder)))
            folder.chmod(0o711)  # PostgreSQL runs as another user
            if database == "postgresql":
                (folder / "cluster").mkdir()
                cluster = PostgreSql(folder / "cluster")
                cluster.create_cluster()
                stack.enter_context(cluster)
            subjects = []
            for shape in map(Shape, sorted(chosen.sizes)):
                made = sqlite(folder, shape) if database == "sqlite" else postgresql(cluster, shape)
                subjects.append(Subject(stack.enter_context(made), shape, chosen.batches))
                stack.callback(subjects[-1].ledger.dispose)
            measure(subjects, chosen.rounds)
            met &= report(database, subjects)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
