"""Commits that several threads share."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from gurney_daemon.receiving.group_commit import GroupCommit
from tests.services.waiting import wait_until


class _Disk:
    """Takes a group once :attr:`open` is set; remembers each."""

    def __init__(self) -> None:
        self.open, self.groups = threading.Event(), list[list[int]]()

    def commit(self, group: Sequence[int]) -> list[int]:
        self.groups.append(list(group))
        assert self.open.wait(20)
        if 13 in group:
            raise OSError("no luck")
        return [10 * one for one in group]


def test_who_comes_meanwhile_is_the_next_group() -> None:
    disk = _Disk()
    groups = GroupCommit[int, int](disk.commit, most=4)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(groups.commit, 1)
        wait_until(lambda: disk.groups, 10, "the first is at the disk")
        others = [pool.submit(groups.commit, one) for one in range(2, 11)]
        wait_until(lambda: len(groups._waiting) == 9, 10, "the others wait")
        disk.open.set()
        assert first.result(20) == 10
        assert [other.result(20) for other in others] == [10 * one for one in range(2, 11)]
    assert [len(group) for group in disk.groups] == [1, 4, 4, 1]


def test_each_of_a_group_hears_of_its_failure() -> None:
    disk = _Disk()
    groups = GroupCommit[int, int](disk.commit)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(groups.commit, 1)
        wait_until(lambda: disk.groups, 10, "the first is at the disk")
        others = [pool.submit(groups.commit, one) for one in (13, 2)]
        wait_until(lambda: len(groups._waiting) == 2, 10, "the others wait")
        disk.open.set()
        assert first.result(20) == 10
        for other in others:
            with pytest.raises(OSError, match="no luck"):
                other.result(20)
    disk.open.set()
    assert groups.commit(3) == 30
