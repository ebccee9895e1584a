"""Command sets of C-STORE in bytes (PS3.7 9.3.1): Implicit VR Little Endian, whatever the data set's syntax is."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "A_DATA_SET",
    "C_CANCEL_RQ",
    "C_FIND_RQ",
    "C_FIND_RSP",
    "C_GET_RQ",
    "C_GET_RSP",
    "C_STORE_RQ",
    "C_STORE_RSP",
    "NO_DATA_SET",
    "CommandSet",
    "DimsePriority",
    "MalformedCommandError",
    "encode_c_store_rq",
    "encode_command",
    "read_command",
    "read_elements",
]

C_STORE_RQ = 0x0001
C_STORE_RSP = 0x8001
C_GET_RQ = 0x0010
C_GET_RSP = 0x8010
C_FIND_RQ = 0x0020
C_FIND_RSP = 0x8020
C_CANCEL_RQ = 0x0FFF

A_DATA_SET = 0x0001
"""Any value but NO_DATA_SET says that one follows; this is the one that everybody sends."""
NO_DATA_SET = 0x0101

_ELEMENT = struct.Struct("<HHI")
_GROUP_LENGTH = struct.Struct("<HHII")
_NUMBER = struct.Struct("<HHIH")
_NUMBERS = struct.Struct("<" + "HHIH" * 4)


class DimsePriority(IntEnum):
    """Priority (0000,0700) of a request (PS3.7 9.3.1.1)."""

    MEDIUM = 0
    HIGH = 1
    LOW = 2


class MalformedCommandError(ValueError):
    """Report bytes that are no command set."""


class CommandSet(NamedTuple):
    """What we read of a command set; None where the element is missing.

    ``has_data_set`` follows (0000,0800): a C-STORE-RSP has none. ``comment`` is the peer's Error Comment (0000,0902),
    ``offending_elements`` are the tags in (0000,0901).
    """

    command_field: int | None = None
    message_id_responded_to: int | None = None
    status: int | None = None
    has_data_set: bool = False
    comment: str = ""
    offending_elements: tuple[int, ...] = ()

    def __repr__(self) -> str:
        # Not the peer's words, which may name a patient.
        return f"CommandSet(command_field={self.command_field!r}, status={self.status!r})"


def encode_c_store_rq(sop_class_uid: str, sop_instance_uid: str, message_id: int, priority: DimsePriority) -> bytes:
    """Encode a C-STORE-RQ (PS3.7 table 9.3-1) that announces a data set."""
    sop_class, sop_instance = _padded(sop_class_uid), _padded(sop_instance_uid)
    numbers = _NUMBERS.pack(
        *(0, 0x0100, 2, C_STORE_RQ),
        *(0, 0x0110, 2, message_id),
        *(0, 0x0700, 2, priority),
        *(0, 0x0800, 2, A_DATA_SET),
    )
    body = b"".join(
        (
            _ELEMENT.pack(0, 0x0002, len(sop_class)),
            sop_class,
            numbers,
            _ELEMENT.pack(0, 0x1000, len(sop_instance)),
            sop_instance,
        )
    )
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def encode_command(elements: Mapping[int, int | bytes]) -> bytes:
    """Encode any command set of UIDs, as the bytes of their values, and 16-bit numbers, in the order of elements."""
    body = bytearray()
    for element, value in elements.items():
        if isinstance(value, int):
            body += _NUMBER.pack(0, element, 2, value)
        else:
            padded = value + b"\0" * (len(value) % 2)
            body += _ELEMENT.pack(0, element, len(padded)) + padded
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def read_elements(encoded: bytes | bytearray | memoryview) -> dict[int, bytes]:
    """Read the values of a command set, by their element numbers.

    Elements of any group but 0000 are skipped: Orthanc puts the list of failed instances, which belongs in the
    identifier, among the elements of a C-GET-RSP. Raises :class:`MalformedCommandError` when the bytes do not divide
    into elements.
    """
    found: dict[int, bytes] = {}
    at, end = 0, len(encoded)
    while at < end:
        if end - at < _ELEMENT.size:
            raise MalformedCommandError("a command set ends within an element's header")
        group, element, length = _ELEMENT.unpack_from(encoded, at)
        at += _ELEMENT.size
        if length > end - at:
            raise MalformedCommandError("a command set with a wrong length")
        if not group:
            found[element] = bytes(encoded[at : at + length])
        at += length
    return found


def read_command(encoded: bytes | bytearray | memoryview) -> CommandSet:
    """Read the elements that matter of the response to a C-STORE. Raises as :func:`read_elements` does."""
    found = read_elements(encoded)
    return CommandSet(
        command_field=_number(found.get(0x0100)),
        message_id_responded_to=_number(found.get(0x0120)),
        status=_number(found.get(0x0900)),
        has_data_set=_number(found.get(0x0800)) not in (None, NO_DATA_SET),
        comment=_text(found[0x0902]) if 0x0902 in found else "",
        offending_elements=_tags(found[0x0901]) if 0x0901 in found else (),
    )


def _padded(uid: str) -> bytes:
    encoded = uid.encode("ascii")
    return encoded + b"\0" if len(encoded) % 2 else encoded


def _number(encoded: bytes | None) -> int | None:
    return int.from_bytes(encoded, "little") if encoded is not None and len(encoded) == 2 else None


def _text(encoded: bytes) -> str:
    """Decode a comment for people: 64 characters at most, nothing that moves a cursor."""
    text = encoded.decode("ascii", "replace").strip("\0 ")
    return "".join(character if character.isprintable() else "?" for character in text[:64])


def _tags(encoded: bytes) -> tuple[int, ...]:
    pairs = struct.iter_unpack("<HH", encoded[: len(encoded) // 4 * 4])
    return tuple(group << 16 | element for group, element in pairs)
