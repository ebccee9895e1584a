"""Measure C-FIND, C-GET and C-MOVE beside tuned findscu, getscu and movescu: the same dcmqrscp, asked in turns.

    python -m benchmarks.retrieving [find] [get] [move] [memory] [--matches 10000] [--images 2000] [--rounds 5]
        [--folder DIR]

Find: the images of one series, with the same keys asked for; a row says how many times findscu's time we take. Each
match is judged and given out, as a program gets it; what findscu gets it throws away.

Get: CT images of 0.5 MB into a folder, by ``getscu +B`` (it writes what it receives) and by us. The first row is ours
writing as getscu does; the second one makes each file safe on disk (fsync) before it is told of, which is the default,
and which getscu never does: it says what the disk allows.
Move: the same images sent to us, by ``movescu +P +B`` and by a listener of ours, in the same two ways.
What counts is the marginal time per instance, (T_big - T_small) / (N_big - N_small), which cancels what either costs to
start.

Memory: how much more of it a process needs at most, for one image of 250 MB and for 100,000 matches taken as a stream.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from benchmarks.corpus import generate, instance
from benchmarks.figures import Figure, machine
from benchmarks.peers import TUNED, dcmtk_version
from gurney.pacs import DicomEngine, Level, Listener, Query, QueryRetrieveScu, RemoteAE, Retrieval, StoreScu, Timeouts
from gurney.pacs.testing import Answer, FakePacs, Operation, Respond
from tests.services.dcmtk import DcmQrScp
from tests.services.ports import free_port

__all__ = ["main"]

FIND_BAR, GET_BAR, MOVE_BAR, MEMORY_BAR = 3.0, 1.0, 1.0, 64.0
_OURS, _THEIRS = "GURNEY_QR", "MOVESCU"
SMALL_PART = 10
STREAMED = 100_000
_ROWS = ("find", "get", "move", "memory")
_TIMEOUTS = Timeouts(find=300, move=300)


@dataclass
class Archive:
    """A dcmqrscp and the studies in it, by name: UID of the study, of its series, of the SOP class, and the count."""

    remote: RemoteAE
    studies: dict[str, tuple[str, str, str, int]] = field(default_factory=dict)

    def fill(self, name: str, folder: Path) -> None:
        """Store a folder that holds one study."""
        paths = sorted(folder.iterdir())
        first = dcmread(paths[0], stop_before_pixels=True)
        stored = sum(result.is_stored for result in StoreScu("GURNEY").store_many(self.remote, paths))
        if stored != len(paths):
            raise SystemExit(f"{len(paths) - stored} instances were not stored")
        self.studies[name] = str(first.StudyInstanceUID), str(first.SeriesInstanceUID), str(first.SOPClassUID), stored


def find(archive: Archive, rounds: int) -> Iterator[Figure]:
    """Ask for the images of a series, in turns."""
    study, series, _, count = archive.studies["matches"]
    keys = [f"0020,000d={study}", f"0020,000e={series}", "0008,0018", "0008,0016", "0020,0013", "0008,0052=IMAGE"]
    command = [_program("findscu"), "-q", "-S", *_address(archive.remote)]
    for key in keys:
        command += ["-k", key]

    def ask(*, fast_path: bool) -> None:
        query = Query(level=Level.IMAGE, study_instance_uid=study, series_instance_uid=series)
        with QueryRetrieveScu("GURNEY", fast_path=fast_path).find(archive.remote, query) as search:
            found = sum(1 for _ in search)
        if found != count:
            raise SystemExit(f"{found} of {count} matches came")

    ratios, plain = [], []
    for _ in range(rounds):
        theirs = _timed(lambda: _run(command))
        ratios.append(_timed(lambda: ask(fast_path=True)) / theirs)
        plain.append(_timed(lambda: ask(fast_path=False)) / theirs)
    yield Figure(f"find of {count:,} matches, times findscu's time", ratios, FIND_BAR, at_most=True)
    yield Figure("the same, fast path off", plain)


def get(archive: Archive, rounds: int, folder: Path) -> Iterator[Figure]:
    """Retrieve CT images, in turns."""

    def getscu(name: str) -> None:
        study, _, _, count = archive.studies[name]
        with _emptied(folder / "getscu") as out:
            _run(
                [
                    *(_program("getscu"), "-q", "-S", "+B", "-pdu", "131072", *_address(archive.remote)),
                    *("-k", "0008,0052=STUDY", "-k", f"0020,000d={study}", "-od", str(out)),
                ]
            )
            _check(out, count)

    def ours(name: str, *, durable: bool) -> None:
        study, _, sop_class_uid, count = archive.studies[name]
        with _emptied(folder / "gurney") as out:
            _get(archive.remote, study, sop_class_uid, out, durable=durable)
            _check(out, count)

    ratios: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        theirs = _marginal(getscu, archive)
        for durable, samples in ratios.items():
            samples.append(theirs / _marginal(partial(ours, durable=durable), archive))
    yield Figure("get, CT, written as getscu writes", ratios[False], GET_BAR)
    yield Figure("get, CT, each file safe on disk (fsync)", ratios[True])


def move(archive: Archive, rounds: int, folder: Path, ports: dict[str, int]) -> Iterator[Figure]:
    """Have CT images sent to us, in turns."""

    def movescu(name: str) -> None:
        study, _, _, count = archive.studies[name]
        with _emptied(folder / "movescu") as out:
            _run(
                [
                    *(_program("movescu"), "-q", "-S", "+B", "-pdu", "131072", "-aet", _THEIRS, "-aem", _THEIRS),
                    *("+P", str(ports[_THEIRS]), *_address(archive.remote)),
                    *("-k", "0008,0052=STUDY", "-k", f"0020,000d={study}"),
                ],
                out,  # with +B it writes there whatever -od says
            )
            _check(out, count)

    def ours(name: str, *, durable: bool) -> None:
        study, _, _, count = archive.studies[name]
        what = Retrieval(study_instance_uid=study)
        with (
            _emptied(folder / "gurney") as out,
            Listener(_OURS, out, port=ports[_OURS], durable=durable) as listener,
        ):
            with QueryRetrieveScu(_OURS).move_to_self(archive.remote, what, listener) as arrivals:
                for _ in arrivals:
                    pass
            _check(out, count)

    ratios: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        theirs = _marginal(movescu, archive)
        for durable, samples in ratios.items():
            samples.append(theirs / _marginal(partial(ours, durable=durable), archive))
    yield Figure("move, CT, written as movescu writes", ratios[False], MOVE_BAR)
    yield Figure("move, CT, each file safe on disk (fsync)", ratios[True])


def memory(archive: Archive, folder: Path) -> Iterator[Figure]:
    """Say how much a large instance and a long answer take, each in a process of its own."""
    study, _, sop_class_uid, _ = archive.studies["large"]
    out = folder / "large-received"
    out.mkdir()
    grown = _in_a_process(lambda: _get(archive.remote, study, sop_class_uid, out))
    yield Figure("get, one image of 250 MB, memory above idle", [grown], MEMORY_BAR, at_most=True, unit="MiB")
    with FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer(_matches))
        query = Query(level=Level.STUDY)
        remote = RemoteAE("FAKE", "127.0.0.1", pacs.port, _TIMEOUTS)

        def stream() -> None:
            with QueryRetrieveScu("GURNEY").find(remote, query) as search:
                found = sum(1 for _ in search)
            if found != STREAMED:
                raise SystemExit(f"{found} of {STREAMED} matches came")

        grown = _in_a_process(stream)
    name = f"find, {STREAMED:,} matches as a stream, memory above idle"
    yield Figure(name, [grown], MEMORY_BAR, at_most=True, unit="MiB")


def _matches(_request: object) -> Iterator[Respond]:
    match = Dataset()
    match.QueryRetrieveLevel, match.StudyInstanceUID, match.PatientID = "STUDY", generate_uid(), "BENCH-1"
    match.StudyDate, match.StudyDescription = "20240229", "a description of some length"
    return (Respond(0xFF00, dataset=match) if place < STREAMED else Respond() for place in range(STREAMED + 1))


def _get(remote: RemoteAE, study: str, sop_class_uid: str, out: Path, *, durable: bool = True) -> None:
    scu = QueryRetrieveScu("GURNEY")
    with (
        scu.associate_to_get(remote, [sop_class_uid]) as association,
        association.get(Retrieval(study_instance_uid=study), out, durable=durable) as arrivals,
    ):
        for _ in arrivals:
            pass


def _marginal(way: Callable[[str], None], archive: Archive) -> float:
    """Return what one more instance costs, in seconds; noise may make it nothing, never less."""
    difference = _timed(lambda: way("big")) - _timed(lambda: way("small"))
    return max(difference, 1e-6) / (archive.studies["big"][3] - archive.studies["small"][3])


def _timed(action: Callable[[], None]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _in_a_process(action: Callable[[], None]) -> float:
    """Run it in a fresh process and return by how many MiB its memory grew at most."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def run() -> None:
        with DicomEngine():
            idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            action()
            theirs.send((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle) / 1024)

    child = context.Process(target=run)
    child.start()
    child.join()
    if child.exitcode:
        raise SystemExit("the measured process failed")
    return float(ours.recv())


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """Give a new folder, and empty its files: whoever writes next finds the same disk.

    They are not removed: for minutes ext4 passes over what was, one by one, when it looks for room for a new file's
    entry. With 2,000 of them that costs more than receiving, and whoever comes next would pay.
    """
    made = Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=folder.parent))
    try:
        yield made
    finally:
        for path in made.iterdir():
            os.truncate(path, 0)


