"""A ring is answered by one batch, whatever the peer does, and what is left is due again."""

from __future__ import annotations

import errno
import itertools
import os
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gurney.jobs import Lane
from gurney.ledger import operations, reconciling
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import pause
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Destination, File
from gurney.ledger.processes import ProcessName
from gurney.ledger.reconciling import RECONCILER_SECONDS
from gurney.ledger.selection import Selection
from gurney.pacs import RemoteAE
from gurney.pacs.testing import Break, How, Reject, Respond, Stall, When
from gurney.transfer.backoff import ATTEMPT_BUDGET
from gurney.transfer.states import ItemState, Outcome, Priority
from gurney.transfer.windows import ALWAYS, Window, parse_window
from gurney_workers.folders import Folder, Folders
from gurney_workers.peer import Peer
from tests.services import free_port, wait_until
from tests.workers.conftest import PACS_TIMEOUTS, Ward


def test_a_batch_is_stored_and_settled(ward: Ward) -> None:
    ids = ward.items(120)
    ward.serve()
    assert set(ward.world.states(ids)) == {ItemState.DONE}
    assert sorted(ward.pacs.stored_uids()) == sorted(f"2.25.{item}" for item in ids)
    assert [attempt.outcome for attempt in ward.world.attempts(ids[0])] == [Outcome.OK]


def test_a_ring_is_one_batch_and_passes_on_what_is_left(ward: Ward) -> None:
    before = ward.waiting(Lane.WORK) or 0
    ids = ward.items(5)
    ward.serve(instances=2)
    assert ward.world.states(ids).count(ItemState.DONE) == 2
    assert ward.waiting(Lane.WORK) == before + 1


def test_another_association_is_rung_for_at_once_and_when_a_new_study_has_begun_to_exist_there(ward: Ward) -> None:
    ward.world.destination(max_associations=2)
    rings = [ward.waiting(Lane.WORK) or 0]
    ward.items(230)
    for _ in range(2):
        ward.serve(instances=100)
        rings.append(ward.waiting(Lane.WORK) or 0)
    at_once = when_something_is_stored = for_what_is_left = 1
    assert rings[1] - rings[0] == at_once + when_something_is_stored + for_what_is_left
    assert rings[2] - rings[1] == at_once + for_what_is_left


def test_an_empty_claim_does_nothing(ward: Ward) -> None:
    ward.world.destination()
    ward.serve()
    assert ward.pacs.associations == 0


def test_a_warning_is_stored_and_remembered(ward: Ward) -> None:
    ids = ward.items(1)
    ward.pacs.on_uid(f"2.25.{ids[0]}", Respond(0xB007))
    ward.serve()
    item = ward.world.item(ids[0])
    assert (ItemState(item.state), item.last_status) == (ItemState.WARNED, 0xB007)


def test_a_bad_instance_blocks_nobody(ward: Ward) -> None:
    ids = ward.items(9)
    ward.pacs.on_uid(f"2.25.{ids[4]}", Respond(0xA900))
    ward.serve()
    states = ward.world.states(ids)
    assert states.pop(4) is ItemState.FAILED
    assert set(states) == {ItemState.DONE}


def test_an_abort_in_mid_batch_suspects_only_what_was_on_the_wire(ward: Ward) -> None:
    ids = ward.items(6)
    ward.pacs.on_uid(f"2.25.{ids[2]}", Break(How.ABORT, When.AFTER))
    ward.serve()
    assert ward.world.states(ids) == [ItemState.DONE] * 2 + [ItemState.RETRY] + [ItemState.READY] * 3
    assert [ward.world.item(item).suspect for item in ids] == [0, 0, 1, 0, 0, 0]


def test_a_peer_that_stalls_is_left_after_the_timeout(ward: Ward) -> None:
    ids = ward.items(2)
    ward.pacs.on_uid(f"2.25.{ids[0]}", Stall())
    ward.serve()
    assert ward.world.states(ids) == [ItemState.RETRY, ItemState.READY]
    assert ward.world.item(ids[0]).suspect == 1


