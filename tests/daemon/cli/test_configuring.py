"""Check the configuration, and have what runs take it."""

from __future__ import annotations

import signal
import threading

from gurney.jobs import FolderLock
from tests.daemon.cli.desk import Desk


def test_reload_tells_the_process_that_runs_on_the_data_folder(desk: Desk) -> None:
    assert "nothing to reload" in desk("reload", "--json").err
    told = threading.Event()
    before = signal.signal(signal.SIGHUP, lambda *_: told.set())
    try:
        with FolderLock(desk.data) as lock:
            assert desk("reload", "--json").json == {"pid": lock.owner()}
            assert told.wait(5)
    finally:
        signal.signal(signal.SIGHUP, before)
