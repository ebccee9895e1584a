"""Notifications: what they tell, and that losing them costs nothing but time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney_daemon.ingest import hints as hints_module
from gurney_daemon.ingest.hints import Hints
from tests.daemon.ingest.instances import drop
from tests.services.waiting import wait_until


@pytest.fixture
def hints(tmp_path: Path) -> Iterator[Hints]:
    woken = threading.Event()
    watched = tmp_path / "watched"
    watched.mkdir()
    hints = Hints(os.fsencode(watched), recursive=True, wake=woken.set)
    hints.start()
    yield hints
    hints.stop()


def collect(hints: Hints, path: Path) -> None:
    wanted, seen = os.fsencode(path), set()

    def has_come() -> bool:
        seen.update(hints.take(100))
        return wanted in seen

    wait_until(has_come, 10, "a hint")


def test_closing_a_file_is_told(tmp_path: Path, hints: Hints) -> None:
    collect(hints, drop(tmp_path / "watched", "1", b"x"))


def test_a_file_renamed_or_moved_in_is_told_by_its_new_name(tmp_path: Path, hints: Hints) -> None:
    inside, outside = drop(tmp_path / "watched", "1.part", b"x"), drop(tmp_path, "2", b"x")
    inside.rename(tmp_path / "watched/1.dcm")
    collect(hints, tmp_path / "watched/1.dcm")
    outside.rename(tmp_path / "watched/2.dcm")
    collect(hints, tmp_path / "watched/2.dcm")


def test_a_new_folder_asks_for_a_scan_once(tmp_path: Path, hints: Hints) -> None:
    (tmp_path / "watched/new").mkdir()
    wait_until(hints.wants_scan, 10, "a wish for a scan")
    assert not hints.wants_scan()


def test_more_than_can_be_kept_asks_for_a_scan(tmp_path: Path, hints: Hints, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hints_module, "_MOST", 3)
    for number in range(10):
        drop(tmp_path / "watched", f"{number}", b"x")
    wait_until(hints.wants_scan, 10, "a wish for a scan")
    assert len(hints.take(100)) == 3


def test_stopping_twice_and_starting_again_is_fine(tmp_path: Path, hints: Hints) -> None:
    hints.stop()
    hints.stop()
    hints.start()
    collect(hints, drop(tmp_path / "watched", "1", b"x"))
