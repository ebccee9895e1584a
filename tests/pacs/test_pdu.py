from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.pacs.pdu import LONGEST_FRAGMENT, MalformedPduError, fragment_length, frame_command, read_message

LONGEST = 1 << 16


def pdv(context_id: int, control: int, part: bytes) -> bytes:
    return struct.pack(">IBB", len(part) + 2, context_id, control) + part


def pdu(*pdvs: bytes, kind: int = 4) -> bytes:
    body = b"".join(pdvs)
    return struct.pack(">BBI", kind, 0, len(body)) + body


@pytest.mark.parametrize(
    ("max_pdu", "expected"),
    [
        (0, LONGEST_FRAGMENT),
        (8, 2),
        (9, 2),
        (16384, 16378),
        (16383, 16376),
        (131072, 131066),
        (0xFFFFFFFF, LONGEST_FRAGMENT),
    ],
)
def test_fragments_fit_and_are_even(max_pdu: int, expected: int) -> None:
    assert fragment_length(max_pdu) == expected


@given(st.binary(min_size=1, max_size=300), st.integers(1, 255), st.integers(1, 200).map(lambda n: 2 * n))
def test_what_is_framed_is_read_again(command: bytes, context_id: int, fragment: int) -> None:
    framed = frame_command(command, context_id, fragment)
    message = read_message(memoryview(framed), LONGEST)
    assert message is not None
    assert (message.context_id, message.command, message.length) == (context_id, command, len(framed))


@given(st.binary(min_size=1, max_size=60), st.data())
def test_it_waits_for_the_last_byte(command: bytes, data: st.DataObject) -> None:
    framed = frame_command(command, 1, 8)
    cut = data.draw(st.integers(0, len(framed) - 1))
    assert read_message(memoryview(framed[:cut]), LONGEST) is None


def test_fragments_may_share_pdus() -> None:
    framed = pdu(pdv(3, 1, b"ab"), pdv(3, 1, b"cd")) + pdu(pdv(3, 3, b"ef"))
    message = read_message(memoryview(framed + b"\x07"), LONGEST)
    assert message is not None
    assert (message.command, message.length) == (b"abcdef", len(framed))


def test_empty_fragments_are_read_over() -> None:
    message = read_message(memoryview(pdu(pdv(3, 1, b""), pdv(3, 1, b"a"), pdv(3, 3, b""))), LONGEST)
    assert message is not None
    assert message.command == b"a"


@pytest.mark.parametrize(
    "received",
    [
        pdu(kind=7),
        pdu(kind=9),
        struct.pack(">BBI", 4, 0, LONGEST + 1),
        pdu(pdv(3, 0, b"data set")),
        pdu(pdv(3, 2, b"data set")),
        pdu(pdv(3, 3, b"one"), pdv(3, 3, b"too many")),
        pdu(b"\0\0\0\x01\x03\x03"),
        pdu(b"\0\0\0\xff\x03\x03"),
        pdu(b"\0\0\0"),
    ],
)
def test_what_is_no_response(received: bytes) -> None:
    with pytest.raises(MalformedPduError):
        read_message(memoryview(received), LONGEST)


@given(st.binary(max_size=100))
def test_no_bytes_do_harm(received: bytes) -> None:
    with contextlib.suppress(MalformedPduError):
        read_message(memoryview(received), LONGEST)