def _check(out: Path, count: int) -> None:
    if (found := sum(1 for _ in out.iterdir())) != count:
        raise SystemExit(f"{found} of {count} instances came")


def _program(name: str) -> str:
    """Find DCMTK's program: pynetdicom has some of the same names, in the environment that we run in."""
    own = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != own)
    found = shutil.which(name, path=path)
    if found is None:
        raise SystemExit(f"measured against DCMTK's {name}: apt-get install dcmtk")
    return found


def _address(remote: RemoteAE) -> list[str]:
    return ["-aec", remote.ae_title, remote.host, str(remote.port)]


def _run(command: list[str], folder: Path | None = None) -> None:
    quiet = subprocess.DEVNULL
    subprocess.run(command, check=True, env=TUNED, timeout=600, stdout=quiet, stderr=quiet, cwd=folder)


def _small_instances(folder: Path, count: int) -> None:
    """Write so many instances of one series, as short as they can be."""
    folder.mkdir()
    study, series = generate_uid(), generate_uid()
    for number in range(1, count + 1):
        instance(study, series, number, (2, 2, 1)).save_as(folder / f"{number:06d}.dcm", enforce_file_format=True)


def main() -> None:
    """Read the arguments, run, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help="of find, get, move, memory; all by default")
    parser.add_argument("--matches", type=int, default=10_000)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work; a temporary one by default")
    options = parser.parse_args()
    rows = options.rows or list(_ROWS)
    if unknown := set(rows) - set(_ROWS):
        parser.error(f"no such row: {', '.join(unknown)}")
    print(f"{machine()}; DCMTK {dcmtk_version()} with TCP_NODELAY=1")
    missed = False
    with tempfile.TemporaryDirectory(prefix="gurney-retrieving-", dir=options.folder) as work, DicomEngine():
        folder = Path(work)
        (folder / "peer").mkdir()
        ports = {_OURS: free_port(), _THEIRS: free_port()}
        with DcmQrScp(folder / "peer", move_destinations=ports) as peer:
            archive = Archive(RemoteAE(peer.ae_title, "127.0.0.1", peer.port, _TIMEOUTS))
            for figure in _measure(rows, archive, folder, ports, options):
                print(figure, flush=True)
                missed |= not figure.is_met
    sys.exit(missed)


def _measure(
    rows: list[str], archive: Archive, folder: Path, ports: dict[str, int], options: argparse.Namespace
) -> Iterator[Figure]:
    if "find" in rows:
        _small_instances(folder / "matches", options.matches)
        archive.fill("matches", folder / "matches")
        yield from find(archive, options.rounds)
    if {"get", "move"} & set(rows):
        for name, count in (("big", options.images), ("small", options.images // SMALL_PART)):
            generate(folder / name, "ct", count)
            archive.fill(name, folder / name)
    if "get" in rows:
        yield from get(archive, options.rounds, folder)
    if "move" in rows:
        yield from move(archive, options.rounds, folder, ports)
    if "memory" in rows:
        generate(folder / "large", "large", 1)
        archive.fill("large", folder / "large")
        yield from memory(archive, folder)


if __name__ == "__main__":
    main()
