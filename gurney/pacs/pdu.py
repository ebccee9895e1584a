"""P-DATA-TF PDUs in bytes (PS3.8 9.3.5, annex E): how messages are cut into fragments and put together again."""

from __future__ import annotations

import struct
from typing import NamedTuple

__all__ = [
    "HEADER",
    "P_DATA_TF",
    "Fragment",
    "MalformedPduError",
    "Message",
    "fragment_length",
    "frame_command",
    "read_message",
]

P_DATA_TF = 0x04

HEADER = struct.Struct(">BBIIBB")
"""A PDU with one PDV: type, reserved, PDU length, PDV length, context ID, message control header."""

LONGEST_FRAGMENT = 1 << 18
"""For peers without a limit: beyond it, longer PDUs save nothing."""

_PDU = struct.Struct(">BBI")
_PDV = struct.Struct(">IBB")


class Fragment:
    """Message control header of a PDV (PS3.8 E.2)."""

    DATA_SET = 0
    COMMAND = 1
    LAST = 2


class MalformedPduError(ValueError):
    """Report bytes that are no P-DATA-TF."""


class Message(NamedTuple):
    """A whole command set that was received. ``length`` is how many bytes it took on the wire."""

    context_id: int
    command: bytes
    length: int


def fragment_length(max_pdu: int) -> int:
    """Return how many bytes of a message fit into one PDU of a peer; even, as PS3.8 E.1 wants it.

    ``max_pdu`` is the peer's Maximum Length (PS3.8 D.1), 0 for none; at least 8 otherwise.
    """
    return min(max_pdu - 6, LONGEST_FRAGMENT) & ~1 if max_pdu else LONGEST_FRAGMENT


def frame_command(command: bytes, context_id: int, fragment: int) -> bytes:
    """Put a command set into PDUs of one fragment each."""
    pdus = []
    for at in range(0, len(command), fragment):
        part = command[at : at + fragment]
        control = Fragment.COMMAND | (Fragment.LAST if at + fragment >= len(command) else 0)
        pdus.append(frame_header(len(part), context_id, control))
        pdus.append(part)
    return b"".join(pdus)


def frame_header(length: int, context_id: int, control: int) -> bytes:
    """Return the 12 bytes that precede one fragment."""
    return HEADER.pack(P_DATA_TF, 0, length + 6, length + 2, context_id, control)


def read_message(received: memoryview, longest: int) -> Message | None:
    """Read one command set from the start of what was received, or return None while it is incomplete.

    Its fragments may lie in several PDVs and PDUs. Raises :class:`MalformedPduError` for another type of PDU, for one
    that is longer than ``longest``, for fragments of a data set and for PDVs that do not fit into their PDU.
    """
    at, end = 0, len(received)
    context_id, parts = 0, []
    while end - at >= _PDU.size:
        kind, _, length = _PDU.unpack_from(received, at)
        if kind != P_DATA_TF or length > longest:
            raise MalformedPduError(f"a PDU of type {kind} and length {length}")
        at += _PDU.size
        if end - at < length:
            return None
        pdu_end = at + length
        while at < pdu_end:
            if pdu_end - at < _PDV.size:
                raise MalformedPduError("a PDV that ends within its header")
            item_length, context_id, control = _PDV.unpack_from(received, at)
            part_end = at + 4 + item_length
            if item_length < 2 or part_end > pdu_end or not control & Fragment.COMMAND:
                raise MalformedPduError("a PDV that does not fit, or of a data set")
            parts.append(bytes(received[at + _PDV.size : part_end]))
            at = part_end
            if control & Fragment.LAST:
                if at != pdu_end:
                    raise MalformedPduError("a PDV behind the end of a response")
                return Message(context_id, b"".join(parts), at)
    return None
