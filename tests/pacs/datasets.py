"""Data sets of any length that begin as those of instances do, and hold nothing but their UIDs and noise."""

from __future__ import annotations

import os
import struct

from gurney.dicom.encodings import encoding_of

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"


def noise(sop_class_uid: str, sop_instance_uid: str, size: int = 0, transfer_syntax_uid: str = EXPLICIT) -> bytes:
    """Encode a data set of ``size`` bytes, or as short as it can be (little endian)."""
    is_explicit = encoding_of(transfer_syntax_uid).explicit
    head = b"".join(
        struct.pack("<HH2sH" if is_explicit else "<HHL", 0x0008, element, *([b"UI"] * is_explicit), len(uid)) + uid
        for element, uid in ((0x0016, _padded(sop_class_uid)), (0x0018, _padded(sop_instance_uid)))
    )
    tag = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0" * is_explicit
    rest = max(0, size - len(head) - len(tag) - 4)
    return head + tag + struct.pack("<L", rest) + os.urandom(rest)


def _padded(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
