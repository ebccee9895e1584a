"""Check the configuration, and have what runs take it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gurney.errors import GurneyError
from gurney.jobs import FolderLock
from gurney_daemon import reload_answer
from gurney_daemon.reload_answer import answer_reload, ask_to_reload, forget_answer
from tests.daemon.cli.desk import Desk


@contextmanager
def up(desk: Desk, on_reload: Callable[[], object]) -> Iterator[int]:
    """Own the data folder as `gurney up` does; SIGHUP has ``on_reload`` called."""
    before = signal.signal(signal.SIGHUP, lambda *_: on_reload())
    try:
        with FolderLock(str(desk.data)):
            yield os.getpid()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_reload_is_done_when_what_runs_says_so(desk: Desk) -> None:
    with up(desk, lambda: answer_reload(str(desk.data), time.monotonic_ns(), "")) as pid:
        answer = desk("reload", "--json")
    assert (answer.code, answer.json) == (0, {"pid": pid})


def test_reload_fails_with_the_reason_of_what_runs(desk: Desk) -> None:
    with up(desk, lambda: answer_reload(str(desk.data), time.monotonic_ns(), "[broker] url takes a restart")):
        answer = desk("reload")
    assert (answer.code, answer.out) == (1, "")
    assert "nothing was reloaded: [broker] url takes a restart" in answer.err


def test_reload_without_anything_that_runs_says_what_can_be_reloaded(desk: Desk) -> None:
    answer = desk("reload", "--json")
    assert answer.code == 1
    assert "nothing to reload" in answer.err
    assert "data_dir was changed" in answer.err


def test_what_a_wrong_configuration_is_refused_for_stands_last(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "ct1").mkdir()
    desk.configure(
        f'[[watch]]\nname = "ct1"\npath = "{tmp_path / "ct1"}"\nsend_to = ["archve"]\n'
        f'[[watch]]\nname = "ct2"\npath = "{tmp_path / "absent"}"\nsend_to = ["archive"]\n'
    )
    for command in ("reload", "up"):
        answer = desk(command)
        lines = answer.err.splitlines()
        assert answer.code == 2
        assert ["warning" in line for line in lines].index(True) < len(lines) - 1
        assert "archve" in lines[-1]
        assert ("goes on with the configuration that it has" in answer.err) == (command == "reload")


@pytest.mark.parametrize("earlier", ["", "it was wrong"])
def test_an_earlier_answer_is_none(desk: Desk, monkeypatch: pytest.MonkeyPatch, earlier: str) -> None:
    monkeypatch.setattr(reload_answer, "_LOOK_EVERY", 0.01)
    answer_reload(str(desk.data), time.monotonic_ns(), earlier)
    with up(desk, lambda: None), pytest.raises(GurneyError, match="has not answered within 0 s"):
        ask_to_reload(str(desk.data), within=0.1)


def test_what_ends_instead_of_answering_is_not_waited_for(desk: Desk) -> None:
    lock = FolderLock(str(desk.data))
    lock.acquire()
    before = signal.signal(signal.SIGHUP, lambda *_: lock.release())
    try:
        answer = desk("reload")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert answer.code == 1
    assert "ended before it answered" in answer.err


def test_an_answer_of_another_boot_is_forgotten(desk: Desk) -> None:
    folder = str(desk.data)
    forget_answer(folder)
    answer_reload(folder, 2**62, "")
    forget_answer(folder)
    assert not (desk.data / "reload.json").exists()
