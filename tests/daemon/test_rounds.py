"""Chores go round: one that fails stops no other, one daemon at a time does them, and no name gets into the log."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from gurney.errors import GurneyError
from gurney.ledger import roles
from gurney_daemon.rounds import Chore, Rounds
from tests.ledger.world import World
from tests.services import wait_until


@contextmanager
def going_round(world: World, chores: Sequence[Chore], holder: str = "one") -> Iterator[None]:
    stop = threading.Event()
    rounds = Rounds("sweeper", world.ledger, chores, holder=holder, seconds=15.0)
    thread = threading.Thread(target=rounds.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("error", [OSError(5, "Input/output error", b"/data/DOE^JOHN.dcm"), GurneyError("away")])
def test_a_chore_that_fails_stops_no_other(world: World, error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    failures: list[int] = []
    done = threading.Event()

    def fail() -> None:
        failures.append(1)
        raise error

    with going_round(world, [Chore(0.1, fail), Chore(0.1, done.set)]):
        assert done.wait(10)
        wait_until(lambda: len(failures) > 1, what="another try")
    shown = capsys.readouterr()
    assert "DOE" not in shown.out + shown.err


def test_a_second_daemon_stands_by_until_the_first_resigns(world: World) -> None:
    first, second = threading.Event(), threading.Event()
    with going_round(world, [Chore(0.1, first.set)], "one"):
        assert first.wait(10)
        with going_round(world, [Chore(0.1, second.set)], "two"):
            assert not second.wait(1.0)
    assert world.ledger.transact(roles.assume, "sweeper", "three") is not None
