"""Measure receiving to disk: a receiver with its ledger beside ``storescp +B``, the same files and senders, in turns.

    python -m benchmarks.receiving CORPORA [ct] [tiny] [--associations 8] [--rounds 3]

CORPORA is a folder made by ``benchmarks.corpus``. DCMTK's ``storescu`` pushes over so many associations at once, with
TCP_NODELAY. Ours makes each instance safe and enters it in the ledger before it answers; ``storescp`` does neither.
The time runs from the first sender's start until the last has ended.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median

from benchmarks.peers import dcmtk_version
from gurney.ledger import destinations
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.schema import migrate
from gurney.transfer.routing import Door, compile_routes
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import open_spool
from gurney_daemon.receiving.doorkeeper import Doorkeeper
from gurney_daemon.receiving.receiver import ListensAt, Receiver, State
from tests.services.dcmtk import StoreScp
from tests.services.presence import program

__all__ = ["measure", "push"]

BAR = 0.8


def push(port: int, folders: Sequence[Path], called: str) -> float:
    """Push each folder over an association of its own, all at once; return the seconds."""
    environment = {**os.environ, "TCP_NODELAY": "1"}
    begun = time.perf_counter()
    senders = [
        subprocess.Popen(
            [program("storescu"), "-aec", called, "+sd", "127.0.0.1", str(port), str(folder)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for folder in folders
    ]
    codes = [sender.wait() for sender in senders]
    if any(codes):
        raise SystemExit("a sender failed")
    return time.perf_counter() - begun


def by_us(folder: Path, folders: Sequence[Path]) -> float:
    """Receive with a ledger and a spool of our own."""
    url = f"sqlite:///{folder}/ledger.sqlite3"
    migrate(url)
    ledger = Ledger(url)
    ledger.transact(destinations.sync, [DestinationSpec("archive", "ARCHIVE", "GURNEY")], "benchmark")
    routes = DoorRoutes(compile_routes([]), "main", ("archive",), door=Door.RECEIVE)
    receiver = Receiver(
        Source("main", door="receive"),
        ListensAt("GURNEY", "127.0.0.1", 0),
        Doorkeeper("main", ["GURNEY"]),
        ledger,
        open_spool(ledger, "main", str(folder / "spool")),
        routes,
        lambda _: None,
        holder="benchmark",
    )
    stop = threading.Event()
    thread = threading.Thread(target=receiver.run, args=(stop,))
    thread.start()
    try:
        while receiver.health.state is not State.RECEIVING:
            time.sleep(0.01)
        return push(receiver.port, folders, "GURNEY")
    finally:
        stop.set()
        thread.join()
        ledger.dispose()


def by_storescp(folder: Path, folders: Sequence[Path]) -> float:
    """Receive with DCMTK, a process for each association."""
    with StoreScp(folder, options=["--fork", "+B"]) as peer:
        return push(peer.port, folders, "STORESCP")


def measure(corpus: Path, associations: int, rounds: int, scratch: Path) -> Iterator[str]:
    """Run the rounds over one corpus and give its rows."""
    paths = sorted(corpus.iterdir())
    folders = [scratch / f"part{number}" for number in range(associations)]
    for folder in folders:
        folder.mkdir()
    for number, path in enumerate(paths):
        os.link(path, folders[number % associations] / path.name)
    seconds: dict[str, list[float]] = {"ours": [], "storescp +B": []}
    for _ in range(rounds):
        for name, receive in (("ours", by_us), ("storescp +B", by_storescp)):
            with tempfile.TemporaryDirectory(dir=scratch) as place:
                seconds[name].append(receive(Path(place), folders))
    for name, taken in seconds.items():
        yield f"{corpus.name}, {associations} associations, {name}: {len(paths) / median(taken):.0f} instances/s"
    ratio = median(seconds["storescp +B"]) / median(seconds["ours"])
    yield f"{corpus.name}, {associations} associations: {ratio:.2f} x storescp +B (bar {BAR})"
    for folder in folders:
        shutil.rmtree(folder)


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("names", nargs="*", default=["ct", "tiny"])
    parser.add_argument("--associations", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(dcmtk_version())
    # Beside the corpora, so that files can be linked, and that what is written goes to a disk.
    with tempfile.TemporaryDirectory(dir=options.corpora) as scratch:
        for name in options.names:
            for row in measure(options.corpora / name, options.associations, options.rounds, Path(scratch)):
                print(row)


if __name__ == "__main__":
    main()
