from __future__ import annotations

import contextlib
import struct
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import dimse_messages
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from gurney.pacs.wire.command import (
    C_STORE_RSP,
    DimsePriority,
    MalformedCommandError,
    encode_c_store_rq,
    read_command,
    read_elements,
)

UIDS = st.from_regex(r"\A1(\.(0|[1-9][0-9]{0,9})){1,5}\Z")


@given(UIDS, UIDS, st.integers(1, 65535), st.sampled_from(DimsePriority))
def test_a_request_is_byte_for_byte_what_pynetdicom_would_send(
    sop_class_uid: str, sop_instance_uid: str, message_id: int, priority: DimsePriority
) -> None:
    primitive = C_STORE()
    primitive.MessageID = message_id
    primitive.AffectedSOPClassUID = sop_class_uid
    primitive.AffectedSOPInstanceUID = sop_instance_uid
    primitive.Priority = int(priority)
    primitive.DataSet = BytesIO(b"\0\0")
    message = dimse_messages.C_STORE_RQ()
    message.primitive_to_message(primitive)
    expected = encode(message.command_set, True, True)
    assert encode_c_store_rq(sop_class_uid, sop_instance_uid, message_id, priority) == expected


def element(tag: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, tag, len(value)) + value


def test_a_response_with_everything() -> None:
    encoded = b"".join(
        (
            element(0x0100, struct.pack("<H", C_STORE_RSP)),
            element(0x0120, struct.pack("<H", 77)),
            element(0x0800, struct.pack("<H", 0x0101)),
            element(0x0900, struct.pack("<H", 0xA900)),
            element(0x0901, struct.pack("<HHHH", 0x0010, 0x0020, 0x0008, 0x0018)),
            element(0x0902, b"wrong ID\x1b[31m "),
        )
    )
    command = read_command(encoded)
    assert command.command_field == C_STORE_RSP
    assert command.message_id_responded_to == 77
    assert command.status == 0xA900
    assert not command.has_data_set
    assert command.offending_elements == (0x00100020, 0x00080018)
    assert command.comment == "wrong ID?[31m"


def test_a_response_with_nothing() -> None:
    command = read_command(b"")
    assert (command.command_field, command.status, command.comment) == (None, None, "")


def test_a_status_of_the_wrong_length_is_no_status() -> None:
    assert read_command(element(0x0900, b"\0")).status is None


@pytest.mark.parametrize(
    "encoded",
    [b"\0\0", element(0x0900, b"\0\0")[:-1], struct.pack("<HHI", 0, 0x900, 1 << 31)],
)
def test_what_is_no_command_set(encoded: bytes) -> None:
    with pytest.raises(MalformedCommandError):
        read_command(encoded)


def test_what_a_peer_puts_beside_the_command_set_is_passed_over() -> None:
    beside = struct.pack("<HHI", 0x0008, 0x0058, 4) + b"1.2\0"
    assert read_elements(element(0x0900, b"\0\xb0") + beside) == {0x0900: b"\0\xb0"}


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(encoded: bytes) -> None:
    with contextlib.suppress(MalformedCommandError):
        read_command(encoded)
