"""P-DATA-TF PDUs in bytes (PS3.8 9.3.5, annex E): how messages are cut into fragments."""

from __future__ import annotations

import struct

__all__ = [
    "HEADER",
    "LONGEST_FRAGMENT",
    "P_DATA_TF",
    "Fragment",
    "fragment_length",
    "frame_header",
    "frame_message",
]

P_DATA_TF = 0x04

HEADER = struct.Struct(">BBIIBB")
"""A PDU with one PDV: type, reserved, PDU length, PDV length, context ID, message control header."""

LONGEST_FRAGMENT = 1 << 18
"""For peers without a limit: beyond it, longer PDUs save nothing."""


class Fragment:
    """Message control header of a PDV (PS3.8 E.2)."""

    DATA_SET = 0
    COMMAND = 1
    LAST = 2


def fragment_length(max_pdu: int) -> int:
    """Return how many bytes of a message fit into one PDU of a peer; even, as PS3.8 E.1 wants it.

    ``max_pdu`` is the peer's Maximum Length (PS3.8 D.1), 0 for none; at least 8 otherwise.
    """
    return min(max_pdu - 6, LONGEST_FRAGMENT) & ~1 if max_pdu else LONGEST_FRAGMENT


def frame_message(encoded: bytes, context_id: int, fragment: int, kind: int) -> bytes:
    """Put a command set or a data set, as ``kind`` says, into PDUs of one fragment each."""
    pdus = []
    for at in range(0, len(encoded), fragment):
        part = encoded[at : at + fragment]
        control = kind | (Fragment.LAST if at + fragment >= len(encoded) else 0)
        pdus.append(frame_header(len(part), context_id, control))
        pdus.append(part)
    return b"".join(pdus)


def frame_header(length: int, context_id: int, control: int) -> bytes:
    """Return the 12 bytes that precede one fragment."""
    return HEADER.pack(P_DATA_TF, 0, length + 6, length + 2, context_id, control)
