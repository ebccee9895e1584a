"""An orderly reload: what is sent meanwhile goes on afterwards, and at no moment is there a fault to be seen."""

from __future__ import annotations

import signal

import pytest

from gurney.pacs.testing import FakePacs
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_a_reload_is_no_fault_at_any_moment(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs))
    gurney = site.start()
    gurney.wait_until_ready()
    first, second = make_study(4), make_study(4)
    site.drop(*first)
    site.books.wait_until_stored(4)
    opened = len(gurney.events("slot_open"))
    gurney.head().send_signal(signal.SIGHUP)
    gurney.wait_for("reload_accepted")
    looks = 0
    while len(gurney.events("slot_open")) == opened or not looks:
        answer = site.run("status", "--json", check=False)
        assert answer.returncode == 0, answer.stdout
        looks += 1
    site.drop(*second)
    site.books.wait_until_stored(8)
    site.books.wait_until_complete()
    check(site.books, first + second, account_of(pacs))
    assert len(pacs.stored) == 8
    assert gurney.events("child_died") == gurney.events("child_killed") == []
