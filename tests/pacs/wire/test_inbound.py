from __future__ import annotations

import errno
import itertools
import os
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.pacs import request_for_file
from gurney.pacs.wire.arrival import Arrival
from gurney.pacs.wire.inbound import EagerInbox, Inbox, IncomingDataset, Received
from tests.pacs.datasets import IMPLICIT, noise
from tests.services.waiting import wait_until

FRAGMENT = 16_372


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def incoming(folder: Path, content: bytes) -> IncomingDataset:
    dataset = IncomingDataset(folder)
    for at in range(0, len(content), FRAGMENT):
        dataset.write(content[at : at + FRAGMENT])
    return dataset


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm"])
def test_an_instance_becomes_a_file_with_the_bytes_that_came(folder: Path, name: str) -> None:
    request = request_for_file(str(get_testdata_file(name, download=False)))
    content = Path(request.path).read_bytes()[request.dataset_offset :]
    received: list[Received] = []
    inbox = Inbox(folder, received.append)
    status = inbox.take(
        request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid, incoming(folder, content)
    )
    assert status == 0
    (one,) = received
    assert one.path == folder / f"{request.sop_instance_uid}.dcm"
    again = request_for_file(one.path)
    assert one.path.read_bytes()[again.dataset_offset :] == content
    assert dcmread(one.path).file_meta.TransferSyntaxUID == request.transfer_syntax_uid
    assert os.listdir(folder) == [one.path.name]


@pytest.mark.parametrize("size", [100, 1 << 16, (1 << 16) + 1, 1 << 20])
def test_long_or_short_nothing_is_lost_at_the_seam(folder: Path, size: int) -> None:
    content = noise("1.2.3", "1.2.3.4", size, IMPLICIT)
    inbox = Inbox(folder, lambda _: None)
    assert inbox.take("1.2.3", "1.2.3.4", IMPLICIT, incoming(folder, content)) == 0
    assert (folder / "1.2.3.4.dcm").read_bytes().endswith(content)


def test_a_data_set_without_a_byte_is_no_instance(folder: Path) -> None:
    inbox = Inbox(folder, lambda _: None)
    assert inbox.take("1.2.3", "1.2.3.4", IMPLICIT, incoming(folder, b"")) == 0xC000
    assert os.listdir(folder) == []


def test_a_uid_that_is_none_never_names_a_file(folder: Path) -> None:
    inside = folder / "inside"
    inside.mkdir()
    inbox = Inbox(inside, lambda _: None)
    assert inbox.take("1.2.3", "../1.2", IMPLICIT, incoming(inside, b"ab")) == 0xA900
    assert os.listdir(folder) == ["inside"]
    assert os.listdir(inside) == []


def test_a_full_disk_is_our_refusal_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Received] = []

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    inbox = Inbox(folder, received.append)
    assert (
        inbox.take("1.2.3", "1.2.3.4", IMPLICIT, incoming(folder, noise("1.2.3", "1.2.3.4", 1 << 18, IMPLICIT)))
        == 0xA700
    )
    assert (received, os.listdir(folder)) == ([], [])


