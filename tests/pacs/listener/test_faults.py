"""Callers of a listener that mean harm, or know no better (FAULTS 25 to 30, 48 and 49)."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gurney.pacs import (
    Listener,
    Timeouts,
)
from gurney.pacs.testing.upper_layer import command_set, fragments, p_data
from tests.pacs.callers import VERIFICATION, connected, echoes, established, is_cut, store_command
from tests.services.waiting import wait_until

# Seconds: nothing here waits for anything but a listener that cuts.
IMPATIENT = Timeouts(acse=0.4, network=0.4)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


@pytest.fixture
def listener(folder: Path, fast_path: bool) -> Iterator[Listener]:
    with Listener("GURNEY", folder, fast_path=fast_path) as listener:
        yield listener


@pytest.fixture
def impatient(folder: Path, fast_path: bool) -> Iterator[Listener]:
    with Listener("GURNEY", folder, timeouts=IMPATIENT, fast_path=fast_path) as listener:
        yield listener


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
