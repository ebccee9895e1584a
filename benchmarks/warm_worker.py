"""Measure warm workers, ledger included, against tuned dcmsend: the same files and receiver, in turns.

    python -m benchmarks.warm_worker [ct] [tiny] [large] [--workers 1 2] [--rounds 5] [--folder DIR]

A worker is warm when it is up, has sent before, and has its ledger open (SQLite, synchronous = FULL). Its time runs
from the ring to the moment when the last result is committed and the last association released; dcmsend's is that of
its process. Two ratios come of it: whole, and marginal, from the difference between a big and a small corpus, which
cancels whatever either does once. What lies between two batches in production, a message through the broker, is a
semaphore here; ``benchmarks.chain`` measures everything.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sqlalchemy import exists, func, select

from benchmarks.corpus import generate
from benchmarks.figures import Figure
from benchmarks.ingest import one_pass, patrol_over, prepared_ledger
from benchmarks.peers import Sink, dcmsend
from gurney.jobs import Lane
from gurney.jobs.tether import tie_to_parent
from gurney.ledger import destinations, resending
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.models import Attempt, Item, Lease, Study, Transfer
from gurney.ledger.models.predicates import item_is
from gurney.ledger.terms import BatchLimits
from gurney.observability import configure_logging
from gurney.pacs import RemoteAE
from gurney.transfer.states import ItemState
from gurney_workers import process
from gurney_workers.folders import Folders
from gurney_workers.slot import Peer, Slot

__all__ = ["KINDS", "Kind", "Stock", "Workers", "measure"]

DESTINATION, SPOOL, PATIENCE = "archive", "bench", 120.0


@dataclass(frozen=True)
class Kind:
    """What is sent: ``small`` instances are the part that the marginal speed leaves out, 0 for none."""

    name: str
    big: int
    small: int
    bars: dict[int, float]  # times dcmsend, by associations


KINDS = {
    "ct": Kind("ct", 2000, 200, {1: 1.5, 2: 2.5}),
    "tiny": Kind("tiny", 5000, 500, {1: 1.5, 2: 2.5}),
    "large": Kind("large", 4, 0, {1: 1.0}),
}


class Stock:
    """A ledger and a spool that hold a big and a small study, taken in as the daemon does."""

    def __init__(self, folder: Path, kind: Kind, associations: int) -> None:
        """Write the corpora if they are not there, then watch them until all is READY."""
        self.kind = kind
        self.big, self.small = folder / kind.name / "big", folder / kind.name / "small"
        for place, count in ((self.big, kind.big), (self.small, kind.small)):
            if count and not place.is_dir():
                generate(place, kind.name, count)
        self.url = f"sqlite:///{folder}/{kind.name}-{associations}.sqlite3"
        self.ledger = prepared_ledger(self.url)
        spec = DestinationSpec(DESTINATION, "SINK", "GURNEY", max_associations=associations)
        self.ledger.transact(destinations.sync, [spec], "benchmark")
        one_pass(patrol_over(self.ledger, folder / kind.name, folder / f"spool-{kind.name}-{associations}"))
        with self.ledger.read() as conn:
            counted = select(Study.study_instance_uid).join(Transfer, Transfer.study_id == Study.id).join(Item)
            by_size = counted.group_by(Study.id).order_by(func.count().desc())
            self.studies = list(conn.scalars(by_size))

    def resend(self, study_instance_uid: str) -> int:
        """Make a study due once more; return how many instances it has."""
        resent = self.ledger.transact(resending.resend, study_instance_uid, DESTINATION, "benchmark")
        assert resent is not None
        return resent.instances

    def check(self) -> None:
        """Let nothing pass that was not stored and recorded."""
        with self.ledger.read() as conn:
            states = {ItemState(state) for state in conn.scalars(select(Item.state).distinct())}
            items, attempts = (conn.scalar(select(func.count()).select_from(table)) for table in (Item, Attempt))
        if states != {ItemState.DONE} or items != attempts:
            raise SystemExit(f"not a valid run: {items} items in states {states} after {attempts} attempts")

    def associations(self) -> int:
        """Count the associations there have been."""
        with self.ledger.read() as conn:
            return int(conn.scalar(select(func.count()).select_from(Lease)) or 0)


class _Bell:
    """A doorbell without a broker: what one worker rings, any worker hears."""

    def __init__(self, rings: Any) -> None:
        self.rings = rings

    def ring(self, *_: object, **__: object) -> bool:
        self.rings.release()
        return True

    def close(self) -> None:
        """Nothing is open."""


def _slot(url: str, port: int, rings: Any, workers: int, batch_instances: int) -> Slot:
    return Slot(
        Ledger(url),
        _Bell(rings),  # type: ignore[arg-type]  # all that a slot asks of it
        {DESTINATION: Peer(RemoteAE("SINK", "127.0.0.1", port), "GURNEY", fast_path=True)},
        pool=SPOOL,
        lanes=(Lane.STAT, Lane.WORK),
        host_slots=2 * workers,
        limits=BatchLimits(instances=batch_instances),
        batch_seconds=30.0,
        draining=lambda: False,
        folders=Folders(()),
    )


def _work(pipe: Connection, parent: int, rings: Any, done: Any, url: str, slot_of: tuple[int, int, int]) -> None:
    """Be a worker process: for each go, answer rings until nothing is open; report how far memory rose."""
    tie_to_parent(parent)
    configure_logging("json", "warning")
    port, workers, batch_instances = slot_of
    process.prepare(lambda: _slot(url, port, rings, workers, batch_instances))
    process.begin()
    slot = process.slot()
    assert slot is not None
    ledger = Ledger(url)
    opened = select(exists().where(item_is(ItemState.READY, ItemState.RUNNING, ItemState.RETRY)))
    pipe.send(0)
    while pipe.recv():
        idle = _memory("VmRSS")
        _forget_peak()
        while not done.is_set():
            rings.acquire()
            if done.is_set():
                break
            slot.serve(DESTINATION, SPOOL)
            with ledger.read() as conn:
                if not conn.scalar(opened):
                    done.set()
                    for _ in range(workers):
                        rings.release()
        pipe.send(_memory("VmHWM") - idle)
    process.end()


def _memory(field_name: str) -> int:
    """Return one of this process's figures in KiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(field_name):
            return int(line.split()[1])
    raise SystemExit(f"no {field_name} in /proc/self/status")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


