"""A database that crashes, or is away, in the middle of a batch."""

from __future__ import annotations

import signal
import time

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import LEASE_SECONDS, remote
from tests.faults.instances import make_study
from tests.faults.steps import STEPS, Step
from tests.services import wait_until
from tests.services.postgresql import PostgreSql

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_postgresql_crashes_in_the_middle_of_a_batch(
    make_site: MakeSite, pacs: FakePacs, postgres: PostgreSql, postgres_url: str
) -> None:
    site = make_site(remote(pacs, max_associations=1), ledger_url=postgres_url, workers={"lease_seconds": 30})
    study, next_study = make_study(6), make_study(6)
    first, gate = Gate(), Gate()
    pacs.on_instance(2, Respond(gate=first))
    pacs.on_instance(4, Respond(gate=gate))
    gurney = site.start()
    site.drop(*study)
    first.wait_until_reached()
    postgres.restart_immediately()
    first.open()
    gate.wait_until_reached()
    site.drop(*next_study)
    postgres.restart_immediately()
    gate.open()
    site.books.wait_until_stored(12)
    site.books.wait_until_complete()
    check(site.books, study + next_study, account_of(pacs))
    assert site.books.leases("lost") == [], "the worker outlives a restart with its lease"
    assert len(pacs.stored) == 12
    assert gurney.events("child_died") == []


def test_postgresql_is_away_for_longer_than_a_lease(
    make_site: MakeSite, pacs: FakePacs, postgres: PostgreSql, postgres_url: str
) -> None:
    site = make_site(remote(pacs, max_associations=1), ledger_url=postgres_url)
    study, next_study = make_study(6), make_study(6)
    gate = Gate()
    pacs.on_instance(3, Respond(gate=gate))
    gurney = site.start()
    site.drop(*study)
    gate.wait_until_reached()
    (lease,) = site.books.leases("live")
    postgres.stop(signal.SIGQUIT)
    gurney.wait_for("lease_lost")
    wait_until(lambda: time.time() > lease.until + LEASE_SECONDS, 30, "the lease to run out, renewed or not")
    gate.open()
    site.drop(*next_study)
    postgres.start()
    site.books.wait_until_stored(12)
    site.books.wait_until_complete()
    check(site.books, study + next_study, account_of(pacs))
    assert [one.id for one in site.books.leases("lost")] == [lease.id]
    assert gurney.events("child_died") == []


@pytest.mark.parametrize("step", STEPS[-2:], ids=lambda step: step.__name__)
def test_a_worker_dies_while_its_commit_waits_in_postgresql(
    step: Step, make_site: MakeSite, pacs: FakePacs, postgres_url: str
) -> None:
    site = make_site(remote(pacs, max_associations=1), ledger_url=postgres_url)
    gurney = site.start()
    study = make_study(6)
    with step(site, pacs, study):
        (lease,) = site.books.leases("live")
        gurney.process(int(lease.worker.split(":")[1])).kill()
    site.books.wait_until_stored(6)
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))
    assert [one.id for one in site.books.leases("lost")] == [lease.id]
