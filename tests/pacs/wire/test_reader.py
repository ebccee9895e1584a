from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gurney.pacs.errors import AssociationEnded, BadResponse, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.wire.patience import Patience
from gurney.pacs.wire.pdu import frame_message
from gurney.pacs.wire.reader import HandBack, Heard, Reader
from gurney.pacs.wire.wire_socket import LONGEST_PDU, Loss, WireSocket

COMMAND, DATA, LAST = 1, 0, 2


class Line:
    """What a reader needs of a lent wire, on a pair of sockets whose other end is the test's."""

    def __init__(self) -> None:
        self.peer, self.connection = socket.socketpair()
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self.connection.setblocking(False)
        self.fd = self.connection.fileno()
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self.loss: Loss | None = None

    def lose(self, loss: Loss) -> None:
        self.loss = loss

    def unacknowledged(self) -> int:
        return 0

    def close(self) -> None:
        self.peer.close()
        self.connection.close()
        os.close(self.wake_fd)


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def reader_of(line: Line, size: int = 1 << 17) -> tuple[Reader, Patience]:
    wire, progress = cast(WireSocket, cast(Any, line)), Progress()
    return Reader(wire, progress, size), Patience(wire, progress, 0.2)


def pdv(context_id: int, control: int, part: bytes) -> bytes:
    return struct.pack(">IBB", len(part) + 2, context_id, control) + part


def pdu(*pdvs: bytes, kind: int = 4) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", kind, 0, len(body)) + body


def collected(reader: Reader, context_id: int, patience: Patience) -> bytes:
    data = bytearray()
    reader.dataset(context_id, lambda *pieces: data.extend(b"".join(pieces)), patience)
    return bytes(data)


# --- Command sets -----------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(min_size=1, max_size=300), st.integers(1, 255), st.integers(1, 200).map(lambda n: 2 * n))
def test_what_is_framed_is_read_again(line: Line, command: bytes, context_id: int, fragment: int) -> None:
    reader, patience = reader_of(line)
    framed = frame_message(command, context_id, fragment, COMMAND)
    line.peer.sendall(framed + framed)
    for _ in range(2):
        assert reader.command(patience) == Heard(context_id, command)
        reader.take()
    assert not reader.has_unread


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(st.binary(min_size=1, max_size=60), st.data())
def test_it_waits_for_the_last_byte(line: Line, command: bytes, data: st.DataObject) -> None:
    wire, progress = cast(WireSocket, cast(Any, line)), Progress()
    reader, patience = Reader(wire, progress), Patience(wire, progress, 0.001)
    framed = frame_message(command, 1, 8, COMMAND)
    cut = data.draw(st.integers(0, len(framed) - 1))
    line.peer.sendall(framed[:cut])
    with pytest.raises(DimseTimeout):
        reader.command(patience)
    line.peer.sendall(framed[cut:])
    patience.renew()
    assert reader.command(patience).command == command
    reader.take()


def test_what_was_shown_goes_back_whole_unless_it_is_taken(line: Line) -> None:
    reader, patience = reader_of(line)
    framed = frame_message(b"for somebody else", 5, 4, COMMAND)
    line.peer.sendall(framed)
    reader.command(patience)
    assert reader.take_unread() == framed
    assert not reader.has_unread


def test_fragments_may_share_pdus_and_be_empty(line: Line) -> None:
    reader, patience = reader_of(line)
    line.peer.sendall(
        pdu(pdv(3, COMMAND, b"ab"), pdv(3, COMMAND, b""))
        + pdu()
        + pdu(pdv(3, COMMAND | LAST, b"cd"), pdv(3, DATA, b"x"))
    )
    line.peer.sendall(pdu(pdv(3, LAST, b"yz"), pdv(3, COMMAND | LAST, b"next")))
    assert reader.command(patience).command == b"abcd"
    reader.take()
    assert collected(reader, 3, patience) == b"xyz"
    assert reader.is_mid_pdu
    assert reader.command(patience).command == b"next"
    reader.take()
    assert not reader.is_mid_pdu


@pytest.mark.parametrize(
    "received",
    [
        struct.pack(">BBI", 4, 0, LONGEST_PDU + 1),
        pdu(pdv(3, DATA, b"data set")),
        pdu(pdv(3, LAST, b"data set")),
        pdu(b"\0\0\0\x01\x03\x03"),
        pdu(b"\0\0\0\xff\x03\x03"),
        pdu(b"\0\0\0") + bytes(3),
        pdu(*[pdv(3, COMMAND, b"")] * 12_000),
        pdu(pdv(3, COMMAND, bytes(1 << 17))),
        pdu() * 12_000,
    ],
    ids=["long", "data", "last-data", "short-item", "long-item", "torn", "empty", "endless", "nothing"],
)
def test_what_is_no_command(line: Line, received: bytes) -> None:
    reader, patience = reader_of(line)
    line.peer.sendall(received)
    with pytest.raises(BadResponse):
        reader.command(patience)


@pytest.mark.parametrize("before", [b"", pdu(pdv(3, COMMAND, b"cut off"))], ids=["alone", "within"])
@pytest.mark.parametrize("kind", [5, 7, 9])
def test_another_pdu_is_for_somebody_else(line: Line, before: bytes, kind: int) -> None:
    reader, patience = reader_of(line)
    line.peer.sendall(before + pdu(b"\0\0\0\0", kind=kind))
    with pytest.raises(HandBack):
        reader.command(patience)
    assert reader.is_at_other_pdu
    assert reader.take_unread() == pdu(b"\0\0\0\0", kind=kind)


