"""The supervisor runs real processes: what dies comes back, what must end ends in order, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gurney.errors import BrokerError, GurneyError
from gurney_daemon.supervisor import Child, Supervisor
from tests.services import wait_until

# Notes its process id, and its end on SIGTERM.
CHILD = """
import os, signal, sys, time
name, folder = sys.argv[1:3]
def end(*_):
    with open(folder + "/ended", "a") as file: file.write(name + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if name == "stubborn" else end)
with open(f"{folder}/{name}.pids", "a") as file: file.write(f"{os.getpid()}\\n")
while True: time.sleep(0.05)
"""

# Runs a supervisor as `gurney up` does, in the main thread of a process of its own.
SUPERVISOR = """
import sys
from gurney_daemon.supervisor import Child, Supervisor
from gurney.observability import configure_logging
configure_logging("json")
code, folder, drain = sys.argv[1:4]
children = [Child(name, [sys.executable, "-c", code, name, folder], rank) for name, rank in
            (pair.split(":") for pair in sys.argv[4:]) for rank in [int(rank)]]
after = [Child("after", [sys.executable, "-c", code, "after", folder])]
Supervisor(children, drain_seconds=float(drain), reload=lambda: after).run()
"""


def supervise(folder: Path, *children: str, drain: float = 10.0) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SUPERVISOR, CHILD, str(folder), str(drain), *children])


def pids(folder: Path, name: str) -> list[int]:
    file = folder / f"{name}.pids"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_child_that_is_killed_comes_back(tmp_path: Path) -> None:
    with supervise(tmp_path, "a:0", "b:0") as supervisor:
        wait_until(lambda: pids(tmp_path, "a") and pids(tmp_path, "b"), what="both children")
        os.kill(pids(tmp_path, "a")[0], signal.SIGKILL)
        wait_until(lambda: len(pids(tmp_path, "a")) == 2, what="the restart")
        assert len(pids(tmp_path, "b")) == 1
        supervisor.terminate()
        assert supervisor.wait(10) == 0


def test_children_end_in_the_order_of_their_rank(tmp_path: Path) -> None:
    with supervise(tmp_path, "daemon:1", "worker:0") as supervisor:
        wait_until(lambda: pids(tmp_path, "daemon") and pids(tmp_path, "worker"), what="both children")
        supervisor.terminate()
        assert supervisor.wait(10) == 0
    assert (tmp_path / "ended").read_text().split() == ["worker", "daemon"]


def test_what_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    with supervise(tmp_path, "stubborn:0", drain=0.5) as supervisor:
        wait_until(lambda: pids(tmp_path, "stubborn"), what="the child")
        supervisor.terminate()
        assert supervisor.wait(10) == 0
    assert not lives(pids(tmp_path, "stubborn")[0])


def test_a_reload_ends_everything_and_runs_what_is_configured_now(tmp_path: Path) -> None:
    with supervise(tmp_path, "a:0", "b:1") as supervisor:
        wait_until(lambda: pids(tmp_path, "a") and pids(tmp_path, "b"), what="the children")
        supervisor.send_signal(signal.SIGHUP)
        wait_until(lambda: pids(tmp_path, "after"), what="the restart")
        assert (tmp_path / "ended").read_text().split() == ["a", "b"]
        supervisor.terminate()
        assert supervisor.wait(10) == 0
    assert len(pids(tmp_path, "a")) == len(pids(tmp_path, "after")) == 1


@pytest.mark.usefixtures("keep_signals")
def test_a_refused_reload_leaves_everything_as_it_is(tmp_path: Path) -> None:
    child = Child("a", [sys.executable, "-c", CHILD, "a", str(tmp_path)])
    answers: list[str] = []

    def refuse() -> list[Child]:
        raise GurneyError("it is wrong")

    supervisor = Supervisor([child], reload=refuse, answer=lambda _begun, refused: answers.append(refused))

    def script() -> None:
        wait_until(lambda: pids(tmp_path, "a"), what="the child")
        os.kill(os.getpid(), signal.SIGHUP)
        wait_until(lambda: answers, what="the answer")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=script)
    thread.start()
    supervisor.run()
    thread.join()
    assert answers == ["it is wrong"]
    assert len(pids(tmp_path, "a")) == 1


@pytest.mark.usefixtures("keep_signals")
def test_a_reload_is_answered_when_everything_runs_again(tmp_path: Path) -> None:
    def child(name: str) -> Child:
        return Child(name, [sys.executable, "-c", CHILD, name, str(tmp_path)])

    after = [child("after")]
    answers: list[tuple[int, str, bool]] = []

    def answer(begun: int, refused: str) -> None:
        answers.append((begun, refused, after[0].process is not None))
        os.kill(os.getpid(), signal.SIGTERM)

    def script() -> None:
        wait_until(lambda: pids(tmp_path, "a"), what="the child")
        os.kill(os.getpid(), signal.SIGHUP)

    thread = threading.Thread(target=script)
    thread.start()
    asked = time.monotonic_ns()
    Supervisor([child("a")], reload=lambda: after, answer=answer).run()
    thread.join()
    ((begun, refused, runs),) = answers
    assert begun > asked
    assert (refused, runs) == ("", True)


@pytest.mark.usefixtures("keep_signals")
def test_a_reload_that_cannot_start_a_child_says_so(tmp_path: Path) -> None:
    child = Child("a", [sys.executable, "-c", CHILD, "a", str(tmp_path)])
    answers: list[str] = []

    def answer(_begun: int, refused: str) -> None:
        answers.append(refused)
        os.kill(os.getpid(), signal.SIGTERM)

    def script() -> None:
        wait_until(lambda: pids(tmp_path, "a"), what="the child")
        os.kill(os.getpid(), signal.SIGHUP)

    thread = threading.Thread(target=script)
    thread.start()
    Supervisor([child], reload=lambda: [Child("b", [str(tmp_path / "missing")])], answer=answer).run()
    thread.join()
    assert answers == ["b can't be started, and is tried again"]


@pytest.mark.usefixtures("keep_signals")
def test_what_the_supervisor_cannot_mend_at_once_ends_nothing(tmp_path: Path) -> None:
    child = Child("a", [sys.executable, "-c", CHILD, "a", str(tmp_path)])
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(len(pids(tmp_path, "a")))
        if len(ticks) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        raise BrokerError("it does not come up")

    Supervisor([child], tick=tick).run()
    assert len(ticks) == 3
    assert len(pids(tmp_path, "a")) == 1


@pytest.mark.usefixtures("keep_signals")
def test_a_child_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "program"
    child = Child("a", [str(program), "a", str(tmp_path)])

    def script() -> None:
        wait_until(lambda: child.deaths >= 1, what="a failed start")
        program.write_text(f"#!{sys.executable}\n{CHILD}")
        program.chmod(0o755)
        wait_until(lambda: pids(tmp_path, "a"), what="the child")
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=script)
    thread.start()
    Supervisor([child]).run()
    thread.join()
    assert len(pids(tmp_path, "a")) == 1


@pytest.fixture
def keep_signals() -> object:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    yield None
    for number, handler in before.items():
        signal.signal(number, handler)