def test_a_peer_that_is_down_spends_no_attempt(ward: Ward) -> None:
    ids = ward.items(3)
    nobody = RemoteAE("NOBODY", "127.0.0.1", free_port(), PACS_TIMEOUTS)
    for _ in range(3):
        ward.serve(remote=nobody)
        ward.world.clock.pass_by(3600)
    assert ward.world.row().breaker == "open"
    assert {ward.world.item(item).attempts for item in ids} == {0}
    assert set(ward.world.states(ids)) == {ItemState.READY}
    ward.serve(rings=2)
    assert set(ward.world.states(ids)) == {ItemState.DONE}
    assert ward.world.row().breaker == "closed"


def test_a_rejection_for_our_ae_title_holds_the_destination_and_says_so(ward: Ward) -> None:
    ward.items(1)
    ward.pacs.always(Reject(1, 1, 3))
    ward.serve()
    assert "our calling AE title" in ward.world.row().hold_reason


def test_a_file_that_is_gone_fails_its_item_alone(ward: Ward) -> None:
    ids = ward.items(3)
    (ward.spool / f"{ids[1]}.dcm").unlink()
    ward.serve()
    assert ward.world.states(ids) == [ItemState.DONE, ItemState.FAILED, ItemState.DONE]


def test_a_file_that_changed_is_not_sent(ward: Ward) -> None:
    ids = ward.items(1)
    (ward.spool / f"{ids[0]}.dcm").write_bytes(b"another")
    ward.serve()
    assert ward.world.states(ids) == [ItemState.FAILED]
    assert ward.pacs.stored_uids() == []


def test_a_spool_that_cannot_be_read_is_nobodys_fault(ward: Ward) -> None:
    ids = ward.items(2)
    (ward.spool / ".gurney-spool").write_text("another spool")
    ward.serve()
    assert set(ward.world.states(ids)) == {ItemState.READY}
    assert ward.pacs.associations == 0


@pytest.mark.parametrize("why", ["draining", "paused", "stat"])
def test_a_batch_stops_at_the_next_instance(ward: Ward, why: str) -> None:
    """The first instance is answered late; before the second, somebody says stop."""
    ids = ward.items(3)
    ward.pacs.on_uid(f"2.25.{ids[0]}", Respond(delay=0.4))
    serving = threading.Thread(target=ward.serve)
    serving.start()
    wait_until(lambda: ward.pacs.longest_pdu > 0, what="the first instance")
    match why:
        case "draining":
            ward.draining.append(True)
        case "paused":
            ward.world.ledger.transact(pause, "archive", "somebody")
        case "stat":
            ward.world.change(Destination, ward.world.destination(), stat_waiting_at=1.0)
    serving.join()
    # The one that is prepared while the first is on the wire still goes.
    states = ward.world.states(ids)
    assert states[0] is ItemState.DONE
    assert states[-1] is ItemState.READY
    assert ward.world.item(ids[-1]).crash_suspect == 0


def test_what_is_cancelled_under_way_is_not_sent(ward: Ward) -> None:
    ids = ward.items(4)
    ward.pacs.on_uid(f"2.25.{ids[0]}", Respond(delay=0.4))
    ward.pacs.on_uid(f"2.25.{ids[1]}", Respond(delay=0.4))
    serving = threading.Thread(target=ward.serve)
    serving.start()
    wait_until(lambda: ward.pacs.longest_pdu > 0, what="the first instance")
    operations.cancel(ward.world.ledger, Selection(states=(ItemState.RUNNING,)), "somebody")
    serving.join()
    states = ward.world.states(ids)
    assert states[-1] is ItemState.CANCELLED
    assert f"2.25.{ids[-1]}" not in ward.pacs.stored_uids()
    # What was on the wire when it was cancelled is at the peer, and the ledger says so.
    for item, state in zip(ids, states, strict=True):
        assert (state is ItemState.DONE) == (f"2.25.{item}" in ward.pacs.stored_uids())


