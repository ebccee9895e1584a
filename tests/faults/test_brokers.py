"""The broker is a doorbell: whatever becomes of it costs seconds and no instance."""

from __future__ import annotations

import signal

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study
from tests.services.brokers import RedisServer

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_a_broker_that_forgets_everything(make_site: MakeSite, pacs: FakePacs, redis_server: RedisServer) -> None:
    site = make_site(remote(pacs, max_associations=1), broker_url=redis_server.url)
    under_way, waiting = make_study(4), make_study(4)
    gate = Gate()
    pacs.on_instance(2, Respond(gate=gate))
    site.start()
    site.drop(*under_way)
    gate.wait_until_reached()
    site.drop(*waiting)
    site.books.wait_until(lambda: len(site.books.items()) == 8, "the second study to be taken in")
    redis_server.flush()
    gate.open()
    site.books.wait_until_stored(8)
    site.books.wait_until_complete()
    check(site.books, under_way + waiting, account_of(pacs))
    assert site.books.leases("lost") == []


def test_a_broker_that_is_away_for_a_while(make_site: MakeSite, pacs: FakePacs, redis_server: RedisServer) -> None:
    site = make_site(remote(pacs, max_associations=1), broker_url=redis_server.url)
    under_way, meanwhile, afterwards = make_study(4), make_study(4), make_study(4)
    gate = Gate()
    pacs.on_instance(2, Respond(gate=gate))
    gurney = site.start()
    site.drop(*under_way)
    gate.wait_until_reached()
    redis_server.kill()
    gate.open()
    site.books.wait_until_stored(4)
    site.drop(*meanwhile)
    site.books.wait_until(lambda: len(site.books.items()) == 8, "intake to go on without a broker")
    redis_server.start()
    site.books.wait_until_stored(8)
    site.drop(*afterwards)
    site.books.wait_until_stored(12)
    site.books.wait_until_complete()
    check(site.books, under_way + meanwhile + afterwards, account_of(pacs))
    assert site.books.leases("lost") == []
    assert gurney.events("child_died") == [], "workers outlive their broker"


def test_an_embedded_broker_that_hangs_is_replaced(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs))
    gurney = site.start()
    gurney.wait_until_ready()
    broker = gurney.broker()
    broker.send_signal(signal.SIGSTOP)
    study = make_study(4)
    site.drop(*study)
    site.books.wait_until_stored(4)
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))
    assert gurney.broker().pid != broker.pid
