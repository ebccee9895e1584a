"""Measure the wire alone, no ledger: associations of ours beside tuned dcmsend, the same files and receiver, in turns.

    python -m benchmarks.sending CORPORA [ct] [tiny] [large] [--rounds 5]

CORPORA is a folder made by ``benchmarks.corpus``. What counts is the marginal time per instance, (T_big - T_small) /
(N_big - N_small), which cancels what either costs to start. Our headers are known beforehand, as a worker has them from
its ledger. Bars are those of a warm worker with its ledger, which ``benchmarks.warm_worker`` measures; here is what
they leave for it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figure, machine
from benchmarks.peers import Sink, dcmsend, dcmtk_version
from gurney.dicom.presentation import plan_contexts
from gurney.pacs import DicomEngine, RemoteAE, StoreRequest, StoreScu, request_for_file

__all__ = ["Load", "measure", "send"]

SMALL_PARTS = {"ct": 0.1, "tiny": 0.1, "large": 0.25}
BARS = {"ct": 1.5, "tiny": 1.5, "large": 1.0}
TWO_ASSOCIATIONS_BAR = 2.5


@dataclass(frozen=True)
class Load:
    """So many instances: a folder for dcmsend, requests for us."""

    folder: Path
    requests: list[StoreRequest]


def send(port: int, requests: Sequence[StoreRequest], *, fast_path: bool = True) -> None:
    """Associate, store, release; every instance must be stored."""
    (proposals,) = plan_contexts((one.sop_class_uid, one.transfer_syntax_uid) for one in requests)
    scu = StoreScu("GURNEY", fast_path=fast_path)
    with scu.associate(RemoteAE("SINK", "127.0.0.1", port), proposals) as association:
        stored = sum(result.is_stored for result in association.store(requests))
    if stored != len(requests):
        raise SystemExit(f"{len(requests) - stored} instances were not stored")


def send_twice(port: int, requests: Sequence[StoreRequest]) -> None:
    """Send from two processes, one association each."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_child, args=(port, requests[place::2])) for place in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise SystemExit("a sending process failed")


def _child(port: int, requests: Sequence[StoreRequest]) -> None:
    with DicomEngine():
        send(port, requests)


def measure(corpus: Path, port: int, rounds: int, folder: Path) -> Iterator[Figure]:
    """Run the rounds over one corpus and give its rows: how many times as fast as dcmsend."""
    paths = sorted(corpus.iterdir())
    big = _take(paths, folder / f"{corpus.name}-big")
    small = _take(paths[: max(1, round(len(paths) * SMALL_PARTS[corpus.name]))], folder / f"{corpus.name}-small")
    senders: dict[str, Callable[[Load], object]] = {
        "one association": lambda load: send(port, load.requests),
        "two processes": lambda load: send_twice(port, load.requests),
        "one association, fast path off": lambda load: send(port, load.requests, fast_path=False),
    }
    bars = {"one association": BARS[corpus.name], "two processes": TWO_ASSOCIATIONS_BAR}
    if corpus.name == "large":
        senders = {"one association": senders["one association"]}
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ratios: dict[str, list[float]] = {name: [] for name in senders}
    for _ in range(rounds):
        theirs = _marginal(lambda load: dcmsend(port, load.folder), big, small)
        for name, sender in senders.items():
            ratios[name].append(theirs / _marginal(sender, big, small))
    for name, samples in ratios.items():
        yield Figure(f"{corpus.name}, {name}", samples, bars.get(name))
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1024
    yield Figure(f"{corpus.name}, memory above idle", [grown], 64, at_most=True, unit="MiB")


def _take(paths: Sequence[Path], folder: Path) -> Load:
    folder.mkdir()
    for path in paths:
        os.symlink(path.resolve(), folder / path.name)
    return Load(folder, [request_for_file(path) for path in paths])


def _marginal(sender: Callable[[Load], object], big: Load, small: Load) -> float:
    """Return what one more instance costs, in seconds; noise may make it nothing, never less."""
    difference = _timed(sender, big) - _timed(sender, small)
    return max(difference, 1e-6) / (len(big.requests) - len(small.requests))


def _timed(sender: Callable[[Load], object], load: Load) -> float:
    begun = time.perf_counter()
    sender(load)
    return time.perf_counter() - begun


def main() -> None:
    """Read the arguments, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(SMALL_PARTS)}; all by default")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if unknown := set(options.kinds) - set(SMALL_PARTS):
        parser.error(f"no such kind: {', '.join(unknown)}")
    print(f"{machine()}; dcmsend {dcmtk_version()} with TCP_NODELAY=1")
    with tempfile.TemporaryDirectory(prefix="gurney-sending-") as work, Sink(Path(work)) as sink, DicomEngine():
        for kind in options.kinds or SMALL_PARTS:
            for figure in measure(options.corpora / kind, sink.port, options.rounds, Path(work)):
                print(figure, flush=True)


if __name__ == "__main__":
    main()
