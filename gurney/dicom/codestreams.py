"""How large an image a compressed frame says that it is, read before any decoder sees it.

A codestream of a hundred bytes may declare 65,535 by 65,535 pixels, whatever the data set says; a decoder would reserve
them. Only headers are read here (ISO 10918-1 B.2.2, ISO 14495-1 C.2.2, ISO 15444-1 A.5.1).
"""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["declared_size"]

_START_OF_IMAGE: Final = b"\xff\xd8"
_START_OF_CODESTREAM: Final = b"\xff\x4f\xff\x51"
# Start of frame of every JPEG process, and of JPEG-LS; C4, C8 and CC are other segments.
_FRAME_HEADERS: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}) | {0xF7}
_SCAN: Final = 0xDA
# Where the box of a JP2 file that holds the codestream begins must lie this near to the start.
_JP2_HEADER: Final = 4096


def declared_size(frame: bytes) -> tuple[int, int] | None:
    """Give rows and columns that a JPEG, JPEG-LS or JPEG 2000 frame declares; None where it declares none."""
    if frame.startswith(_START_OF_IMAGE):
        return _jpeg_size(frame)
    at = frame.find(_START_OF_CODESTREAM, 0, _JP2_HEADER)
    if at < 0 or len(frame) < at + 24:
        return None
    right, bottom, left, top = struct.unpack_from(">4I", frame, at + 8)
    return bottom - top, right - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame) and frame[at] == 0xFF:
        marker = frame[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _FRAME_HEADERS:
            rows, columns = struct.unpack_from(">HH", frame, at + 5)
            return rows, columns
        if marker == _SCAN:
            return None
        at += 2 + struct.unpack_from(">H", frame, at + 2)[0]
    return None
