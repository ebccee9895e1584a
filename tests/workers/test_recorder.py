"""Results are written in groups, in order, under the fence; an absent ledger is waited for, a lost lease is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import pytest

from gurney.ledger.database import Transaction
from gurney.ledger.leases import LeaseTicket
from gurney.ledger.models import Lease
from gurney.ledger.settlement import Settlement, conclude, settle
from gurney.ledger.terms import Claim
from gurney.transfer.states import ItemState
from gurney_workers import recorder
from gurney_workers.recorder import Recorder
from tests.ledger.world import OK, answered
from tests.services import wait_until
from tests.workers.conftest import Ward


def result(item: int, status: int = 0) -> Settlement:
    return Settlement(item, answered(status) if status else OK, "pacs:104")


@pytest.fixture
def claim(ward: Ward) -> Claim:
    ward.items(recorder.GROUP + 10)
    return ward.world.take()


def test_a_full_group_is_written_while_the_batch_goes_on(ward: Ward, claim: Claim) -> None:
    ids = [work.item_id for work in claim.work]
    with Recorder(ward.world.ledger, claim.ticket, lambda: None, 1) as writing:
        for item in ids[: recorder.GROUP]:
            writing.add(result(item))
        wait_until(lambda: writing.totals.stored == recorder.GROUP, what="the group")
    assert writing.conclude("w", "done") == 10


def test_what_comes_faster_than_commits_is_written_in_full_groups(ward: Ward) -> None:
    ward.items(recorder.LARGEST + recorder.GROUP + 7)
    claim = ward.world.take(instances=1_000)
    told: list[int] = []
    writing = Recorder(ward.world.ledger, claim.ticket, lambda: None, 1, lambda: told.append(writing.totals.stored))
    with writing:
        for work in claim.work:
            writing.add(result(work.item_id))
        wait_until(lambda: writing.totals.stored >= recorder.LARGEST, what="the groups")
    assert len(told) == 1
    assert told[0] % recorder.GROUP == 0
    assert told[0] <= recorder.LARGEST
    assert writing.conclude("w", "done") == 0
    assert writing.totals.stored == len(claim.work)


def test_a_slow_batch_is_written_after_a_while(ward: Ward, claim: Claim) -> None:
    with Recorder(ward.world.ledger, claim.ticket, lambda: None, 1) as writing:
        writing.add(result(claim.work[0].item_id))
        wait_until(lambda: writing.totals.stored == 1, what="the group")


def test_the_rest_is_written_with_the_release(ward: Ward, claim: Claim) -> None:
    with Recorder(ward.world.ledger, claim.ticket, lambda: None, 1) as writing:
        for work in claim.work[:3]:
            writing.add(result(work.item_id))
    assert writing.conclude("w", "done") == len(claim.work) - 3
    assert writing.totals.stored == 3
    assert ward.world.lease(claim).state == "released"


def test_a_failure_is_written_at_once(ward: Ward, claim: Claim) -> None:
    with Recorder(ward.world.ledger, claim.ticket, lambda: None, 1) as writing:
        writing.add(result(claim.work[0].item_id, 0xA900))
        wait_until(lambda: ward.world.states([claim.work[0].item_id]) == [ItemState.FAILED], what="the failure")


def test_a_lost_lease_is_told_and_nothing_is_written(ward: Ward, claim: Claim) -> None:
    ward.world.change(Lease, claim.ticket.id, state="lost")
    lost = threading.Event()
    with Recorder(ward.world.ledger, claim.ticket, lost.set, 1) as writing:
        for work in claim.work[: recorder.GROUP]:
            writing.add(result(work.item_id))
        assert lost.wait(10)
    assert writing.must_stop
    assert writing.conclude("w", "done") == 0
    assert set(ward.world.states(work.item_id for work in claim.work)) == {ItemState.RUNNING}


def test_a_ledger_that_is_away_for_a_moment_costs_nothing(ward: Ward, claim: Claim) -> None:
    with Recorder(ward.world.ledger, claim.ticket, lambda: None, 30) as writing:
        with ward.world.ledger.write():
            for work in claim.work[: recorder.GROUP]:
                writing.add(result(work.item_id))
            time.sleep(0.2)  # the recorder waits for the lock meanwhile
        wait_until(lambda: writing.totals.stored == recorder.GROUP, what="the group")
    writing.conclude("w", "done")


def test_results_that_the_ledger_can_never_take_end_the_batch(
    ward: Ward, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("no such text")

    monkeypatch.setattr(recorder, "settle", refuse)
    lost = threading.Event()
    with Recorder(ward.world.ledger, claim.ticket, lost.set, 1) as writing:
        writing.add(result(claim.work[0].item_id, 0xA900))
        assert lost.wait(10)
    assert writing.must_stop
    assert writing.conclude("w", "done") == 0
    assert ward.world.lease(claim).state == "live", "its items come back one by one, as suspects"


def test_what_is_left_in_plenty_is_written_in_groups_as_well(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ward.items(2 * recorder.LARGEST + 30)
    claim = ward.world.take(instances=1_000)
    sizes: list[int] = []

    def counting(tx: Transaction, ticket: LeaseTicket, group: Sequence[Settlement], *more: Any) -> Any:
        sizes.append(len(group))
        return (conclude if more else settle)(tx, ticket, group, *more)

    monkeypatch.setattr(recorder, "settle", counting)
    monkeypatch.setattr(recorder, "conclude", counting)
    writing = Recorder(ward.world.ledger, claim.ticket, lambda: None, 30)
    for work in claim.work:
        writing.add(result(work.item_id))
    assert writing.conclude("w", "done") == 0
    assert sizes == [recorder.LARGEST, recorder.LARGEST, 30]
    assert writing.totals.stored == len(claim.work)
    assert ward.world.lease(claim).state == "released"