def test_the_end_is_for_somebody_else_too(line: Line) -> None:
    reader, patience = reader_of(line)
    line.peer.close()
    with pytest.raises(HandBack):
        reader.command(patience)
    assert line.loss is Loss.CLOSED


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_do_harm(received: bytes) -> None:
    line = Line()
    try:
        reader, patience = reader_of(line)
        line.peer.sendall(received)
        line.peer.shutdown(socket.SHUT_WR)
        with contextlib.suppress(HandBack, BadResponse):
            while reader.command(patience):
                reader.take()
        assert line.loss is not None or reader.has_unread
    finally:
        line.close()


# --- Data sets --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 1, 16_000, 300_000])
@pytest.mark.parametrize("fragment", [2, 16_378, 131_066], ids=str)
def test_a_data_set_streams_through_a_smaller_buffer(line: Line, length: int, fragment: int) -> None:
    data = os.urandom(length if fragment > 2 else min(length, 20_000))
    parts = [data[at : at + fragment] for at in range(0, len(data), fragment)] or [b""]
    message = frame_message(b"command", 3, 16, COMMAND)
    message += b"".join(
        pdu(pdv(3, LAST if place == len(parts) - 1 else DATA, part)) for place, part in enumerate(parts)
    )
    reader, patience = reader_of(line, 1 << 17)
    line.peer.sendall(message + frame_message(b"after", 3, 16, COMMAND))
    assert reader.command(patience).command == b"command"
    reader.take()
    assert collected(reader, 3, patience) == data
    assert reader.command(patience).command == b"after"


def test_what_came_together_is_given_together(line: Line) -> None:
    """Each call of ``write`` is one of the system's, which takes no more than 1,024 pieces."""
    reader, patience = reader_of(line)
    parts = [b"ab"] * 1299
    message = b"".join(pdu(pdv(3, DATA, part)) for part in parts) + pdu(pdv(3, LAST, b"cd"))
    line.peer.sendall(frame_message(b"command", 3, 16, COMMAND) + message)
    reader.command(patience)
    reader.take()
    given: list[int] = []
    reader.dataset(3, lambda *pieces: given.append(len(pieces)), patience)
    assert sum(given) == 1300
    assert max(given) == 512


@pytest.mark.parametrize(
    "received",
    [pdu(pdv(3, COMMAND, b"ab")), pdu(pdv(5, DATA, b"ab")), pdu(b"\0\0\0\xff\x03\0"), pdu(b"\0\0\0\1\x03\0")],
    ids=["command", "context", "long-item", "short-item"],
)
def test_what_does_not_belong_into_a_data_set(line: Line, received: bytes) -> None:
    reader, patience = reader_of(line)
    line.peer.sendall(frame_message(b"command", 3, 16, COMMAND) + received)
    reader.command(patience)
    reader.take()
    with pytest.raises(BadResponse):
        collected(reader, 3, patience)


@pytest.mark.parametrize("nothing", [pdu(pdv(3, DATA, b"")), pdu()], ids=["fragments", "pdus"])
def test_empty_fragments_without_an_end_are_cut(line: Line, nothing: bytes) -> None:
    reader, _ = reader_of(line)
    patience = Patience(cast(WireSocket, cast(Any, line)), Progress(), 0.0)
    line.peer.sendall(frame_message(b"command", 3, 16, COMMAND) + nothing * 3)
    reader.command(patience)
    reader.take()
    with pytest.raises(DimseTimeout):
        collected(reader, 3, patience)


def test_an_abort_within_a_data_set_is_for_somebody_else(line: Line) -> None:
    reader, patience = reader_of(line)
    abort = pdu(b"\0\0\0\0", kind=7)
    line.peer.sendall(frame_message(b"command", 3, 16, COMMAND) + pdu(pdv(3, DATA, b"ab")) + abort)
    reader.command(patience)
    reader.take()
    with pytest.raises(HandBack):
        collected(reader, 3, patience)
    assert reader.take_unread() == abort


def test_what_was_cut_off_in_a_pdu_does_not_go_back(line: Line) -> None:
    reader, patience = reader_of(line)
    line.peer.sendall(frame_message(b"command", 3, 16, COMMAND) + pdu(pdv(3, DATA, b"abcdef"))[:-3])
    line.peer.shutdown(socket.SHUT_WR)
    reader.command(patience)
    reader.take()
    with pytest.raises(HandBack):
        collected(reader, 3, patience)
    assert reader.take_unread() == b""


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_a_wait_ends_when_somebody_wants_it(line: Line) -> None:
    reader, patience = reader_of(line)
    os.eventfd_write(line.wake_fd, 1)
    with pytest.raises(AssociationEnded):
        reader.command(patience)


def test_somebody_looks_on_while_it_waits(line: Line) -> None:
    class Enough(Exception):
        pass

    def glance() -> None:
        raise Enough

    wire, progress = cast(WireSocket, cast(Any, line)), Progress()
    with pytest.raises(Enough):
        Reader(wire, progress).command(Patience(wire, progress, 60, glance=glance))
