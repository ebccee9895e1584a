"""Instances that a listener refuses, and what fails while it keeps one (FAULTS 47, 55)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AssociationAborted,
    Listener,
    Retrieval,
    StoreRequest,
    StoreScu,
)
from gurney.pacs.testing.upper_layer import fragments, p_data
from gurney.pacs.wire.arrival import Arrival
from gurney.pacs.wire.inbound import Inbox
from tests.pacs.callers import at, echoes, established, store_command
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MakeRequests, take

PRIVATE = "1.3.6.1.4.1.55555.1"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(folder: Path, fast_path: bool) -> Iterator[Listener]:
    with Listener("GURNEY", folder, fast_path=fast_path) as listener:
        yield listener


@pytest.mark.parametrize("uid", ["../../evil", "/etc/passwd", "1" * 65, "..", "1.2.3/../4"])
def test_a_uid_that_is_a_path_is_refused(listener: Listener, folder: Path, uid: str) -> None:
    with closing(established(listener)) as peer:
        for pdv in fragments(1, store_command(uid), 1000, is_command=True):
            peer.sendall(p_data(pdv))
        for pdv in fragments(1, b"\0" * 100, 1000, is_command=False):
            peer.sendall(p_data(pdv))
        answer = peer.recv(1 << 16)
    # Refused (A900), or not even a request: then aborted.
    assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\xa9" in answer or answer[:1] == b"\x07"
    assert not list(folder.iterdir())
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_request_that_fails_here_is_aborted_and_others_are_served(
    listener: Listener, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: object) -> int:
        raise OSError(errno.EIO, "in the words a name", "/folder/SMITH^JOHN")

    monkeypatch.setattr(Inbox, "keep", fails)
    with StoreScu("FRIEND").associate(at(listener), CT_ONLY) as association:
        (result,), failure = take(association.store(make_requests(1)))
    assert not result.is_stored
    assert isinstance(failure, AssociationAborted)
    assert "SMITH" not in caplog.text
    assert echoes(listener)


def test_an_instance_that_was_moved_meanwhile_is_answered_all_the_same(
    listener: Listener, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two peers may send one instance; whoever gets it from the first may move it."""
    settle = Arrival.settle

    def moved(arrival: Arrival, *, durable: bool = True) -> None:
        settle(arrival, durable=durable)
        arrival.path.unlink()

    monkeypatch.setattr(Arrival, "settle", moved)
    with (
        listener.expecting(Retrieval(study_instance_uid="1.2.3")) as expected,
        StoreScu("FRIEND").associate(at(listener), CT_ONLY) as association,
    ):
        (result,) = association.store(make_requests(1))
    assert result.is_stored
    assert expected.arrivals.empty()


def test_an_instance_under_another_uid_is_refused(listener: Listener, folder: Path) -> None:
    path = str(get_testdata_file("CT_small.dcm", download=False))
    sent = dcmread(path)
    offset = Path(path).read_bytes().index(b"\x08\x00\x05\x00CS")
    request = StoreRequest(path, CT, "1.2.3.4", str(sent.file_meta.TransferSyntaxUID), offset)
    with StoreScu("FRIEND").associate(at(listener), [ContextProposal(CT, EXPLICIT)]) as association:
        (result,) = association.store([request])
    assert result.status == 0xA900
    assert not list(folder.iterdir())


def test_an_instance_of_another_class_than_its_context_is_refused(listener: Listener, folder: Path) -> None:
    with closing(established(listener)) as peer:
        for pdv in fragments(1, store_command("1.2.3", PRIVATE), 1000, is_command=True):
            peer.sendall(p_data(pdv))
        for pdv in fragments(1, b"\0" * 100, 1000, is_command=False):
            peer.sendall(p_data(pdv))
        assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x22\x01" in peer.recv(1 << 16)
    assert not list(folder.iterdir())
