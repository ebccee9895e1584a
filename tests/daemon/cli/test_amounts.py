"""One of a thing is not many."""

from __future__ import annotations

from gurney_daemon.cli.amounts import several


def test_one_of_a_thing_is_not_many() -> None:
    assert [several(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
