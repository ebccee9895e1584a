"""A share whose server has gone: reads hang for ever. The rest goes on, the slot comes back, the one instance waits."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from gurney.pacs.testing import FakePacs, Gate, Respond
from gurney.transfer.states import ItemState
from tests.faults.books import account_of, check
from tests.faults.conftest import MakeSite
from tests.faults.harness import Gurney, Site, remote
from tests.faults.instances import Instance, make_study
from tests.services import wait_until
from tests.services.hanging import hanging_file

pytestmark = [pytest.mark.fault, pytest.mark.slow]

IMPATIENT = {"connect": 1, "acse": 1, "store": 2}
WEEKEND = 60 * 3600.0
WORKERS = {"processes": 1, "lease_seconds": 2}


def _begin(site: Site, pacs: FakePacs, study: Sequence[Instance]) -> tuple[Gurney, Instance, Path, Gate]:
    """Let a study be on its way up to a gate in its middle; return its last instance as it is sent, and its file."""
    gate = Gate()
    pacs.on_instance(len(study) // 2, Respond(gate=gate))
    gurney = site.start()
    site.drop(*study)
    gate.wait_until_reached()
    last = site.books.items()[-1].sop_instance_uid
    (victim,) = [instance for instance in study if instance.sop_instance_uid == last]
    (path,) = site.inbox.rglob(victim.file_name)
    return gurney, victim, path, gate


def test_a_file_that_hangs_costs_itself_and_nobody_else(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs, max_associations=1, timeouts=IMPATIENT), workers=WORKERS)
    study, late = make_study(6), make_study(3)
    gurney, victim, path, gate = _begin(site, pacs, study)
    with hanging_file(path):  # the spool's link to it hangs alike
        gate.open()
        gurney.wait_for("process_given_up")
        site.drop(*late)
        site.books.wait_for({ItemState.DONE: 8, ItemState.RETRY: 1})
        site.books.let_pass(WEEKEND)
        wait_until(lambda: len(gurney.events("process_given_up")) == 2, 75, "it to hang again")
        site.books.wait_for({ItemState.DONE: 8, ItemState.RETRY: 1})
        (waiting,) = [line for line in site.books.items() if line.state is ItemState.RETRY]
        assert waiting.sop_instance_uid == victim.sop_instance_uid
        assert "hangs" in waiting.words
        assert {line.crash_suspect for line in site.books.items()} == {0}, "no worker died of them"
    site.books.let_pass(WEEKEND)
    site.books.wait_until_stored(9)
    site.books.wait_until_complete()
    check(site.books, study + late, account_of(pacs))
    assert len(gurney.events("batch_stuck")) == 2
    assert {"destination", "lease", "worker", "seconds"} <= gurney.events("batch_stuck")[0].keys()
    assert gurney.events("child_died") == [], "only the one process ends"


def test_a_worker_with_a_file_that_hangs_drains_all_the_same(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs, max_associations=1, timeouts=IMPATIENT), workers=WORKERS)
    study = make_study(6)
    gurney, _, path, gate = _begin(site, pacs, study)
    with hanging_file(path) as hanging:
        gate.open()
        hanging.wait_until_read()
        gurney.stop()
        assert gurney.events("child_killed") == []
    site.start()
    site.books.wait_until_stored(len(study))
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))


# As `gurney up` runs where no broker server can be had.
IN_ONE_PROCESS = """
import sys
from gurney.ledger.schema import migrate
from gurney.observability import configure_logging
from gurney.settings import load
from gurney_daemon.one_process import run_in_one_process
settings = load(sys.argv[1])
configure_logging(settings.log.format, settings.log.level)
migrate(settings.ledger_url)
run_in_one_process(settings, drain_seconds=1)
"""


def test_in_one_process_the_slot_is_lost_aloud_and_the_others_go_on(
    make_site: MakeSite, pacs: FakePacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(remote(pacs, max_associations=1, timeouts=IMPATIENT), workers={"processes": 5, "lease_seconds": 2})
    monkeypatch.setattr(site, "command_line", lambda *_: [sys.executable, "-c", IN_ONE_PROCESS, str(site.config)])
    study, late = make_study(6), make_study(3)
    gurney, _, path, gate = _begin(site, pacs, study)
    with hanging_file(path):
        gate.open()
        gurney.wait_for("slot_blocked")
        site.drop(*late)
        site.books.wait_for({ItemState.DONE: 8, ItemState.RETRY: 1})
        site.books.let_pass(WEEKEND)
        wait_until(lambda: len(gurney.events("slot_blocked")) == 2, 30, "a word for each slot that is lost")
        gurney.terminate()
        gurney.wait_for("slots_abandoned")
        wait_until(lambda: not gurney.is_running, 30, "the process to end though a thread of it hangs")


# As `gurney daemon`, but less patient.
DAEMON = """
import sys
from gurney.ledger.schema import migrate
from gurney.observability import configure_logging
from gurney.settings import load
from gurney_daemon.service import run_daemon
settings = load(sys.argv[1])
configure_logging(settings.log.format, settings.log.level)
migrate(settings.ledger_url)
run_daemon(settings, "memory://", drain_seconds=1)
"""


@pytest.mark.parametrize("program", [DAEMON, IN_ONE_PROCESS])
def test_a_daemon_whose_share_hangs_ends_all_the_same_and_leaves_its_roles(
    make_site: MakeSite, pacs: FakePacs, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    site = make_site(remote(pacs))
    study = make_study(1)
    with monkeypatch.context() as patched:
        patched.setattr(site, "command_line", lambda *_: [sys.executable, "-c", program, str(site.config)])
        gurney = site.start()
    gurney.wait_for("daemon_started")
    path = site.folder / study[0].file_name
    path.write_bytes(study[0].part10)
    with hanging_file(path) as hanging:
        path.rename(site.inbox / path.name)
        hanging.wait_until_read()
        gurney.terminate()
        gurney.wait_for("threads_abandoned")
        wait_until(lambda: not gurney.is_running, 30, "the process to end though a thread of it hangs")
    (abandoned,) = gurney.events("threads_abandoned")
    assert abandoned["threads"] == ["watch:inbox"]
    assert site.books.roles_held() == []
    site.start()
    site.books.wait_until_stored(1)
    site.books.wait_until_complete()
    check(site.books, study, account_of(pacs))
