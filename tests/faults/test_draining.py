"""SIGTERM: what is on the wire is finished, the rest is given back, and the next life goes on from there."""

from __future__ import annotations

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond, Stall
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_a_drained_site_gives_its_leases_back_and_sends_nothing_twice(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs, max_associations=1))
    study = make_study(8)
    gate = Gate()
    pacs.on_instance(3, Respond(gate=gate))
    gurney = site.start()
    site.drop(*study)
    gate.wait_until_reached()
    gurney.terminate()
    gurney.wait_for("worker_draining")
    gate.open()
    gurney.stop()
    books = site.books
    assert books.leases("live") == books.leases("lost") == []
    states = books.states()
    # The instance at the gate is finished; one more may have been under way behind it.
    assert 3 <= states[ItemState.DONE] <= 4
    assert states[ItemState.DONE] + states[ItemState.READY] == 8
    assert {(line.attempts, line.crash_suspect) for line in books.items()} == {(0, 0)}
    site.start()
    books.wait_until_stored(8)
    books.wait_until_complete()
    check(books, study, account_of(pacs))
    assert len(pacs.stored) == 8, "nothing is sent twice"


def test_a_peer_that_never_answers_does_not_keep_a_site_from_ending(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs, timeouts={"store": 2}))
    study = make_study(4)
    pacs.on_instance(1, Stall())
    gurney = site.start()
    site.drop(*study)
    site.books.wait_until(lambda: bool(site.books.leases("live")), "a lease")
    gurney.stop()
    assert gurney.events("child_killed") == []
    assert site.books.leases("live") == []
    site.start()
    site.books.let_pass_until_settled()
    check(site.books, study, account_of(pacs))
