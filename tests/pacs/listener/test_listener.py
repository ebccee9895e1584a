"""The listener of a process: what it takes and from whom, and how it starts and ends.

DCMTK is the real caller; pynetdicom calls where one is needed that proposes what no tool does.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AssociationRejected,
    DicomEngine,
    Listener,
    ListenerError,
    Scu,
    StoreScu,
)
from gurney.pacs.testing.upper_layer import Proposed, associate
from tests.pacs.callers import VERIFICATION, at, caller, connected, echoes, established, is_cut
from tests.pacs.conftest import CT, EXPLICIT, MakeRequests
from tests.services.presence import program, require
from tests.services.waiting import wait_until

IMPLICIT = "1.2.840.10008.1.2"
PRIVATE, FUTURE = "1.3.6.1.4.1.55555.1", "1.2.840.10008.5.1.4.1.1.9999"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(folder: Path, fast_path: bool) -> Iterator[Listener]:
    with Listener("GURNEY", folder, fast_path=fast_path) as listener:
        yield listener


# --- What it takes ----------------------------------------------------------------------------------------------------


@pytest.mark.peer
def test_dcmtk_echoes_and_stores(listener: Listener, folder: Path) -> None:
    require("echoscu", "storescu")
    where = ["-aec", "GURNEY", "127.0.0.1", str(listener.port)]
    path = str(get_testdata_file("CT_small.dcm", download=False))
    subprocess.run([program("echoscu"), *where], check=True, timeout=30)
    subprocess.run([program("storescu"), *where, path], check=True, timeout=30)
    sent, (kept,) = dcmread(path), folder.iterdir()
    assert kept.name == f"{sent.SOPInstanceUID}.dcm"
    assert dcmread(kept).PixelData == sent.PixelData


@pytest.mark.parametrize("sop_class_uid", [CT, PRIVATE, FUTURE], ids=["known", "private", "future"])
def test_any_storage_class_is_taken(
    listener: Listener, folder: Path, make_requests: MakeRequests, sop_class_uid: str
) -> None:
    with StoreScu("FRIEND").associate(at(listener), [ContextProposal(sop_class_uid, EXPLICIT)]) as association:
        (result,) = association.store(make_requests(1, sop_class_uid=sop_class_uid))
    assert result.is_stored
    assert [path.name for path in folder.iterdir()] == ["1.2.3.1.dcm"]


def test_the_callers_first_transfer_syntax_is_preferred(listener: Listener) -> None:
    assoc = caller(listener, CT, PRIVATE, syntaxes=("1.2.840.10008.1.2.4.70", EXPLICIT))
    taken = [str(context.transfer_syntax[0]) for context in assoc.accepted_contexts]
    assoc.release()
    assert taken == ["1.2.840.10008.1.2.4.70"] * 2


@pytest.mark.parametrize("durable", [True, False])
def test_success_is_answered_when_it_is_on_disk_unless_that_is_not_wanted(
    folder: Path, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    written: list[int] = []
    monkeypatch.setattr(os, "fsync", written.append)
    with Listener("GURNEY", folder, durable=durable) as listener:
        (result,) = StoreScu().store_many(at(listener), make_requests(1))
    assert result.is_stored
    assert bool(written) is durable
    assert len(list(folder.iterdir())) == 1


def test_without_a_folder_it_takes_no_instances() -> None:
    with Listener("GURNEY") as listener:
        assert echoes(listener)
        assoc = caller(listener, CT, VERIFICATION)
        assert [str(context.abstract_syntax) for context in assoc.accepted_contexts] == [VERIFICATION]
        assoc.release()


# --- Whom it takes ----------------------------------------------------------------------------------------------------


def test_a_wrong_called_title_is_rejected(listener: Listener) -> None:
    with pytest.raises(AssociationRejected) as rejected:
        Scu("FRIEND").verify(at(listener, "SOMEBODY"))
    assert (rejected.value.source, rejected.value.reason) == (1, 7)


def test_only_callers_that_are_allowed_are_taken() -> None:
    with Listener("GURNEY", calling_ae_titles=["FRIEND"]) as listener:
        assert echoes(listener)
        with pytest.raises(AssociationRejected) as rejected:
            Scu("MALLORY").verify(at(listener))
    assert (rejected.value.source, rejected.value.reason) == (1, 3)


@pytest.mark.parametrize(
    ("called", "calling", "answer"),
    [
        (b"GURNEY" + b"\0" * 10, b"FRIEND" + b"\0" * 10, b"\x02"),
        (b"GURNEY" + b"\0" * 10, b"MALLORY" + b"\0" * 9, b"\x03"),
        (b"SOMEBODY" + b"\0" * 8, b"FRIEND" + b"\0" * 10, b"\x03"),
        (b"GURNEY" + b" " * 10, b"FRIEND\0 \0" + b" " * 7, b"\x02"),
        (b"GURNEY" + b" " * 10, b"FRI\0END" + b" " * 9, b"\x07"),
        (b"GURNEY" + b" " * 10, b"\0" * 16, b"\x07"),
    ],
    ids=["allowed", "unknown caller", "other called", "mixed", "within", "nothing but"],
)
def test_nuls_behind_a_title_are_no_part_of_it(called: bytes, calling: bytes, answer: bytes) -> None:
    request = associate("", "", [Proposed(1, VERIFICATION, (IMPLICIT,))])
    with Listener("GURNEY", calling_ae_titles=["FRIEND"]) as listener, closing(connected(listener)) as peer:
        peer.sendall(request[:10] + called + calling + request[42:])
        assert peer.recv(1 << 16)[:1] == answer


def test_beyond_its_limit_it_rejects_for_now() -> None:
    with Listener("GURNEY", max_associations=1) as listener:
        with (
            Scu("FRIEND").associate(at(listener), [ContextProposal(VERIFICATION, IMPLICIT)]),
            pytest.raises(AssociationRejected) as rejected,
        ):
            echoes(listener)
        assert (rejected.value.result, rejected.value.source, rejected.value.reason) == (2, 3, 2)
        wait_until(lambda: echoes(listener), what="room for another")


# --- Up and down ------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_a_clear_error(listener: Listener) -> None:
    with (
        pytest.raises(ListenerError, match=f"port {listener.port} of 127.0.0.1 is taken: another listener"),
        Listener("OTHER", port=listener.port),
    ):
        pass
    assert echoes(listener)


def test_it_is_shared_and_ends_with_its_last_user(listener: Listener) -> None:
    with listener:
        assert echoes(listener)
    assert echoes(listener)
    listener.stop()
    with pytest.raises(ConnectionRefusedError):
        connected(listener)


def test_it_starts_again_on_the_same_port() -> None:
    listener = Listener("GURNEY")
    ports = set()
    for _ in range(3):
        with listener:
            ports.add(listener.port)
            assert echoes(listener)
    assert len(ports) == 1


def test_the_engine_ends_it_with_what_is_open(folder: Path) -> None:
    before = threading.active_count()
    listener = Listener("GURNEY", folder)
    with closing(established(listener.__enter__())) as peer, closing(connected(listener)) as silent:
        DicomEngine.shutdown()
        assert is_cut(peer)
        assert is_cut(silent)
    DicomEngine.startup()
    listener.stop()
    wait_until(lambda: threading.active_count() <= before, what="all threads to end")


def test_outside_an_engine_it_does_not_start() -> None:
    DicomEngine.shutdown()
    try:
        with pytest.raises(Exception, match="no DicomEngine"):
            Listener("GURNEY").start()
    finally:
        DicomEngine.startup()


@pytest.mark.parametrize("what", ["missing", "file"])
def test_a_folder_in_which_nothing_can_be_kept_is_told_at_the_start(tmp_path: Path, what: str) -> None:
    place = tmp_path / what
    if what == "file":
        place.touch()
    listener = Listener("GURNEY", place)
    with pytest.raises(ListenerError, match=r"nothing can be kept in .*make the folder first"):
        listener.start()
    place.unlink(missing_ok=True)
    place.mkdir()
    with listener:
        assert echoes(listener)
