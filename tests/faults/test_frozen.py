"""A worker that stands still for longer than its lease wakes up without any right to write."""

from __future__ import annotations

import signal

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import Gurney, remote
from tests.faults.instances import make_study
from tests.services import wait_until

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_a_worker_that_sleeps_past_its_lease_writes_nothing_when_it_wakes(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs))
    study = make_study(6)
    gate = Gate()
    pacs.on_instance(3, Respond(gate=gate))
    gurney = site.start()
    gurney.wait_until_ready()
    site.drop(*study)
    gate.wait_until_reached()
    (lease,) = site.books.leases("live")
    sleeper = gurney.process(int(lease.worker.split(":")[1]))
    sleeper.send_signal(signal.SIGSTOP)
    # The peer has stored the third and says so; nobody listens.
    gate.open()
    site.books.wait_until_stored(6)
    assert [one.id for one in site.books.leases("lost")] == [lease.id]
    before = site.books.attempts()
    sleeper.send_signal(signal.SIGCONT)
    wait_until(lambda: _woke_up(gurney, sleeper.pid), 30, "the sleeper to find its lease lost")
    site.books.wait_until_complete()
    assert site.books.attempts() == before
    assert set(site.books.states()) == {ItemState.DONE}
    check(site.books, study, account_of(pacs))


def _woke_up(gurney: Gurney, pid: int) -> bool:
    return any(event["pid"] == pid for event in gurney.events("batch_carried"))
