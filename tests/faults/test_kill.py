"""kill -9, of anything, at every step of a batch: nothing is lost, nothing falsely done, the study completes itself."""

from __future__ import annotations

import json

import psutil
import pytest

from gurney.pacs.testing import FakePacs
from tests.faults.books import Books, account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import Gurney, remote
from tests.faults.instances import Instance, make_study
from tests.faults.steps import STEPS, Step, request_sent

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def _kill(victim: str, up: Gurney, books: Books) -> None:
    match victim:
        case "worker child":
            (lease,) = books.leases("live")
            up.process(int(lease.worker.split(":")[1])).kill()
        case "worker":
            family = [up.worker(), *up.worker().children()]
            family[0].kill()
            _, alive = psutil.wait_procs(family, 20)
            assert not alive, "its children must not go on sending under leases that nobody watches"
        case "daemon":
            up.daemon().kill()
        case "broker":
            up.broker().kill()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_whatever_dies_in_a_batch_nothing_is_lost(step: Step, make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs, max_associations=1))
    up = site.start()
    up.wait_until_ready()
    sent: list[Instance] = []
    for victim in ("worker child", "worker", "daemon", "broker"):
        study = make_study(6)
        with step(site, pacs, study):
            _kill(victim, up, site.books)
        sent += study
        site.books.wait_until_stored(len(sent))
    site.books.wait_until_complete()
    check(site.books, sent, account_of(pacs))
    assert {line.attempts for line in site.books.items()} == {0}, "a death charges nobody"
    assert "standby" not in {event["state"] for event in up.events("watch_state")}, "the folder is taken up at once"
    assert len(site.books.leases("lost")) >= 2, "the worker's deaths must have cost a lease each"


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_a_supervisor_that_dies_leaves_nothing_running_and_its_next_life_goes_on(
    step: Step, make_site: MakeSite, pacs: FakePacs
) -> None:
    site = make_site(remote(pacs, max_associations=1))
    up = site.start()
    study = make_study(6)
    with step(site, pacs, study):
        up.kill()
    site.wait_until_ended()
    site.start()
    site.books.wait_until_stored(len(study))
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))


@pytest.mark.parametrize("victim", ["worker child", "worker", "everything"])
def test_who_is_seen_to_be_dead_holds_nothing_for_the_rest_of_its_lease(
    victim: str, make_site: MakeSite, pacs: FakePacs
) -> None:
    site = make_site(remote(pacs, max_associations=1), workers={"lease_seconds": 3600, "stat_slot": True})
    up = site.start()
    up.wait_until_ready()
    study = make_study(6)
    with request_sent(site, pacs, study):
        if victim == "everything":
            up.head().suspend()  # or it would start others in their place
            for process in site.processes():
                process.kill()
            site.wait_until_ended()
        else:
            _kill(victim, up, site.books)
    if victim == "everything":
        services = json.loads(site.run("status", "--json", check=False).stdout)["services"]
        assert (services["daemon"]["seen"], services["workers"]["seen"]) == (0, 0)
        site.start()
    site.books.wait_until_stored(len(study))
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))
    assert len(site.books.leases("lost")) == 1
