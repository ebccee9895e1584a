"""Two of everything on one folder and one ledger: each file is taken in once and sent once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from gurney.pacs.testing import FakePacs
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import Gurney, remote
from tests.faults.instances import make_study
from tests.services import wait_until
from tests.services.brokers import RedisServer

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def test_two_daemons_and_two_workers_share_the_work(redis_server: RedisServer, make_site: MakeSite) -> None:
    with FakePacs(limit=2) as pacs:
        site = make_site(remote(pacs, max_associations=2), broker_url=redis_server.url)
        site.run("migrate")
        daemons = [site.start("daemon"), site.start("daemon")]
        workers = [site.start("worker"), site.start("worker")]
        for worker in workers:
            worker.wait_for("slot_open")
        wait_until(lambda: sorted(_states(daemons)) == ["standby", "watching"], 30, "one daemon to watch")
        studies = [make_study(30) for _ in range(4)]
        sent = [instance for study in studies for instance in study]
        site.drop(*sent)
        site.books.wait_until_stored(len(sent))
        active, standby = sorted(daemons, key=lambda daemon: _states([daemon]) != ["watching"])
        active.kill()
        late = make_study(10)
        site.drop(*late)
        site.books.let_roles_run_out()
        site.books.wait_until_stored(len(sent) + len(late))
        site.books.wait_until_complete()
        check(site.books, sent + late, account_of(pacs))
        assert len(pacs.stored) == len(sent) + len(late), "nothing is sent twice"
        assert "rejected" not in pacs.endings, "no more associations than the destination allows"
        assert _states([standby]) == ["watching"]
        assert all(worker.events("batch_carried") for worker in workers)


def test_a_daemon_that_sleeps_past_its_role_does_not_take_the_folder_in_again(
    redis_server: RedisServer, pacs: FakePacs, make_site: MakeSite
) -> None:
    site = make_site(remote(pacs), broker_url=redis_server.url)
    site.run("migrate")
    sleeper = site.start("daemon")
    sleeper.wait_for("watch_state")
    site.start("worker")
    study, meanwhile, afterwards = make_study(4), make_study(4), make_study(4)
    site.drop(*study)
    site.books.wait_until_stored(4)
    sleeper.head().suspend()
    other = site.start("daemon")
    site.books.let_roles_run_out()
    site.drop(*meanwhile)
    site.books.wait_until_stored(8)
    sleeper.head().resume()
    site.drop(*afterwards)
    site.books.wait_until_stored(12)
    wait_until(lambda: _states([sleeper]) == ["standby"], 30, "the sleeper to see that it was replaced")
    site.books.wait_until_complete()
    check(site.books, study + meanwhile + afterwards, account_of(pacs))
    assert len(pacs.stored) == 12
    assert _states([other]) == ["watching"]


def test_a_second_up_on_a_data_folder_is_refused_and_the_first_goes_on(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs))
    gurney = site.start()
    gurney.wait_until_ready()
    second = site.run("up", check=False)
    assert second.returncode == 1
    assert str(gurney.head().pid) in second.stderr
    study = make_study(3)
    site.drop(*study)
    site.books.wait_until_stored(3)
    check(site.books, study, account_of(pacs))


def _states(daemons: Sequence[Gurney]) -> list[str]:
    """Return the last state of each daemon's watcher."""
    turns = [daemon.events("watch_state") for daemon in daemons]
    return [events[-1]["state"] for events in turns if events]
