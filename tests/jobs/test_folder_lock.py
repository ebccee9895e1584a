"""One owner for a data folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gurney.jobs import FolderInUseError, FolderLock

OWN = """
import sys, time
from gurney.jobs import FolderLock
FolderLock(sys.argv[1]).acquire()
print("owned", flush=True)
time.sleep(60)
"""


def test_a_folder_has_one_owner_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(str(tmp_path)), FolderLock(str(tmp_path))
    first.acquire()
    first.acquire()
    with pytest.raises(FolderInUseError, match=f"process {os.getpid()}"):
        second.acquire()
    first.release()
    first.release()
    with second, pytest.raises(FolderInUseError):
        first.acquire()
    with first:
        pass


@pytest.mark.fault
def test_a_kill_9_gives_the_folder_back(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", OWN, str(tmp_path)], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        with pytest.raises(FolderInUseError, match=f"process {owner.pid}"):
            FolderLock(str(tmp_path)).acquire()
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        with FolderLock(str(tmp_path)):
            pass


def test_a_program_that_we_start_does_not_own_the_folder(tmp_path: Path) -> None:
    with FolderLock(str(tmp_path)):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with FolderLock(str(tmp_path)):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_forked_child_that_releases_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    with FolderLock(str(tmp_path)) as lock:
        child = os.fork()
        if child == 0:
            lock.release()
            os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(FolderInUseError):
            FolderLock(str(tmp_path)).acquire()


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(str(tmp_path / "absent")).acquire()


def test_who_owns_a_folder_is_known_to_others_only_while_it_does(tmp_path: Path) -> None:
    lock = FolderLock(str(tmp_path))
    assert lock.owner() is None
    with lock:
        assert FolderLock(str(tmp_path)).owner() == os.getpid()
    assert FolderLock(str(tmp_path)).owner() is None