def test_the_stat_slot_takes_nothing_else(ward: Ward) -> None:
    routine = ward.items(2)
    stat = ward.items(1, study="1.9", priority=Priority.STAT)
    ward.serve(stat_only=True)
    assert ward.world.states(stat) == [ItemState.DONE]
    assert set(ward.world.states(routine)) == {ItemState.READY}


def shut_now() -> Window:
    """Make a window that opens in half a day."""
    hour = (datetime.now(UTC).hour + 12) % 24
    return parse_window(f"{hour:02}:00-{hour:02}:30")


def test_outside_its_window_a_remote_gets_stat_alone(ward: Ward) -> None:
    routine = ward.items(2)
    stat = ward.items(1, study="1.9", priority=Priority.STAT)
    ward.serve(2, window=shut_now())
    assert ward.world.states(stat) == [ItemState.DONE]
    assert set(ward.world.states(routine)) == {ItemState.READY}
    ward.serve(window=ALWAYS)
    assert set(ward.world.states(routine)) == {ItemState.DONE}


def test_a_window_may_hold_for_stat_as_well(ward: Ward) -> None:
    stat = ward.items(1, priority=Priority.STAT)
    ward.serve(window=shut_now(), stat_passes=False)
    assert ward.world.states(stat) == [ItemState.READY]


