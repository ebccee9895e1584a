"""Daemon, worker and broker that run apart: what one of them leaves undone when it is lost."""

from __future__ import annotations

import signal

import pytest
import tomlkit

from gurney.pacs.testing import FakePacs
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import remote
from tests.faults.instances import make_study
from tests.services.brokers import RedisServer

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_workers_send_what_waits_when_the_daemon_is_gone_for_good(
    make_site: MakeSite, redis_server: RedisServer
) -> None:
    pacs = FakePacs()
    pacs.start()
    pacs.stop()
    site = make_site(remote(pacs), broker_url=redis_server.url)
    books = site.books
    daemon, worker = site.start("daemon"), site.start("worker")
    worker.wait_for("slot_open")
    study = make_study(6)
    site.drop(*study)
    books.wait_until(lambda: len(books.items()) == 6 and books.destination().breaker == "open", "a refused connection")
    daemon.kill()
    books.let_roles_run_out()
    redis_server.flush()
    with pacs:
        books.let_pass(3600)
        books.wait_until_stored(6, seconds=30)
        check(books, study, account_of(pacs))
    assert books.roles_held() == [], "a worker keeps no role from the daemon that will come"


def test_a_daemon_of_its_own_reloads_by_a_new_start_and_refuses_what_is_wrong(
    make_site: MakeSite, pacs: FakePacs, redis_server: RedisServer
) -> None:
    site = make_site(remote(pacs), broker_url=redis_server.url)
    books = site.books
    daemon = site.start("daemon")
    daemon.wait_for("daemon_started")
    good = site.config.read_text()
    site.config.write_text(good.replace("[[remote]]", "[[no_such_thing]]"))
    daemon.head().send_signal(signal.SIGHUP)
    daemon.wait_for("reload_refused")
    document = tomlkit.parse(good)
    document["watch"][0]["name"] = "renamed"  # type: ignore[index]
    site.config.write_text(tomlkit.dumps(document))
    pid = daemon.head().pid
    daemon.head().send_signal(signal.SIGHUP)
    books.wait_until(lambda: len(daemon.events("daemon_started")) == 2, "a new start")
    assert daemon.events("daemon_started")[1]["watches"] == ["renamed"]
    assert daemon.head().pid == pid
    daemon.stop()
