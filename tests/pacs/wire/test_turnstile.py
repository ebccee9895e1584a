from __future__ import annotations

import threading
import time

from gurney.pacs.wire.turnstile import Turnstile
from tests.services import wait_until


class Traveller(threading.Thread):
    """Pass a turnstile again and again, counting what would be harm if it happened while the turnstile is closed."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.turnstile = Turnstile(self)
        self.steps = 0
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            self.turnstile.wait()
            before = self.steps
            time.sleep(0)
            self.steps = before + 1


def test_nothing_moves_once_clear_has_returned() -> None:
    traveller = Traveller()
    traveller.start()
    for _ in range(500):
        traveller.turnstile.clear()
        assert traveller.turnstile.is_standing
        seen = traveller.steps
        time.sleep(0)
        assert traveller.steps == seen
        traveller.turnstile.set()
    traveller.stopping = True
    traveller.join(5)
    assert not traveller.is_alive()


def test_who_was_let_go_has_passed_before_it_closes_again() -> None:
    """Else what was left for the traveller to do in between would lie there for as long as it is closed."""
    traveller = Traveller()
    traveller.start()
    traveller.turnstile.clear()
    for _ in range(500):
        seen = traveller.steps
        traveller.turnstile.set()
        traveller.turnstile.clear()
        assert traveller.turnstile.is_standing
        assert traveller.steps > seen
    traveller.stopping = True
    traveller.turnstile.set()
    traveller.join(5)
    assert not traveller.is_alive()


def test_clear_does_not_wait_for_the_dead_or_the_unborn() -> None:
    unborn = Traveller()
    unborn.turnstile.clear()
    assert not unborn.turnstile.is_set()
    unborn.start()
    wait_until(lambda: unborn.turnstile.is_standing, what="it to stand still")
    assert unborn.steps == 0
    unborn.stopping = True
    unborn.turnstile.set()
    unborn.join(5)
    unborn.turnstile.clear()


def test_clear_returns_when_the_traveller_dies_on_the_way() -> None:
    traveller = Traveller()
    traveller.stopping = True
    traveller.start()
    traveller.turnstile.clear()
    assert not traveller.is_alive()


def test_the_traveller_may_close_it_itself() -> None:
    closed: list[bool] = []

    class Closer(threading.Thread):
        def run(self) -> None:
            turnstile.clear()
            closed.append(not turnstile.is_set())

    closer = Closer()
    turnstile = Turnstile(closer)
    closer.start()
    closer.join(5)
    assert closed == [True]


def test_a_traveller_that_rests_elsewhere_is_woken_to_come() -> None:
    woken, stopping = threading.Event(), threading.Event()

    def travel() -> None:
        while not stopping.is_set():
            woken.wait()
            woken.clear()
            turnstile.wait()

    traveller = threading.Thread(target=travel, daemon=True)
    turnstile = Turnstile(traveller, wake=woken.set)
    traveller.start()
    turnstile.clear()
    assert turnstile.is_standing
    stopping.set()
    turnstile.set()
    traveller.join(5)
    assert not traveller.is_alive()
