"""When a file counts as written: pure, so time is a number here."""

from __future__ import annotations

from gurney_daemon.ingest.settling import SettledFile, Settling
from gurney_daemon.ingest.signature import Signature

WALL = 1_700_000_000 * 10**9


def looks(size: int = 100, age: float = 0.0) -> Signature:
    return Signature(dev=1, inode=2, size=size, mtime_ns=WALL - int(age * 1e9))


def due(settling: Settling, now: float) -> list[bytes]:
    return [settled.path for settled in settling.take_due(now, 100)]


def test_a_fresh_file_is_due_exactly_one_window_after_its_modification() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.observe(b"a", looks(age=0.5), 10.0, WALL)
    assert settling.next_due() == 11.5
    assert due(settling, 11.49) == []
    assert due(settling, 11.5) == [b"a"]
    assert settling.next_due() is None


def test_every_change_that_is_seen_starts_a_whole_window() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.observe(b"a", looks(100, age=60), 10.0, WALL)
    settling.observe(b"a", looks(200, age=60), 10.05, WALL)
    assert due(settling, 12.0) == []
    assert due(settling, 12.05) == [b"a"]


def test_a_file_that_grows_for_a_minute_is_left_alone_until_it_stops() -> None:
    settling = Settling(2.0, trust_mtime=True)
    for second in range(60):
        settling.observe(b"a", looks(second), float(second), WALL)
        assert due(settling, float(second)) == []
    assert due(settling, 61.0) == [b"a"]


def test_the_same_look_again_changes_nothing() -> None:
    settling = Settling(2.0, trust_mtime=True)
    for now in (10.0, 11.0, 11.9):
        settling.observe(b"a", looks(), now, WALL)
    assert due(settling, 12.0) == [b"a"]


def test_an_old_file_is_looked_at_twice_all_the_same() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.observe(b"a", looks(age=3600), 10.0, WALL)
    assert due(settling, 10.0) == []
    assert due(settling, 10.1) == [b"a"]


def test_a_modification_in_the_future_is_not_never() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.observe(b"a", looks(age=-86400 * 365), 10.0, WALL)
    assert due(settling, 12.0) == [b"a"]


def test_the_clock_of_a_share_gives_no_credit() -> None:
    settling = Settling(30.0, trust_mtime=False)
    settling.observe(b"a", looks(age=3600), 10.0, WALL)
    assert due(settling, 39.9) == []
    assert due(settling, 40.0) == [b"a"]


def test_no_window_means_at_once() -> None:
    settling = Settling(0.0, trust_mtime=True)
    settling.observe(b"a", looks(), 10.0, WALL)
    assert due(settling, 10.0) == [b"a"]


def test_what_is_not_whole_waits_longer_each_time_and_not_for_ever() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settled, now, waits = SettledFile(b"a", looks()), 100.0, []
    while settling.may_wait(settled):
        settling.wait_again(settled, now)
        when = settling.next_due()
        assert when is not None
        waits.append(when - now)
        now = when
        (settled,) = settling.take_due(now, 1)
    assert waits == [2, 4, 8, 16, 32]


def test_growing_again_gives_a_truncated_file_new_patience() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.wait_again(SettledFile(b"a", looks(100), 4), 10.0)
    settling.observe(b"a", looks(200), 11.0, WALL)
    assert settling.take_due(13.0, 1) == [SettledFile(b"a", looks(200), 0)]
    assert due(settling, 100.0) == []


def test_a_change_while_it_was_read_starts_again() -> None:
    settling = Settling(2.0, trust_mtime=True)
    settling.begin_again(b"a", looks(age=3600), 10.0)
    assert due(settling, 11.9) == []
    assert due(settling, 12.0) == [b"a"]


def test_the_table_has_an_end_and_known_files_may_still_change() -> None:
    settling = Settling(2.0, trust_mtime=True, capacity=2)
    assert settling.observe(b"a", looks(), 10.0, WALL)
    assert settling.observe(b"b", looks(), 10.0, WALL)
    assert not settling.observe(b"c", looks(), 10.0, WALL)
    assert settling.observe(b"a", looks(200), 11.0, WALL)
    assert (settling.room, len(settling)) == (0, 2)
    assert due(settling, 13.0) == [b"b", b"a"]
    assert settling.room == 2


def test_a_limit_leaves_the_rest_for_later() -> None:
    settling = Settling(0.0, trust_mtime=True)
    for number in range(5):
        settling.observe(b"%d" % number, looks(), 10.0 + number, WALL)
    assert [settled.path for settled in settling.take_due(20.0, 3)] == [b"0", b"1", b"2"]
    assert due(settling, 20.0) == [b"3", b"4"]
