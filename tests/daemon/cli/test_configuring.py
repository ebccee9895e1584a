"""Check the configuration, and have what runs take it."""

from __future__ import annotations

import signal
import threading

import pytest

from gurney.jobs import FolderLock
from tests.daemon.cli.desk import Desk


def test_reload_tells_the_process_that_runs_on_the_data_folder(desk: Desk) -> None:
    assert "nothing to reload" in desk("reload", "--json").err
    told = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: told.set())
    try:
        with FolderLock(str(desk.data)) as lock:
            assert desk("reload", "--json").json == {"pid": lock.owner()}
            assert told.wait(5)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_reload_says_that_another_broker_takes_a_restart(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gurney.jobs.embedded_url", lambda _folder: "redis+socket:///run/broker.sock")
    with FolderLock(str(desk.data)):
        desk.configure('[broker]\nurl = "redis://127.0.0.1/0"\n')
        answer = desk("reload")
    assert answer.code == 1
    assert "[broker] url has changed" in answer.err
