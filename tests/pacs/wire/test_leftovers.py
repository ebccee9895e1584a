"""What a process that is killed leaves in a folder, and that nobody else's is touched."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gurney.pacs import AssociationLost, Listener, QueryRetrieveScu, Retrieval, StoreScu, Timeouts
from gurney.pacs.remote import RemoteAE
from gurney.pacs.testing import Answer, FakePacs, Operation, Send, Stall
from gurney.pacs.wire.arrival import Arrival
from gurney.pacs.wire.leftovers import clear_leftovers, incoming_name
from tests.pacs.conftest import CT, study_of
from tests.pacs.datasets import noise
from tests.services.waiting import wait_until

SYNTAX = "1.2.840.10008.1.2.1"
TIMEOUTS = Timeouts(acse=20, store=20, move=60, network=60)
INSTANCES = [study_of(1, size=200_000) for _ in range(3)]
for number, one in enumerate(INSTANCES, start=1):
    one.SOPInstanceUID = f"1.2.3.1.1.{number}"
WHAT = Retrieval(study_instance_uid="1.2.3.1")

GETS = """
import sys
from gurney.pacs import DicomEngine, QueryRetrieveScu, RemoteAE, Retrieval
with DicomEngine():
    scu, remote = QueryRetrieveScu(), RemoteAE("FAKEPACS", "127.0.0.1", int(sys.argv[1]))
    for received in scu.get(remote, Retrieval(study_instance_uid="1.2.3.1"), sys.argv[2], [sys.argv[3]]):
        pass
"""
# It stands still between the last byte of an instance and its name.
LISTENS = """
import os, sys, time
from pathlib import Path
from gurney.pacs import DicomEngine, Listener
os.fsync = lambda fd: time.sleep(600)
with DicomEngine(), Listener("SELF", Path(sys.argv[1])) as listener:
    print(listener.port, flush=True)
    time.sleep(600)
"""


def on_their_way(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(".incoming-")]


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait(20)


@contextmanager
def python(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([sys.executable, "-c", *arguments], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            kill(process)


def test_a_get_that_was_killed_leaves_nothing_for_long(tmp_path: Path) -> None:
    with FakePacs(holdings=INSTANCES) as pacs:
        pacs.on_request(
            Operation.C_GET, Answer((Send(INSTANCES[0]), Send(INSTANCES[1]), Send(INSTANCES[2], middle=Stall())))
        )
        with python(GETS, str(pacs.port), str(tmp_path), CT) as process:
            wait_until(lambda: len([*tmp_path.iterdir()]) == 3 and on_their_way(tmp_path), what="half an instance")
            assert clear_leftovers(tmp_path) == 0
            kill(process)
        assert on_their_way(tmp_path)
        got = QueryRetrieveScu().get(pacs.remote(TIMEOUTS), WHAT, tmp_path, [CT])
        assert len([*got]) == 3
    assert {path.name for path in tmp_path.iterdir()} == {f"{one.SOPInstanceUID}.dcm" for one in INSTANCES}


def test_a_listener_that_was_killed_leaves_nothing_for_long(tmp_path: Path) -> None:
    with python(LISTENS, str(tmp_path)) as process:
        assert process.stdout is not None
        remote = RemoteAE("SELF", "127.0.0.1", int(process.stdout.readline()), TIMEOUTS)
        with ThreadPoolExecutor(1) as sending:
            sent = sending.submit(StoreScu().store, remote, INSTANCES[0])
            wait_until(lambda: on_their_way(tmp_path), what="an instance that has no name yet")
            with Listener("OTHER", tmp_path):
                assert len(on_their_way(tmp_path)) == 1
            kill(process)
            assert isinstance(sent.exception(20), AssociationLost)
    assert len(on_their_way(tmp_path)) == 1
    with Listener("OTHER", tmp_path):
        assert not [*tmp_path.iterdir()]


# --- Whose files they are ---------------------------------------------------------------------------------------------


def test_only_what_nobody_holds_goes(tmp_path: Path) -> None:
    (tmp_path / incoming_name()).write_bytes(b"left")
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(noise("1.2.3", "1.2.3.4"))
    assert clear_leftovers(tmp_path) == 1
    assert arrival.close() == 0
    arrival.settle()
    assert [path.name for path in tmp_path.iterdir()] == ["1.2.3.4.dcm"]


def test_what_is_another_hosts_or_nobodys_stays(tmp_path: Path) -> None:
    """The name of another boot is that of another host; what only looks like one of ours is somebody's own."""
    name = incoming_name()
    _, boot, run, pid, number = name[1:].split("-")
    assert len(boot) == 16
    for other in (
        f".incoming-{'0' * 16}-{run}-{pid}-{number}",
        f"{name}.dcm",
        f"x{name}",
        f".incoming-{run}-{pid}-{number}",
        ".incoming-mine",
    ):
        (tmp_path / other).write_bytes(b"somebody's")
    (tmp_path / incoming_name()).mkdir()
    os.mkfifo(tmp_path / incoming_name())
    (tmp_path / incoming_name()).symlink_to(tmp_path / ".incoming-mine")
    before = sorted(tmp_path.iterdir())
    assert clear_leftovers(tmp_path) == 0
    assert sorted(tmp_path.iterdir()) == before


def test_a_name_says_under_which_boot_it_was_given() -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:16]
    assert re.fullmatch(rf"\.incoming-{boot}-[0-9a-f]{{16}}-{os.getpid()}-[0-9]+", incoming_name())
    assert incoming_name() != incoming_name()


def test_who_is_cleared_away_before_it_holds_its_file_makes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, cleared = fcntl.flock, list[int]()

    def late(fd: int, operation: int) -> None:
        if not cleared:
            cleared.append(0)
            cleared[0] = clear_leftovers(tmp_path)
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(noise("1.2.3", "1.2.3.4"))
    assert cleared == [1]
    assert arrival.close() == 0
    arrival.settle()
    assert [path.name for path in tmp_path.iterdir()] == ["1.2.3.4.dcm"]


def test_where_there_are_no_locks_instances_come_and_nothing_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(_fd: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", unknown)
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(noise("1.2.3", "1.2.3.4"))
    assert clear_leftovers(tmp_path) == 0
    assert arrival.close() == 0
    arrival.settle()


def test_a_folder_that_is_not_there_has_nothing_left_in_it(tmp_path: Path) -> None:
    assert clear_leftovers(tmp_path / "nowhere") == 0
