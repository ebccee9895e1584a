from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from gurney.pacs.errors import AssociationFailure, TlsFailed, TlsProblem
from gurney.pacs.tls import Tls
from gurney.pacs.tls.contexts import client_context
from gurney.pacs.tls.secure_socket import SecureSocket
from tests.pacs.tls_relay import server_side
from tests.services.certificates import Authority


class Pair(NamedTuple):
    ours: SecureSocket
    theirs: ssl.SSLSocket

    def wait(self) -> bool:
        """Wait until there is something to read, and tell whether the system says so."""
        poll = select.poll()
        poll.register(self.ours, select.POLLIN)
        for _ in range(100):
            if poll.poll(50):
                return True
            if self.ours.has_pending():
                break
        return False


def explain(error: ssl.SSLError) -> AssociationFailure:
    return TlsFailed(TlsProblem.OTHER, str(error.reason))


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    authority = Authority(tmp_path_factory.mktemp("ca"))
    return client_context(Tls(ca=authority.file)), server_side(authority.issue("server"))


@pytest.fixture
def pair(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> Iterator[Pair]:
    near, far = socket.socketpair()
    client = contexts[0].wrap_socket(near, server_hostname="localhost", do_handshake_on_connect=False)
    server = contexts[1].wrap_socket(far, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=False)
    server.settimeout(5)
    shaking = threading.Thread(target=server.do_handshake)
    shaking.start()
    client.do_handshake()
    shaking.join()
    client.setblocking(False)
    pair = Pair(SecureSocket(client, explain), server)
    yield pair
    pair.ours.close()
    server.close()


def test_a_session_ticket_is_not_for_us(pair: Pair) -> None:
    """TLS 1.3 makes the descriptor readable after every handshake, without a byte of the peer's."""
    assert pair.wait()
    assert not pair.ours.has_pending()
    assert not pair.ours.is_for_us()
    with pytest.raises(BlockingIOError):
        pair.ours.recv(10)


def test_what_was_read_ahead_comes_first(pair: Pair) -> None:
    pair.theirs.send(b"one")
    pair.theirs.send(b"two")
    assert pair.wait()
    assert pair.ours.is_for_us()
    assert pair.ours.has_pending()
    assert pair.ours.recv(2) == b"on"
    buffer = memoryview(bytearray(10))
    assert pair.ours.recv_into(buffer) == 1
    assert pair.ours.recv_into(buffer[1:]) == 3
    assert bytes(buffer[:4]) == b"etwo"


def test_the_rest_of_a_record_is_pending_though_poll_is_silent(pair: Pair) -> None:
    pair.theirs.send(bytes(1000))
    assert pair.wait()
    while True:
        try:
            assert len(pair.ours.recv(6)) == 6
            break
        except BlockingIOError:
            pair.wait()
    poll = select.poll()
    poll.register(pair.ours, select.POLLIN)
    assert not poll.poll(0)
    assert pair.ours.has_pending()
    assert len(pair.ours.recv(2000)) == 994
    assert not pair.ours.has_pending()


def test_a_full_line_blocks_nobody_and_loses_nothing(pair: Pair) -> None:
    data = memoryview(bytes(range(256)) * 20_000)
    received = bytearray()
    with pytest.raises(BlockingIOError):  # noqa: PT012 - until it is full
        rest = data
        while rest:
            rest = rest[pair.ours.send(rest) :]
    while len(received) < len(data):
        while rest:
            try:
                rest = rest[pair.ours.send(rest) :]
            except BlockingIOError:
                break
        received += pair.theirs.recv(1 << 16)
    assert received == data


@pytest.mark.parametrize("is_polite", [True, False], ids=["close_notify", "FIN"])
@pytest.mark.parametrize("looks_first", [True, False])
def test_the_end_is_told_after_the_last_bytes(pair: Pair, is_polite: bool, looks_first: bool) -> None:
    """PDUs tell their lengths, so that an end without close_notify cuts nothing off unseen."""
    pair.theirs.send(b"last")
    if is_polite:
        pair.theirs.settimeout(0)
        with pytest.raises(ssl.SSLWantReadError):
            pair.theirs.unwrap()
    else:
        pair.theirs.shutdown(socket.SHUT_WR)
    if looks_first:
        assert pair.ours.is_for_us()
    assert pair.ours.recv(10) == b"last"
    if looks_first:
        assert pair.ours.is_for_us()
        assert pair.ours.has_pending()
    assert pair.ours.recv(10) == b""
    assert pair.ours.failure is None


def test_goodbye_waits_for_nobody(pair: Pair) -> None:
    pair.ours.say_goodbye()
    pair.ours.say_goodbye()
    pair.ours.shutdown(socket.SHUT_RDWR)
    assert pair.theirs.recv(10) == b""
    pair.ours.close()
    pair.ours.say_goodbye()
    assert pair.ours.fileno() == -1
    assert not pair.ours.has_pending()


def test_a_hang_up_ends_a_read_and_shows_no_encrypted_byte(pair: Pair) -> None:
    pair.theirs.send(b"encrypted")
    pair.ours.shutdown(socket.SHUT_RDWR)
    assert pair.ours.recv(100) in {b"encrypted", b""}


def test_what_comes_in_place_of_the_first_byte_is_explained(pair: Pair) -> None:
    socket.socket.sendall(pair.theirs, b"this is no record")
    assert pair.wait()
    assert pair.ours.is_for_us()
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            pair.ours.recv(10)
    assert pair.ours.failure is not None


def test_what_a_peer_said_before_it_closed_is_heard_by_who_sends(pair: Pair) -> None:
    socket.socket.sendall(pair.theirs, b"this is no record")
    pair.theirs.close()
    with pytest.raises(OSError):
        pair.ours.send(memoryview(b"x"))
    assert pair.ours.failure is not None


def test_what_comes_later_is_a_broken_connection(pair: Pair) -> None:
    pair.theirs.send(b"x")
    assert pair.ours.is_for_us()
    assert pair.ours.recv(10) == b"x"
    socket.socket.sendall(pair.theirs, b"this is no record")
    with pytest.raises(ssl.SSLError):
        pair.ours.recv(10)
    assert pair.ours.failure is None


def test_threads_take_turns(pair: Pair) -> None:
    """One looks while another reads and writes, as the carriers and pynetdicom's thread do."""
    echoes, rounds = bytearray(), 300
    done = threading.Event()

    def echo() -> None:
        for _ in range(rounds):
            pair.theirs.sendall(pair.theirs.recv(100))

    def look() -> None:
        while not done.is_set():
            pair.ours.has_pending()
            pair.ours.is_for_us()

    threads = [threading.Thread(target=echo), threading.Thread(target=look)]
    for thread in threads:
        thread.start()
    for number in range(rounds):
        pair.ours.send(memoryview(bytes([number % 256])))
        while len(echoes) <= number:
            try:
                echoes += pair.ours.recv(10)
            except BlockingIOError:
                pair.wait()
    done.set()
    for thread in threads:
        thread.join()
    assert echoes == bytes(number % 256 for number in range(rounds))
