"""Who is gone for certain: never in doubt, never of another place."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gurney.ledger.processes import ProcessName

SAYS_ITS_NAME = """
from gurney.ledger.processes import ProcessName
import sys
print(ProcessName.of_this_process("work"), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], ProcessName]]:
    """Another process that lives, and its name."""
    with subprocess.Popen(
        [sys.executable, "-c", SAYS_ITS_NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        name = ProcessName.parse(process.stdout.readline().strip())
        assert name is not None
        yield process, name
        process.kill()


def test_a_name_is_read_as_it_was_written() -> None:
    name = ProcessName.of_this_process("work")
    assert ProcessName.parse(str(name)) == name
    assert (name.pid, name.role) == (os.getpid(), "work")
    assert len(str(replace(name, host="h" * 64))) <= 128


@pytest.mark.parametrize("text", ["", "h1:2:1", "h1:2:daemon", "h1:x:1:place:work", "h1:2:y:place:work"])
def test_what_is_no_such_name_says_nothing(text: str) -> None:
    assert ProcessName.parse(text) is None


def test_who_lives_is_not_gone_though_stopped(other: tuple[subprocess.Popen[str], ProcessName]) -> None:
    process, name = other
    assert not name.is_gone()
    process.send_signal(signal.SIGSTOP)
    assert not name.is_gone()
    process.send_signal(signal.SIGCONT)


def test_who_was_killed_is_gone_before_and_after_its_parent_looks(
    other: tuple[subprocess.Popen[str], ProcessName],
) -> None:
    process, name = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert name.is_gone(), "it is a zombie"
    process.wait()
    assert name.is_gone()


def test_a_number_that_is_used_again_is_another_process() -> None:
    name = ProcessName.of_this_process("work")
    assert not name.is_gone()
    assert replace(name, started=name.started - 1).is_gone()


def test_nothing_is_known_of_another_host_namespace_or_boot(
    other: tuple[subprocess.Popen[str], ProcessName],
) -> None:
    process, name = other
    process.kill()
    process.wait()
    assert name.is_gone()
    assert not replace(name, host="elsewhere").is_gone()
    assert not replace(name, place="0123456789ab").is_gone()
    assert not replace(name, place="").is_gone()
