"""Measure how fast settled files become rows of the ledger, and that memory does not grow with the folder.

    python -m benchmarks.ingest [--files 4000] [--many 100000] [--rounds 3] [--folder DIR] [--ledger URL]

Throughput: CT images of 0.5 MB that lie in a watched folder, with a warm page cache: header, completeness, hard link,
routing, ledger rows, all durable. The bar is 4,000 files a second. Memory: many small files, watched by a process of
its own whose resident set is sampled; then a restart over the same files, which must read none of them again.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import structlog
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from benchmarks.corpus import SHAPES, instance
from benchmarks.figures import Figure
from gurney.dicom.part10 import Part10
from gurney.dicom.policy import ReadPolicy
from gurney.ledger import destinations
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.models import File
from gurney.ledger.schema import migrate
from gurney.transfer.routing import compile_routes
from gurney_daemon.ingest import inspection as inspection_module
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.patrol import Patrol, WatchedFolder
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import Shelf, open_spool

BAR = 4_000
# A folder of a modality's own rarely holds more.
PER_FOLDER = 5_000


def template(shape: tuple[int, int, int]) -> tuple[bytes, bytes]:
    """Make one image, and say which of its bytes are the SOP Instance UID."""
    dataset = instance(generate_uid(), generate_uid(), 1, shape)
    dataset.SOPInstanceUID = "1.2.826.0.1.3680043.8.498.10000000"
    buffer = BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue(), str(dataset.SOPInstanceUID).encode()


def fill(folder: Path, count: int, shape: tuple[int, int, int]) -> None:
    """Write images that differ in their UID only."""
    content, uid = template(shape)
    for number in range(count):
        inner = folder / f"{number // PER_FOLDER:03d}"
        inner.mkdir(parents=True, exist_ok=True)
        other = uid[:-8] + f"{number + 10_000_000:08d}".encode()
        (inner / f"{number:06d}.dcm").write_bytes(content.replace(uid, other))


def patrol_over(ledger: Ledger, folder: Path, spool: Path) -> Patrol:
    """Watch a folder as the daemon does, without its thread."""
    watched = WatchedFolder("bench", str(folder), settle_seconds=0)
    opened = open_spool(ledger, "bench", str(spool))
    routes = DoorRoutes(compile_routes([]), "bench", ("archive",))
    source = watched.source()
    admission = Admission(source, ledger, Shelf(opened, "bench"), routes, actor="bench")
    return Patrol(watched, ledger, opened, admission, ring=lambda _bells: None, wake=lambda: None)


def prepared_ledger(url: str) -> Ledger:
    """Make a ledger that knows one destination."""
    migrate(url)
    ledger = Ledger(url)
    ledger.transact(destinations.sync, [DestinationSpec("archive", "ARCHIVE", "GURNEY")], "bench")
    return ledger


def accepted(ledger: Ledger) -> int:
    """Count the files that the ledger has."""
    with ledger.read() as conn:
        return int(conn.scalar(select(func.count()).select_from(File)) or 0)


def one_pass(patrol: Patrol, every_step: Callable[[], None] = lambda: None) -> float:
    """Step until the first scan is over and nothing is left to do; return seconds."""
    began = time.perf_counter()
    while patrol.step() == 0.0:
        every_step()
    return time.perf_counter() - began


def throughput(url: str, folder: Path, count: int) -> tuple[float, float]:
    """Return files a second, from the first look at the folder to the last commit, and CPU seconds per file."""
    ledger = prepared_ledger(url)
    spool = folder.parent / "spool"
    patrol = patrol_over(ledger, folder, spool)
    cpu = time.process_time()
    seconds = one_pass(patrol)
    cpu = time.process_time() - cpu
    taken = accepted(ledger)
    ledger.dispose()
    shutil.rmtree(spool)
    if taken != count:
        raise SystemExit(f"{taken} of {count} files are in the ledger")
    return count / seconds, cpu / count


def resident() -> int:
    """Return this process's resident set in KiB."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * (os.sysconf("SC_PAGE_SIZE") // 1024)


def child(url: str, folder: Path) -> None:
    """Watch many files, then watch them anew; print resident sets and how many were read."""
    reads = 0
    original = inspection_module.read_header  # type: ignore[attr-defined]  # where it is called from

    def counted(fd: int, wanted: frozenset[int], policy: ReadPolicy) -> Part10:
        nonlocal reads
        reads += 1
        return original(fd, wanted, policy)

    inspection_module.read_header = counted  # type: ignore[attr-defined]
    ledger = prepared_ledger(url)
    # SQLite fills a fixed budget with whatever rows there are: it must not hide what grows, nor look as if it did.
    with ledger.read() as conn:
        conn.exec_driver_sql("PRAGMA cache_size = -2048")
    with ledger.write() as tx:
        tx.conn.exec_driver_sql("PRAGMA cache_size = -2048")
    spool = folder.parent / "spool"
    samples: list[tuple[int, int]] = []

    def sample() -> None:
        if not samples or reads >= samples[-1][0] + 5_000:
            samples.append((reads, resident()))

    first = one_pass(patrol_over(ledger, folder, spool), sample)
    samples.append((reads, resident()))
    for after, kib in samples[::4]:
        print(f"  after {after:7,} files: {kib / 1024:7.1f} MiB")
    begun = [kib for after, kib in samples if after <= reads // 10][-1]
    grown = (samples[-1][1] - begun) / 1024
    print(f"  {reads:,} files in {first:.1f} s; memory grew by {grown:.1f} MiB over the last nine tenths of them")
    before = reads
    again = one_pass(patrol_over(ledger, folder, spool))
    print(f"  restart: {reads - before} of {before:,} files read again, the folder looked through in {again:.2f} s")
    ledger.dispose()


def main() -> int:
    """Print what was measured; 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description="From a folder into the ledger")
    parser.add_argument("--files", type=int, default=4_000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", default=None, help="where to work; a disk, not a memory filesystem")
    parser.add_argument("--ledger", default="", help="an empty PostgreSQL database instead of SQLite; one round only")
    parser.add_argument("--child", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    if options.child:
        child(options.ledger, Path(options.child))
        return 0
    with tempfile.TemporaryDirectory(prefix="gurney-ingest-", dir=options.folder) as work:
        top = Path(work)
        fill(top / "ct", options.files, SHAPES["ct"])
        rates: list[float] = []
        costs: list[float] = []
        for turn in range(1 if options.ledger else options.rounds):
            url = options.ledger or f"sqlite:///{top}/{turn}.sqlite3"
            rate, cpu = throughput(url, top / "ct", options.files)
            rates.append(rate)
            costs.append(cpu * 1e6)
        shutil.rmtree(top / "ct")
        figure = Figure("ingest of CT: header, spool link, rules, ledger", rates, bar=BAR, unit="files/s")
        print(figure)
        print(Figure("the same, CPU for each file", costs, unit="us"), flush=True)
        if options.many and not options.ledger:
            fill(top / "many", options.many, (8, 8, 1))
            command = [sys.executable, "-m", "benchmarks.ingest", "--child", str(top / "many")]
            root = Path(__file__).parents[1]
            subprocess.run([*command, "--ledger", f"sqlite:///{top}/many.sqlite3"], check=True, timeout=900, cwd=root)
    return 0 if figure.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
