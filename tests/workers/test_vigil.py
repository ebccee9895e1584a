"""Work that stands still is told to end, then given up; work that moves is left alone however long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select

from gurney.ledger.errors import LedgerUnavailable
from gurney.ledger.models import Lease
from gurney.pacs import Timeouts
from gurney.transfer.states import ItemState
from gurney_workers import batch
from gurney_workers.slot import Slot
from gurney_workers.vigil import Vigil
from tests.services import wait_until
from tests.services.hanging import hanging_file
from tests.workers.conftest import Ward

TTL = 1


@dataclass
class Watched:
    """A vigil, and what it did."""

    vigil: Vigil
    given_up: threading.Event
    told: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def watched() -> Iterator[Watched]:
    given_up = threading.Event()
    vigil = Vigil(given_up.set, grace=0.3)
    vigil.open()
    yield Watched(vigil, given_up)
    vigil.close()


def test_who_stands_still_is_told_and_then_given_up(watched: Watched) -> None:
    with watched.vigil.over(0.3) as errand:
        errand.on_stuck = watched.told.set
        assert watched.told.wait(10)
        assert not watched.given_up.is_set()
        assert watched.given_up.wait(10)


def test_who_moves_is_left_alone_for_as_long_as_it_takes(watched: Watched) -> None:
    with watched.vigil.over(0.5) as errand:
        errand.on_stuck = watched.told.set
        for _ in range(30):
            errand.progress.mark()
            time.sleep(0.05)
    assert not watched.told.is_set()


def test_who_ends_when_told_is_not_given_up(watched: Watched) -> None:
    with watched.vigil.over(0.1) as errand:
        errand.on_stuck = watched.told.set
        assert watched.told.wait(10)
    with watched.vigil.over(30.0):
        time.sleep(1)
    assert not watched.given_up.is_set()


def serve(slot: Slot) -> threading.Thread:
    """Answer a ring in a thread."""
    thread = threading.Thread(target=slot.serve, args=("archive", "main"))
    thread.start()
    return thread


def lease_ends_at(ward: Ward) -> float:
    """Return until when the one lease runs."""
    with ward.world.ledger.read() as conn:
        return float(conn.scalars(select(Lease.until)).one())


def test_a_file_that_hangs_waits_and_what_was_with_it_goes_back_at_once(ward: Ward) -> None:
    ids = ward.items(3)
    blocked = threading.Event()
    remote = ward.pacs.remote(Timeouts(connect=0.2, acse=0.2, store=0.4))
    slot = ward.slot(remote=remote, on_blocked=blocked.set, ttl=TTL)
    slot.open()
    try:
        with hanging_file(ward.spool / f"{ids[1]}.dcm") as hanging:
            thread = serve(slot)
            hanging.wait_until_read()
            wait_until(lambda: ward.pacs.endings, what="the association to be aborted")
            assert blocked.wait(20)
            assert thread.is_alive()
            # The first was stored, but its response was not yet read: each is taken while the one before is answered.
            assert [work.item_id for work in ward.world.take().work] == [ids[0], ids[2]]
        thread.join(10)
        assert not thread.is_alive()
    finally:
        slot.close()
    assert [ward.world.item(item).crash_suspect for item in ids] == [0, 0, 0]
    hung = ward.world.item(ids[1])
    assert (ItemState(hung.state), hung.attempts) == (ItemState.RETRY, 1)
    assert "hangs" in hung.last_words


def test_where_the_ledger_cannot_be_told_the_lease_of_a_file_that_hangs_runs_out(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LedgerUnavailable("away")

    ids = ward.items(3)
    blocked = threading.Event()
    remote = ward.pacs.remote(Timeouts(connect=0.2, acse=0.2, store=0.4))
    slot = ward.slot(remote=remote, on_blocked=blocked.set, ttl=TTL)
    slot.open()
    monkeypatch.setattr(batch, "conclude", fail)
    try:
        with hanging_file(ward.spool / f"{ids[1]}.dcm") as hanging:
            thread = serve(slot)
            hanging.wait_until_read()
            assert blocked.wait(20)
            ward.world.clock.pass_by(TTL / 2)
            time.sleep(TTL)
            assert lease_ends_at(ward) == ward.world.clock.time + TTL / 2, "it is renewed no more"
            ward.world.clock.pass_by(TTL)
            assert [work.item_id for work in ward.world.take().work] == ids
        thread.join(10)
        assert not thread.is_alive()
    finally:
        slot.close()
    assert [ward.world.item(item).crash_suspect for item in ids] == [1, 1, 1]


def test_a_spool_that_hangs_before_anything_is_claimed_is_told_too(ward: Ward) -> None:
    ward.items(1)
    blocked = threading.Event()
    slot = ward.slot(
        remote=ward.pacs.remote(Timeouts(connect=0.2, acse=0.2, store=0.4)), on_blocked=blocked.set, ttl=TTL
    )
    slot.open()
    try:
        with hanging_file(ward.spool / ".gurney-spool") as hanging:
            thread = serve(slot)
            hanging.wait_until_read()
            assert blocked.wait(20)
        thread.join(10)
        assert not thread.is_alive()
    finally:
        slot.close()
