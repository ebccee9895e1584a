from __future__ import annotations

import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.pacs.wire_log.overheard import MOST_KEPT, Fragments, Kept, Overheard


class Heard:
    """Whatever is overheard, one thing after the other."""

    def __init__(self) -> None:
        self.things: list[object] = []

    def on_pdu(self, kind: int, body: Kept) -> None:
        self.things.append(("pdu", kind, body))

    def on_data(self, length: int, fragments: tuple[Fragments, ...]) -> None:
        self.things.append(("data", length, fragments))

    def on_command(self, context_id: int, command: Kept) -> None:
        self.things.append(("command", context_id, command))

    def on_dataset(self, context_id: int, dataset: Kept) -> None:
        self.things.append(("data set", context_id, dataset))

    def on_nonsense(self, what: str) -> None:
        self.things.append(("nonsense", what))


def data_tf(*fragments: tuple[int, int, bytes]) -> bytes:
    body = b"".join(struct.pack(">IBB", len(part) + 2, context, control) + part for context, control, part in fragments)
    return struct.pack(">BBI", 4, 0, len(body)) + body


STREAM = (
    struct.pack(">BBI", 5, 0, 4)
    + bytes(4)
    + data_tf((1, 1, b"com"), (1, 3, b"mand"), (1, 0, b"da"))
    + data_tf((1, 0, b""), (1, 2, b"ta"))
    + data_tf()
    + struct.pack(">BBI", 7, 0, 0)
)


def overhear(stream: bytes, cut: Callable[[int], int] = lambda _: 1 << 20) -> list[object]:
    heard = Heard()
    overheard, at = Overheard(heard), 0
    while at < len(stream):
        length = cut(at)
        overheard.hear(memoryview(stream)[at : at + length])
        at += length
    return heard.things


def test_messages_are_put_together() -> None:
    assert overhear(STREAM) == [
        ("pdu", 5, Kept(bytes(4), 4)),
        ("data", 27, (Fragments(1, 1, 1, 3), Fragments(1, 3, 1, 4), Fragments(1, 0, 1, 2))),
        ("command", 1, Kept(b"command", 7)),
        ("data", 14, (Fragments(1, 0, 1, 0), Fragments(1, 2, 1, 2))),
        ("data set", 1, Kept(b"data", 4)),
        ("data", 0, ()),
        ("pdu", 7, Kept(b"", 0)),
    ]


@given(st.lists(st.integers(1, 9), min_size=len(STREAM), max_size=len(STREAM)))
def test_however_the_bytes_come(cuts: list[int]) -> None:
    assert overhear(STREAM, lambda at: cuts[at]) == overhear(STREAM)


@pytest.mark.parametrize(
    "stream",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        struct.pack(">BBIIBB", 4, 0, 10, 11, 1, 0) + bytes(20),
        struct.pack(">BBIIBB", 4, 0, 10, 1, 1, 0) + bytes(20),
        struct.pack(">BBI", 4, 0, 3) + bytes(20),
    ],
    ids=["http", "a fragment too long", "a fragment too short", "a header cut off"],
)
def test_nonsense_is_said_once(stream: bytes) -> None:
    things = overhear(stream + STREAM, lambda _: 3)
    assert [thing[0] for thing in things if isinstance(thing, tuple)] == ["nonsense"]


@given(st.binary(max_size=200))
def test_nothing_makes_it_raise(stream: bytes) -> None:
    overhear(STREAM + b"\x04\x00" + stream, lambda _: 7)


def test_of_what_is_long_the_beginning_is_kept() -> None:
    pdu = data_tf((1, 0, bytes(60_000)))
    last = data_tf((1, 2, b"\1"))
    things = overhear(pdu * 100 + last)
    assert things[-1] == ("data set", 1, Kept(bytes(MOST_KEPT), 6_000_001))