def test_a_window_that_shuts_ends_a_batch_at_the_next_instance(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ward.items(30)
    looks = itertools.count()
    # Open for the claim and the first few instances, then shut.
    monkeypatch.setattr(Peer, "is_shut", property(lambda _: next(looks) > 8))
    ward.serve()
    states = Counter(ward.world.states(ids))
    assert states[ItemState.DONE] > 0
    assert states[ItemState.READY] > 0
    assert states.total() == states[ItemState.DONE] + states[ItemState.READY]
    assert {ward.world.item(one).attempts for one in ids} == {0}, "what goes back has lost no attempt"


def test_a_destination_gone_bad_is_left_within_a_batch(ward: Ward) -> None:
    ids = ward.items(60)
    for item in ids:
        ward.pacs.on_uid(f"2.25.{item}", Respond(0xA700, delay=0.01))
    ward.serve()
    assert len(ward.world.attempts(ids[-1])) == 0
    assert sum(ward.world.item(item).attempts for item in ids) == 0, "five in a row are the destination's fault"


# --- Our own disks, shares and wants ----------------------------------------------------------------------------------


def in_place(ward: Ward, folder: Path, ids: list[int]) -> Folders:
    """Let the files of some items lie in a watched folder, and be sent from there."""
    folder.mkdir()
    for item in ids:
        path = (ward.spool / f"{item}.dcm").rename(folder / f"{item}.dcm")
        ward.world.change(File, item, spool_path="", path=os.fsencode(path))
    return Folders([Folder("ct1", str(folder))])


@pytest.mark.parametrize("left", ["nothing", "an empty mount point", "a folder that can't be read"])
def test_a_folder_that_is_away_fails_nobody_and_goes_on_when_it_is_back(ward: Ward, tmp_path: Path, left: str) -> None:
    ids = ward.items(5)
    others = ward.items(2, study="1.9")
    inbox, disk = tmp_path / "inbox", tmp_path / "disk"
    folders = in_place(ward, inbox, ids)
    inbox.rename(disk)
    if left == "an empty mount point":
        inbox.mkdir()
    elif left == "a folder that can't be read":
        inbox.touch()
    for _ in range(3):
        ward.serve(rings=2, folders=folders)
        assert set(ward.world.states(ids)) == {ItemState.RETRY}
        ward.world.clock.pass_by(3_600)
    assert set(ward.world.states(others)) == {ItemState.DONE}, "what lies elsewhere goes on"
    assert {(ward.world.item(item).attempts, ward.world.item(item).crash_suspect) for item in ids} == {(0, 0)}
    assert ward.world.attempts(ids[0]) == []
    if left == "an empty mount point":
        inbox.rmdir()
    elif left == "a folder that can't be read":
        inbox.unlink()
    disk.rename(inbox)
    ward.serve(folders=folders)
    assert set(ward.world.states(ids)) == {ItemState.DONE}


def test_a_file_that_has_gone_from_a_folder_that_is_there_fails_alone(ward: Ward, tmp_path: Path) -> None:
    ids = ward.items(3)
    folders = in_place(ward, tmp_path / "inbox", ids)
    (tmp_path / "inbox" / f"{ids[1]}.dcm").unlink()
    ward.serve(folders=folders)
    assert ward.world.states(ids) == [ItemState.DONE, ItemState.FAILED, ItemState.DONE]


def failing(errors: dict[str, int], real: Callable[..., int]) -> Callable[..., int]:
    """Open files as the system would that fails on some, by their names."""

    def opened(path: str, *more: object, **others: object) -> int:
        if (number := errors.get(os.path.basename(path))) is not None:
            raise OSError(number, os.strerror(number), path)
        return real(path, *more, **others)

    return opened


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM])
def test_our_own_want_is_nobodys_fault_and_is_not_asked_again_at_once(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ids = ward.items(4)
    before = ward.waiting(Lane.WORK) or 0
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", failing({f"{item}.dcm": number for item in ids}, os.open))
        ward.serve()
    assert set(ward.world.states(ids)) == {ItemState.READY}
    assert {ward.world.item(item).attempts for item in ids} == {0}
    assert len(ward.world.attempts(ids[1])) == 0, "the batch stops"
    assert ward.waiting(Lane.WORK) == before, "it would only fail again"
    assert ward.world.audited("item.alert") == 1
    ward.serve()
    assert set(ward.world.states(ids)) == {ItemState.DONE}


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_file_that_gives_an_error_for_ever_is_given_up_at_last_and_blocks_nobody(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    ids = ward.items(3)
    monkeypatch.setattr(os, "open", failing({f"{ids[0]}.dcm": number}, os.open))
    ward.serve()
    assert ward.world.states(ids) == [ItemState.RETRY, ItemState.READY, ItemState.READY]
    ward.serve()
    assert ward.world.states(ids) == [ItemState.RETRY, ItemState.DONE, ItemState.DONE]
    tries = 1
    while ward.world.states(ids)[0] is ItemState.RETRY:
        assert (tries := tries + 1) < 100
        ward.world.clock.pass_by(6 * 3_600 + 1)
        ward.serve()
    item = ward.world.item(ids[0])
    assert ItemState(item.state) is ItemState.FAILED
    assert item.attempts == ATTEMPT_BUDGET
    assert os.strerror(number) in item.last_words


def test_what_the_dead_held_is_rung_for_in_a_spool_that_was_registered_just_now(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    alive = ProcessName.of_this_process("work")
    ward.items(1)
    ward.world.take(worker=str(replace(alive, started=alive.started - 1)))
    due_bells = reconciling.due_bells

    def meanwhile(ledger: Ledger) -> list[Bell]:
        ward.world.items(1, spool="new", study="9")
        return due_bells(ledger)

    monkeypatch.setattr(reconciling, "due_bells", meanwhile)
    slot = ward.slot()
    slot.open()
    try:
        wait_until(lambda: ward.doorbell.waiting("new", Lane.WORK), what="a ring for the new spool")
    finally:
        slot.close()


def test_where_no_daemon_is_left_a_slot_rings_for_what_is_due(ward: Ward) -> None:
    before = ward.waiting(Lane.WORK) or 0
    ward.items(1)
    slot = ward.slot()
    slot.open()
    try:
        ward.world.clock.pass_by(RECONCILER_SECONDS)
        wait_until(lambda: (ward.waiting(Lane.WORK) or 0) > before, 10, "a ring")
    finally:
        slot.close()
