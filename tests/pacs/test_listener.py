"""The listener of a process: real and scripted callers, and those who mean harm.

DCMTK is the real caller; pynetdicom calls where one is needed that proposes what no tool does.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, AllStoragePresentationContexts
from pynetdicom.association import Association

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AssociationAborted,
    AssociationRejected,
    DicomEngine,
    Listener,
    ListenerError,
    RemoteAE,
    Retrieval,
    Scu,
    StoreRequest,
    StoreScu,
    Timeouts,
)
from gurney.pacs.accepted import is_overdue
from gurney.pacs.admission import is_storage_class, is_transfer_syntax
from gurney.pacs.arrival import Arrival
from gurney.pacs.deliveries import Deliveries
from gurney.pacs.testing.upper_layer import Proposed, associate, command_set, fragments, p_data
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MakeRequests, take
from tests.services.presence import program, require
from tests.services.waiting import wait_until

VERIFICATION = "1.2.840.10008.1.1"
IMPLICIT = "1.2.840.10008.1.2"
PRIVATE, FUTURE = "1.3.6.1.4.1.55555.1", "1.2.840.10008.5.1.4.1.1.9999"
# Seconds: nothing here waits for anything but a listener that cuts.
IMPATIENT = Timeouts(acse=0.4, network=0.4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(folder: Path) -> Iterator[Listener]:
    with Listener("GURNEY", folder) as listener:
        yield listener


@pytest.fixture
def impatient(folder: Path) -> Iterator[Listener]:
    with Listener("GURNEY", folder, timeouts=IMPATIENT) as listener:
        yield listener


def at(listener: Listener, ae_title: str = "GURNEY") -> RemoteAE:
    return RemoteAE(ae_title, "127.0.0.1", listener.port, Timeouts(acse=20, store=20))


def echoes(listener: Listener) -> bool:
    return Scu("FRIEND").verify(at(listener)).is_success


def caller(listener: Listener, *classes: str, syntaxes: tuple[str, ...] = (EXPLICIT,)) -> Association:
    ae = AE("FRIEND")
    for uid in classes:
        ae.add_requested_context(uid, list(syntaxes))
    return ae.associate("127.0.0.1", listener.port, ae_title="GURNEY")


def connected(listener: Listener) -> socket.socket:
    return socket.create_connection(("127.0.0.1", listener.port), timeout=20)


def established(listener: Listener, sop_class_uid: str = CT) -> socket.socket:
    peer = connected(listener)
    peer.sendall(associate("GURNEY", "FRIEND", [Proposed(1, sop_class_uid, (EXPLICIT,))], ()))
    assert peer.recv(1 << 16)[:1] == b"\x02"
    return peer


def is_cut(peer: socket.socket) -> bool:
    """Wait until the other side closes or aborts; what it says before that is read away."""
    try:
        while peer.recv(1 << 16):
            pass
    except ConnectionError:
        pass
    return True


def store_command(sop_instance_uid: str, sop_class_uid: str = CT) -> bytes:
    def uid(text: str) -> bytes:
        return text.encode() + b"\0" * (len(text) % 2)

    return command_set(
        {
            0x0002: uid(sop_class_uid),
            0x0100: struct.pack("<H", 1),
            0x0110: struct.pack("<H", 1),
            0x0700: struct.pack("<H", 0),
            0x0800: struct.pack("<H", 1),
            0x1000: uid(sop_instance_uid),
        }
    )


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


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.1.3.10",
        "1.2.840.10008.1.20.2",
        "1.2.840.10008.5.1.1.9",
        "1.2.840.10008.1.2.1",
        "../1",
    ],
    ids=["find", "dicomdir", "pull", "meta", "syntax", "path"],
)
def test_what_is_known_for_something_else_is_not(uid: str) -> None:
    assert not is_storage_class(uid)


def test_all_storage_classes_that_pynetdicom_knows_are() -> None:
    assert all(is_storage_class(str(context.abstract_syntax)) for context in AllStoragePresentationContexts)


def test_live_video_is_no_transfer_syntax_of_a_data_set() -> None:
    assert is_transfer_syntax("1.2.840.10008.1.2.4.201")
    assert not is_transfer_syntax("1.2.840.10008.1.2.7.1")
    assert not is_transfer_syntax(CT)


def test_the_callers_first_transfer_syntax_is_preferred(listener: Listener) -> None:
    assoc = caller(listener, CT, PRIVATE, syntaxes=("1.2.840.10008.1.2.4.70", EXPLICIT))
    taken = [str(context.transfer_syntax[0]) for context in assoc.accepted_contexts]
    assoc.release()
    assert taken == ["1.2.840.10008.1.2.4.70"] * 2


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


# --- Callers that mean harm (FAULTS 25 to 30, 47 to 49, 55) -----------------------------------------------------------


def drip(peer: socket.socket, data: bytes) -> None:
    try:
        for byte in data:
            peer.sendall(bytes([byte]))
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    "say",
    [
        lambda peer: None,
        lambda peer: peer.sendall(b"\x01\x00\x00\x00\x03\xe8"),
        lambda peer: drip(peer, b"\x01\x00\x00\x00\x03\xe8" + b"\0" * 1000),
        lambda peer: peer.sendall(b"\x01\x00\xff\xff\xff\xf0"),
        lambda peer: peer.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"),
        lambda peer: peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(200))),
        lambda peer: peer.sendall(p_data(b"\x00\x00\x00\x02\x01\x03")),
        lambda peer: peer.sendall(b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
        lambda peer: peer.sendall(b"\x63\x00\x00\x00\x00\x04\x00\x00\x00\x00"),
        lambda peer: peer.sendall(b"\x01\x00\x00\x00\x00\x08" + b"\xff" * 8),
        lambda peer: peer.shutdown(socket.SHUT_WR),
    ],
    ids=[
        "silent",
        "header",
        "drip",
        "4-GiB",
        "HTTP",
        "TLS",
        "data-first",
        "release-first",
        "unknown-PDU",
        "garbage-request",
        "closes",
    ],
)
def test_who_asks_for_nothing_is_cut_and_others_are_served(
    impatient: Listener, say: Callable[[socket.socket], object]
) -> None:
    with closing(connected(impatient)) as peer:
        say(peer)
        assert echoes(impatient)
        assert is_cut(peer)


def test_a_caller_that_leaves_without_a_word_leaves_nothing_behind(listener: Listener) -> None:
    before = threading.active_count()
    for _ in range(5):
        connected(listener).close()
    assert echoes(listener)
    # Well before anybody's patience with one who asks for nothing ends.
    wait_until(lambda: threading.active_count() <= before, what="the threads of who is gone to end")


def test_callers_that_reset_at_once_leave_nothing_behind(listener: Listener) -> None:
    """As the probes of load balancers do."""
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        peer = connected(listener)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
    assert echoes(listener)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, what="the descriptors of who is gone to be closed")


def test_a_system_without_threads_loses_one_caller_and_not_the_listener(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = len(os.listdir("/proc/self/fd"))
    start = threading.Thread.start

    def no_more(thread: threading.Thread) -> None:
        if thread.name == "listener's caller":
            raise RuntimeError("can't start new thread")
        start(thread)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_more)
        with closing(connected(listener)) as peer:
            assert is_cut(peer)
    assert echoes(listener)
    wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, what="the descriptors of the one to be closed")


def test_a_crowd_of_silent_callers_keeps_nobody_out(folder: Path) -> None:
    with Listener("GURNEY", folder, max_associations=4) as listener:
        crowd = [connected(listener) for _ in range(60)]
        try:
            for peer in crowd:
                peer.sendall(b"\x01\x00\x00\x00\x03\xe8")
            wait_until(lambda: echoes(listener), what="an echo")
            assert is_cut(crowd[0])
        finally:
            for peer in crowd:
                peer.close()


def forever(peer: socket.socket, head: bytes, fragment: bytes) -> None:
    try:
        peer.sendall(head)
        while True:
            peer.sendall(fragment)
            time.sleep(0.001)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("head", "fragment"),
    [
        (b"", p_data(struct.pack(">LBB", 2, 1, 1))),
        (b"".join(map(p_data, fragments(1, store_command("1.2.3"), 1000, is_command=True))), p_data(b"\0\0\0\2\1\0")),
        (b"", p_data(struct.pack(">LBB", 60002, 1, 1) + b"\0" * 60000)),
    ],
    ids=["empty-commands", "empty-data", "endless-command"],
)
def test_a_message_without_an_end_is_cut(impatient: Listener, folder: Path, head: bytes, fragment: bytes) -> None:
    with closing(established(impatient)) as peer:
        sender = threading.Thread(target=forever, args=(peer, head, fragment))
        sender.start()
        assert is_cut(peer)
        sender.join(20)
        assert not sender.is_alive()
    assert echoes(impatient)
    assert not list(folder.iterdir())


def test_an_idle_association_is_aborted(impatient: Listener) -> None:
    with closing(established(impatient)) as peer:
        assert is_cut(peer)


def test_many_requests_without_waiting_are_not_heaped_up(listener: Listener) -> None:
    echo = command_set(
        {
            0x0002: VERIFICATION.encode() + b"\0",
            0x0100: struct.pack("<H", 0x30),
            0x0110: struct.pack("<H", 1),
            0x0800: struct.pack("<H", 0x0101),
        }
    )
    one = b"".join(map(p_data, fragments(1, echo, 1000, is_command=True)))
    with closing(established(listener, VERIFICATION)) as peer:
        sender = threading.Thread(target=forever, args=(peer, b"", one * 500))
        sender.start()
        assert is_cut(peer)
        sender.join(20)
        assert not sender.is_alive()


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

    monkeypatch.setattr(Deliveries, "keep", fails)
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
        listener.expecting(Retrieval(study_instance_uid="1.2.3")) as arrivals,
        StoreScu("FRIEND").associate(at(listener), CT_ONLY) as association,
    ):
        (result,) = association.store(make_requests(1))
    assert result.is_stored
    assert arrivals.empty()


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


@pytest.mark.parametrize(
    ("seconds", "received", "overdue"),
    [(59, 0, False), (61, 0, True), (61, 2048, False), (600, 540 * 1024, False), (600, 539 * 1024, True)],
)
def test_a_message_must_bring_something(seconds: float, received: int, overdue: bool) -> None:
    assert is_overdue(seconds, received, 60) is overdue