class Workers:
    """Worker processes that wait for a go, for the length of a ``with`` block."""

    def __init__(self, url: str, port: int, count: int, batch_instances: int) -> None:
        """Prepare so many workers for one ledger."""
        context = multiprocessing.get_context("spawn")
        self._rings, self._done = context.Semaphore(0), context.Event()
        self._pipes, self._processes = [], []
        for _ in range(count):
            ours, theirs = context.Pipe()
            arguments = (theirs, os.getpid(), self._rings, self._done, url, (port, count, batch_instances))
            self._pipes.append(ours)
            self._processes.append(context.Process(target=_work, args=arguments, daemon=True))

    def __enter__(self) -> Workers:
        """Start, and wait until each is open."""
        for worker in self._processes:
            worker.start()
        self._answers()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send(False)
        for worker in self._processes:
            worker.join(10)
            worker.kill()

    def run(self) -> tuple[float, float]:
        """Ring for what is due, until nothing is: seconds, and MiB by which the memory of any rose above idle."""
        self._done.clear()
        while self._rings.acquire(block=False):
            pass
        for pipe in self._pipes:
            pipe.send(True)
        time.sleep(0.05)
        begun = time.perf_counter()
        for _ in self._pipes:
            self._rings.release()
        risen = self._answers()
        return time.perf_counter() - begun, max(risen) / 1024

    def _answers(self) -> list[int]:
        answers = []
        for pipe in self._pipes:
            if not pipe.poll(PATIENCE):
                raise SystemExit(f"a worker did not answer for {PATIENCE:.0f} s")
            answers.append(pipe.recv())
        return answers


@dataclass
class Times:
    """What the rounds took, in seconds, ours and dcmsend's, and how memory rose, in MiB."""

    ours_big: list[float] = field(default_factory=list)
    ours_small: list[float] = field(default_factory=list)
    theirs_big: list[float] = field(default_factory=list)
    theirs_small: list[float] = field(default_factory=list)
    risen: list[float] = field(default_factory=list)


def measure(folder: Path, sink: Sink, kind: Kind, workers: int, rounds: int, batch_instances: int) -> Iterator[Figure]:
    """Send a kind with so many workers, each with one association, and with dcmsend, in turns."""
    stock, times = Stock(folder, kind, workers), Times()
    with Workers(stock.url, sink.port, workers, batch_instances) as ours:
        ours.run()  # what was just taken in: now they are warm
        for _ in range(rounds):
            times.theirs_big.append(dcmsend(sink.port, stock.big))
            stock.resend(stock.studies[0])
            seconds, risen = ours.run()
            times.ours_big.append(seconds)
            times.risen.append(risen)
            if kind.small:
                times.theirs_small.append(dcmsend(sink.port, stock.small))
                stock.resend(stock.studies[1])
                times.ours_small.append(ours.run()[0])
    stock.check()
    name = f"send {kind.name}, {workers} association{'s' if workers > 1 else ''} of {batch_instances}"
    bar = kind.bars[workers]
    yield Figure(
        f"{name}, whole", [theirs / our for our, theirs in zip(times.ours_big, times.theirs_big, strict=True)], bar
    )
    if kind.small:
        each = zip(times.ours_big, times.ours_small, times.theirs_big, times.theirs_small, strict=True)
        yield Figure(f"{name}, marginal", [(tb - ts) / (ob - os_) for ob, os_, tb, ts in each], bar)
    else:
        yield Figure("  its memory above idle, MiB", times.risen, 64.0, at_most=True)
    stock.ledger.dispose()


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description="Warm workers against tuned dcmsend")
    parser.add_argument("kinds", nargs="*", default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--workers", nargs="+", type=int, default=[1, 2])
    parser.add_argument(
        "--batch",
        nargs="+",
        type=int,
        default=[200, 0],
        help="instances on one association; 0: the corpus divided among the workers",
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; on a disk")
    options = parser.parse_args()
    configure_logging("json", "warning")
    met = True
    with tempfile.TemporaryDirectory(prefix="gurney-warm-", dir=options.folder) as work, Sink(Path(work)) as sink:
        for name in options.kinds:
            for workers in options.workers:
                for batch in options.batch:
                    if workers in KINDS[name].bars:
                        size = batch or KINDS[name].big // workers
                        for figure in measure(Path(work), sink, KINDS[name], workers, options.rounds, size):
                            print(figure, flush=True)
                            met &= figure.is_met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
