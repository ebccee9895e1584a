"""An orderly reload: what is sent meanwhile goes on afterwards, and at no moment is there a fault to be seen."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tomlkit

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
    with subprocess.Popen(site.command_line("reload"), env=site.environment()) as reload:
        looks = 0
        while len(gurney.events("slot_open")) == opened or not looks:
            answer = site.run("status", "--json", check=False)
            assert answer.returncode == 0, answer.stdout
            looks += 1
        assert reload.wait(30) == 0
    site.drop(*second)
    site.books.wait_until_stored(8)
    site.books.wait_until_complete()
    check(site.books, first + second, account_of(pacs))
    assert len(pacs.stored) == 8
    assert gurney.events("child_died") == gurney.events("child_killed") == []


def test_a_reload_that_cannot_be_is_a_failure_and_keeps_everything(make_site: MakeSite, pacs: FakePacs) -> None:
    site = make_site(remote(pacs))
    gurney = site.start()
    gurney.wait_until_ready()
    started = len(gurney.events("child_started"))
    good = site.config.read_text()
    document = tomlkit.parse(good)
    document["ledger"] = {"url": f"sqlite:///{site.data}/other.sqlite3"}
    site.config.write_text(tomlkit.dumps(document))
    refused = site.run("reload", check=False)
    assert refused.returncode == 1
    assert "nothing was reloaded: [ledger] url" in refused.stderr
    site.config.write_text(good)
    assert len(gurney.events("child_started")) == started


# `gurney up` where no broker server can be had.
IN_ONE_PROCESS = """
from gurney.jobs import embedded
embedded.installed_servers = list
from gurney_daemon.cli import main
main()
"""


def test_in_one_process_a_reload_says_that_it_takes_a_restart(
    make_site: MakeSite, pacs: FakePacs, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = make_site(remote(pacs))
    config = ["--config", str(site.config)]
    with monkeypatch.context() as patched:
        patched.setattr(site, "command_line", lambda *words: [sys.executable, "-c", IN_ONE_PROCESS, *config, *words])
        gurney = site.start()
    gurney.wait_until_ready()
    refused = site.run("reload", check=False)
    assert refused.returncode == 1
    assert "everything runs in one process" in refused.stderr
    assert gurney.is_running