def test_a_disk_that_fills_on_the_way_is_told_when_it_is_answered(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = IncomingDataset(folder / "nowhere")
    assert dataset.write(bytes(1 << 17)) == 1 << 17
    assert dataset.write(b"ab") == 2
    assert Inbox(folder, lambda _: None).take("1.2.3", "1.2.3.4", IMPLICIT, dataset) == 0xA700
    assert os.listdir(folder) == []


def test_a_disk_that_fills_has_its_room_back_before_the_message_ends(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    dataset = IncomingDataset(folder)
    dataset.write(bytes(1 << 17))

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(dataset, "_spilled", full)
    dataset.write(b"ab")
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_instance_is_safe_under_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash must not take the name of what was answered with success: the folder is written through as well."""
    synced = synced_paths(monkeypatch)
    inbox = Inbox(folder, lambda _: synced.append("told"))
    content = noise("1.2.3", "1.2.3.4", 0, IMPLICIT)
    assert inbox.take("1.2.3", "1.2.3.4", IMPLICIT, incoming(folder, content)) == 0
    assert synced[1:] == [str(folder), "told"]


def synced_paths(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note what is written through to the disk, in order."""
    synced: list[str] = []
    real = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        real(fd)

    monkeypatch.setattr(os, "fsync", noted)
    return synced


# --- Answered before it is safe ---------------------------------------------------------------------------------------


def kept(inbox: EagerInbox, uid: str) -> int:
    arrival = inbox.begin("1.2.3", uid, IMPLICIT)
    arrival.write(noise("1.2.3", uid, 0, IMPLICIT))
    return inbox.keep(arrival)


def test_an_eager_inbox_gives_out_everything_in_order(folder: Path) -> None:
    uids = [f"1.2.{number}" for number in range(1, 251)]
    with EagerInbox(folder) as inbox:
        received: list[Received] = []
        for uid in uids:
            assert kept(inbox, uid) == 0
            received += inbox.settled()
        received += inbox.settled(at_the_end=True)
    assert [one.sop_instance_uid for one in received] == uids
    assert sorted(os.listdir(folder)) == sorted(f"{uid}.dcm" for uid in uids)


def test_what_an_eager_inbox_took_is_safe_though_nobody_asks(folder: Path) -> None:
    with EagerInbox(folder) as inbox:
        kept(inbox, "1.2.3")
    assert os.listdir(folder) == ["1.2.3.dcm"]


def test_a_disk_that_fails_behind_the_answer_is_told_and_takes_nothing_else(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = os.fsync, itertools.count(1)

    def second_fails(fd: int) -> None:
        if next(count) == 2:
            raise OSError(errno.EIO, "Input/output error")
        real(fd)

    monkeypatch.setattr(os, "fsync", second_fails)
    with EagerInbox(folder) as inbox:
        for uid in ("1.2.1", "1.2.2", "1.2.3"):
            assert kept(inbox, uid) == 0
        settled = inbox.settled(at_the_end=True)
        received = [next(settled).sop_instance_uid for _ in range(2)]
        with pytest.raises(OSError, match="Input/output error"):
            next(settled)
    assert received == ["1.2.1", "1.2.3"]
    assert sorted(os.listdir(folder)) == ["1.2.1.dcm", "1.2.3.dcm"]


@pytest.mark.parametrize("durable", [True, False], ids=["durable", "quick"])
def test_an_eager_inbox_writes_names_through_once_for_many(
    folder: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced = synced_paths(monkeypatch)
    with EagerInbox(folder, durable=durable) as inbox:
        for number in range(1, 11):
            kept(inbox, f"1.2.{number}")
        assert len(list(inbox.settled(at_the_end=True))) == 10
    assert synced.count(str(folder)) == (1 if durable else 0)
    assert not synced or synced[-1] == str(folder)


def test_the_disk_has_begun_with_all_before_any_is_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    advise, sync = os.posix_fadvise, os.fsync

    def advised(fd: int, *how: int) -> None:
        seen.append("begun")
        advise(fd, *how)

    def synced(fd: int) -> None:
        seen.append("waited")
        sync(fd)

    monkeypatch.setattr(os, "posix_fadvise", advised)
    monkeypatch.setattr(os, "fsync", synced)
    with EagerInbox(folder) as inbox:
        for number in range(1, 4):
            kept(inbox, f"1.2.{number}")
        assert len(list(inbox.settled(at_the_end=True))) == 3
    assert seen == ["begun"] * 3 + ["waited"] * 4  # each file, and their folder


def test_a_slow_disk_holds_up_a_peer_that_reports_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances that wait are open files: there must be no more of them than a few batches."""
    settle, most = Arrival.settle, 0

    def slowly(arrival: Arrival, *, durable: bool = True) -> None:
        nonlocal most
        time.sleep(0.002)
        most = max(most, len([name for name in os.listdir(folder) if name.startswith(".incoming")]))
        settle(arrival, durable=durable)

    monkeypatch.setattr(Arrival, "settle", slowly)
    with EagerInbox(folder, durable=False) as inbox:
        for number in range(1, 801):
            assert kept(inbox, f"1.2.{number}") == 0
        assert len(list(inbox.settled(at_the_end=True))) == 800
    assert most <= 400


def test_a_lull_is_used_to_make_safe_what_waits(folder: Path) -> None:
    with EagerInbox(folder) as inbox:
        assert not inbox.use_lull()
        kept(inbox, "1.2.3")
        wait_until(inbox.use_lull, what="the instance to be safe")
        assert [one.sop_instance_uid for one in inbox.settled()] == ["1.2.3"]
        assert not inbox.use_lull()
