"""What lies beneath may be readable without a byte for us, and hold bytes of which poll knows nothing."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom.ae import ApplicationEntity

from gurney.pacs import QueryRetrieveScu, Retrieval, StoreScu
from gurney.pacs.progress import Progress
from gurney.pacs.testing import FakePacs
from gurney.pacs.wire.fast_store import HandBack, Wire
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.transport import PlainSocket
from gurney.pacs.wire.wire_socket import WireSocket
from tests.pacs.conftest import CT, CT_ONLY, MakeRequests

OWN = b"\xff"
CT_SMALL = dcmread(str(get_testdata_file("CT_small.dcm")))


class Talkative(PlainSocket):
    """A transport with messages of its own, each one byte, that reads ahead of who asks."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(fileno=connection.detach())
        self.setblocking(False)
        self.ahead = b""
        self.is_dry = threading.Event()

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.is_for_us()
        if not self.ahead:
            self.is_dry.set()
            raise BlockingIOError
        taken, self.ahead = self.ahead[:size], self.ahead[size:]
        return taken

    def has_pending(self) -> bool:
        return bool(self.ahead)

    def is_for_us(self) -> bool:
        with suppress(BlockingIOError):
            self.ahead += super().recv(1 << 16).replace(OWN, b"")
        return bool(self.ahead)


@pytest.fixture
def ends() -> Iterator[tuple[WireSocket, socket.socket]]:
    near, far = socket.socketpair()
    entity = ApplicationEntity()
    entity.network_timeout = 5
    wire = PacedAssociation(entity, Talkative(near)).wire
    wire._is_connected = True
    yield wire, far
    wire.dispose()
    far.close()


def test_a_message_of_the_transport_is_no_input(ends: tuple[WireSocket, socket.socket]) -> None:
    """Taken for one, pynetdicom's thread would wait for the rest of a PDU, and send nothing meanwhile."""
    wire, far = ends
    for look in (lambda: wire.ready, wire.has_input, wire._rest):
        far.sendall(OWN)
        assert not look()
    far.sendall(b"x")
    assert wire.ready


def test_a_message_of_the_transport_does_not_disturb_the_fast_path(ends: tuple[WireSocket, socket.socket]) -> None:
    wire, far = ends
    borrower = Wire(wire, 16384, 5.0, Progress())
    far.sendall(OWN)
    borrower.check_quiet()
    far.sendall(b"x")
    with pytest.raises(HandBack):
        borrower.check_quiet()


def test_what_is_pending_is_read(ends: tuple[WireSocket, socket.socket]) -> None:
    wire, far = ends
    far.sendall(b"123456789")
    assert wire.recv(4) == b"1234"
    assert wire.has_input()
    assert wire.ready
    assert wire.recv(5) == b"56789"
    assert not wire.has_input()


def test_who_waits_for_the_rest_gets_what_another_thread_has_taken_in(ends: tuple[WireSocket, socket.socket]) -> None:
    wire, far = ends
    received: list[bytes] = []
    far.sendall(b"12")
    reading = threading.Thread(target=lambda: received.append(bytes(wire.recv(4))))
    reading.start()
    # As a look from another thread does it, between the reader's try and its wait.
    assert isinstance(wire.connection, Talkative)
    assert wire.connection.is_dry.wait(5)
    wire.connection.ahead += b"34"
    reading.join(5)
    assert received == [b"1234"]


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "plain"])
def test_the_first_part_of_each_answer_is_acknowledged_at_once(
    fast_path: bool, make_requests: MakeRequests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A peer with Nagle's algorithm sends the rest only then; the system alone would make it wait for 40 ms."""
    asked: Counter[str] = Counter()
    set_option = PlainSocket.setsockopt

    def note(self: PlainSocket, level: int, name: int, *value: int) -> None:
        asked["quick"] += (level, name) == (socket.IPPROTO_TCP, socket.TCP_QUICKACK)
        set_option(self, level, name, *value)

    monkeypatch.setattr(PlainSocket, "setsockopt", note)
    with FakePacs(holdings=[CT_SMALL]) as pacs:
        with StoreScu(fast_path=fast_path).associate(pacs.remote(), CT_ONLY) as association:
            before = asked["quick"]
            list(association.store(make_requests(3)))
            assert asked["quick"] - before >= 3
        with QueryRetrieveScu(fast_path=fast_path).associate_to_get(pacs.remote(), [CT]) as association:
            before = asked["quick"]
            (received,) = association.get(Retrieval(study_instance_uid=CT_SMALL.StudyInstanceUID), tmp_path)
            assert received.path.exists()
            # The C-GET, and our answer to the C-STORE.
            assert asked["quick"] - before >= 2
