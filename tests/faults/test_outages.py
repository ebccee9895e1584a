"""Outages that last longer than any budget: no instance is charged, none fails, and all goes out when they end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gurney.pacs.testing import Accept, Break, FakePacs, How, Reject, Respond, Stall
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]

DAYS, STEP_HOURS = 5, 12
OUTAGES: dict[str, Callable[[FakePacs], None]] = {
    "down": lambda pacs: pacs.stop(),
    "failing": lambda pacs: pacs.always(Respond(0xC000)),
    "full": lambda pacs: pacs.always(Respond(0xA700)),
    "aborting": lambda pacs: pacs.always(Break()),
    "resetting": lambda pacs: pacs.always(Break(How.RESET)),
    "silent": lambda pacs: pacs.always(Stall()),
    "rejecting": lambda pacs: pacs.always(Reject(1, 1, 3)),
}


def test_nothing_fails_while_a_destination_is_away_for_days(make_site: MakeSite) -> None:
    peers = {name: FakePacs() for name in OUTAGES}
    for name, begin in OUTAGES.items():
        peers[name].start()
        begin(peers[name])
    site = make_site(*(remote(pacs, name, timeouts={"store": 1}) for name, pacs in peers.items()))
    studies = [make_study(6), make_study(6)]
    site.start()
    site.drop(*studies[0], *studies[1])
    books = site.books
    books.wait_until(lambda: len(books.items()) == 12 * len(peers), "every item to be there")
    for _ in range(DAYS * 24 // STEP_HOURS):
        books.wait_until_idle()
        books.let_pass(STEP_HOURS * 3600)
    books.wait_until_idle()
    for name in peers:
        assert set(books.states(name)) <= {ItemState.READY, ItemState.RETRY}, name
        assert books.destination(name).breaker == "open", name
    assert {line.attempts for line in books.items("down")} == {0}
    assert {line.attempts for line in books.items("rejecting")} == {0}
    assert "GURNEY" in books.destination("rejecting").hold_reason

    for pacs in peers.values():
        pacs.always(Respond())
        pacs.always(Accept())
        pacs.start()
    books.let_pass_until_settled()
    books.wait_until_complete()
    for name, pacs in peers.items():
        check(books, [*studies[0], *studies[1]], account_of(pacs), destination=name)
        assert books.destination(name).breaker == "closed"
        assert books.destination(name).hold_reason == ""
        pacs.stop()
