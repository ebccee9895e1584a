"""Measure the whole chain of a running ``gurney up``, from a file in a watched folder to the PACS.

    python -m benchmarks.chain [drop] [latency] [--rounds 7] [--images 40] [--folder DIR]

drop: 2,000 CT of 0.5 MB are renamed into the watched folder one after the other, as fast as that goes; the time runs
from the first rename until the receiver has stored the last. In turns with it tuned dcmsend sends the same files to the
same receiver, from the start of its process until the receiver has stored the last. Each round has new UIDs.

latency: one CT is written into the folder of an idle system; the time runs from its close until the receiver has
stored it, less the settle time that is configured.

Everything is as shipped (SQLite, embedded broker, two workers, two associations) but the settle time of 0.5 s.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.corpus import generate
from benchmarks.figures import Figure
from benchmarks.peers import Sink, dcmsend
from gurney.ledger.database import Ledger
from gurney.ledger.models import Item
from gurney.transfer.states import ItemState

__all__ = ["Up", "drop", "latency"]

SETTLE_SECONDS = 0.5
_ENDING = 60.0
_CONFIGURATION = """
[node]
data_dir = "{data}"
[log]
level = "warning"
[[remote]]
name = "archive"
ae_title = "SINK"
host = "127.0.0.1"
port = {port}
[[watch]]
name = "ct1"
path = "{watched}"
settle_seconds = {settle}
send_to = ["archive"]
"""
# pydicom's root and ours: of one length, so that a file is stamped anew without being written anew.
_ROOT, _STAMPED = rb"1\.2\.826\.0\.1\.3680043\.8\.498\.", b"1.2.826.0.1.3680043.8.%03d."
_HEADER = 4096


class Up:
    """A ``gurney up`` that sends one folder to the sink, for the length of a ``with`` block."""

    def __init__(self, folder: Path, port: int) -> None:
        """Write its configuration."""
        self.watched, self._data = folder / "watched", folder / "data"
        self.watched.mkdir()
        self._config, self._log = folder / "gurney.toml", folder / "up.log"
        words = _CONFIGURATION.format(data=self._data, port=port, watched=self.watched, settle=SETTLE_SECONDS)
        self._config.write_text(words, encoding="utf-8")

    def __enter__(self) -> Up:
        """Start it; files that come before it watches are found by its first scan."""
        command = [sys.executable, "-m", "gurney_daemon", "--config", str(self._config), "up"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        return self

    def __exit__(self, *_: object) -> None:
        """Let it drain."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def await_settled(self, count: int) -> None:
        """Wait until so many items are DONE in the ledger and nothing else is there."""
        ledger = Ledger(f"sqlite:///{self._data}/ledger.sqlite3")
        states: dict[int, int] = {}
        for _ in range(100):
            with ledger.read() as conn:
                rows = conn.execute(select(Item.state, func.count().label("n")).group_by(Item.state)).all()
            states = {row.state: row.n for row in rows}
            if states == {ItemState.DONE: count}:
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"not a valid run: {states}, not {count} items DONE; see {self._log}")
        ledger.dispose()


def stamp(source: Path, target: Path, number: int) -> None:
    """Copy files under UIDs of their own for each number below 900."""
    target.mkdir(parents=True)
    for path in sorted(source.iterdir()):
        content = path.read_bytes()
        header = re.sub(_ROOT, _STAMPED % (100 + number), content[:_HEADER])
        assert len(header) == len(content[:_HEADER])
        assert header != content[:_HEADER]
        (target / path.name).write_bytes(header + content[_HEADER:])


def drop(up: Up, sink: Sink, corpus: Path, folder: Path, rounds: int) -> Iterator[Figure]:
    """Drop a corpus into the folder, in turns with dcmsend; the first round is not counted."""
    count, ratios, rates, done = len(list(corpus.iterdir())), [], [], 0
    for number in range(rounds + 1):
        staged = folder / "staged"
        stamp(corpus, staged, number)
        time.sleep(2 * SETTLE_SECONDS)  # as old as a file that an export renames: settled at first sight
        stored, begun = sink.stored, time.perf_counter()
        dcmsend(sink.port, staged)
        theirs = sink.await_stored(stored + count) - begun
        stored, begun = sink.stored, time.perf_counter()
        for name in sorted(os.listdir(staged)):
            os.rename(staged / name, up.watched / f"{number}-{name}")
        ours = sink.await_stored(stored + count) - begun
        done += count
        up.await_settled(done)
        staged.rmdir()
        if number:
            ratios.append(theirs / ours)
            rates.append(count / ours)
    yield Figure(f"folder to PACS, {count:,} CT at once", ratios, 1.0)
    yield Figure("  instances a second", rates, unit="/s")


def latency(up: Up, sink: Sink, corpus: Path, folder: Path, images: int) -> Iterator[Figure]:
    """Write one image after the other, each when the one before has been stored for a while."""
    stamp(corpus, folder / "single", 899)
    samples = []
    for path in sorted((folder / "single").iterdir())[: images + 1]:
        content, stored = path.read_bytes(), sink.stored
        with (up.watched / f"single-{path.name}").open("wb") as file:
            file.write(content)
        closed = time.perf_counter()
        samples.append(1000 * (sink.await_stored(stored + 1) - closed - SETTLE_SECONDS))
        time.sleep(0.25)
    shutil.rmtree(folder / "single")
    yield Figure("latency beyond the settle time", samples[1:], 100.0, at_most=True, unit="ms")


def measure(
    folder: Path, sink: Sink, wanted: list[str], *, count: int = 2000, rounds: int = 7, images: int = 40
) -> Iterator[Figure]:
    """Start ``gurney up`` and measure what is wanted of it."""
    corpus = folder / "chain-corpus"
    generate(corpus, "ct", count if "drop" in wanted else images + 1)
    up = Up(folder, sink.port)
    with up:
        if "drop" in wanted:
            yield from drop(up, sink, corpus, folder, rounds)
        if "latency" in wanted:
            yield from latency(up, sink, corpus, folder, images)


def main() -> int:
    """Print the figures; 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description="From a watched folder to the PACS")
    parser.add_argument("wanted", nargs="*", default=["drop", "latency"], metavar="ROW", help="drop, latency")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="where to work; on a disk")
    options = parser.parse_args()
    met = True
    with tempfile.TemporaryDirectory(prefix="gurney-chain-", dir=options.folder) as work, Sink(Path(work)) as sink:
        for figure in measure(Path(work), sink, options.wanted, rounds=options.rounds, images=options.images):
            print(figure, flush=True)
            met &= figure.is_met
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
