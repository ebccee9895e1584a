from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.pacs import request_for_file
from gurney.pacs.wire.arrival import Arrival
from tests.pacs.datasets import noise

SYNTAX = "1.2.840.10008.1.2.1"


@pytest.mark.parametrize("name", ["CT_small.dcm", "JPEG2000.dcm", "SC_rgb_rle_2frame.dcm"])
def test_the_file_is_one_that_others_read(tmp_path: Path, name: str) -> None:
    request = request_for_file(str(get_testdata_file(name, download=False)))
    content = Path(request.path).read_bytes()[request.dataset_offset :]
    arrival = Arrival(tmp_path, request.sop_class_uid, request.sop_instance_uid, request.transfer_syntax_uid)
    for at in range(0, len(content), 1000):
        arrival.write(memoryview(content)[at : at + 1000])
    assert arrival.close() == 0
    assert not arrival.path.exists()
    arrival.settle()
    meta = dcmread(arrival.path).file_meta
    assert meta.FileMetaInformationGroupLength == request_for_file(arrival.path).dataset_offset - 132 - 12
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID) == (
        request.sop_class_uid,
        request.sop_instance_uid,
        request.transfer_syntax_uid,
    )
    assert arrival.path.read_bytes().endswith(content)


@pytest.mark.parametrize("uid", ["../1.2", "/etc/1.2", "1.2\0", "1.2." + "3" * 64, "", "1..2", "é"])
def test_a_uid_that_is_none_never_names_a_file(tmp_path: Path, uid: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    for arrival in (Arrival(inside, "1.2.3", uid, SYNTAX), Arrival(inside, uid, "1.2.3", SYNTAX)):
        arrival.write(b"anything")
        assert arrival.close() == 0xA900
    assert (os.listdir(tmp_path), os.listdir(inside)) == (["inside"], [])


@pytest.mark.parametrize("claimed", [("1.2.3", None), (None, "1.2.3")], ids=["class", "instance"])
def test_an_instance_that_is_another_one_is_not_kept(tmp_path: Path, claimed: tuple[str | None, str | None]) -> None:
    request = request_for_file(str(get_testdata_file("CT_small.dcm", download=False)))
    content = Path(request.path).read_bytes()[request.dataset_offset :]
    arrival = Arrival(
        tmp_path,
        claimed[0] or request.sop_class_uid,
        claimed[1] or request.sop_instance_uid,
        request.transfer_syntax_uid,
    )
    for byte in range(0, 2000, 7):
        arrival.write(content[byte : byte + 7])
    assert arrival.close() == 0xA900
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("taken", [100, 340, 1100])
def test_a_disk_that_takes_little_at_a_time_gets_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[:3]))
    monkeypatch.setattr(os, "writev", lambda fd, parts: write(fd, b"".join(parts)[:taken]))
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    content = noise("1.2.3", "1.2.3.4", 1000)
    arrival.write(content[:10], content[10:20], memoryview(content)[20:500])
    arrival.write(content[500:600], content[600:])
    assert arrival.close() == 0
    arrival.settle()
    assert arrival.path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert arrival.path.read_bytes().endswith(content)


def test_a_full_disk_is_the_answer_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _parts: Sequence[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "writev", full)
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(b"ab")
    arrival.write(b"cd")
    assert arrival.close() == 0xA700
    assert os.listdir(tmp_path) == []


def test_a_disk_that_fills_has_its_room_back_before_the_message_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_fd: int, _parts: Sequence[bytes]) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(b"ab")
    monkeypatch.setattr(os, "writev", full)
    arrival.write(b"cd")
    assert os.listdir(tmp_path) == []
    assert arrival.close() == 0xA700


def test_a_disk_that_fails_at_the_end_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrival = Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX)
    arrival.write(noise("1.2.3", "1.2.3.4"))
    assert arrival.close() == 0

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        arrival.settle()
    assert os.listdir(tmp_path) == []


def test_two_of_one_name_do_not_meet_on_their_way(tmp_path: Path) -> None:
    first, second = (Arrival(tmp_path, "1.2.3", "1.2.3.4", SYNTAX) for _ in range(2))
    content = noise("1.2.3", "1.2.3.4")
    for part in (content[:30], content[30:]):
        first.write(part)
        second.write(part)
    for arrival in (first, second):
        assert arrival.close() == 0
        arrival.settle()
    assert os.listdir(tmp_path) == ["1.2.3.4.dcm"]
    assert first.path.read_bytes().endswith(content)
