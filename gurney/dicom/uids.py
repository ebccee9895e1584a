"""Unique identifiers: what may pass as one, and the few that the code itself must know."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = [
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "HIGH_THROUGHPUT_JPEG_2000",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "JPEG_2000",
    "JPEG_2000_LOSSLESS",
    "JPEG_LS_LOSSLESS",
    "JPEG_LS_NEAR_LOSSLESS",
    "MEDIA_STORAGE_DIRECTORY",
    "RLE_LOSSLESS",
    "STANDARD_TRANSFER_SYNTAXES",
    "STORAGE_COMMITMENT_SOP_CLASS",
    "VERIFICATION_SOP_CLASS",
    "is_valid_uid",
    "uid_of",
]

IMPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1"
DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_VR_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_LS_NEAR_LOSSLESS: Final = "1.2.840.10008.1.2.4.81"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
HIGH_THROUGHPUT_JPEG_2000: Final = tuple("1.2.840.10008.1.2.4." + leaf for leaf in ("201", "202", "203"))
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
MEDIA_STORAGE_DIRECTORY: Final = "1.2.840.10008.1.3.10"

VERIFICATION_SOP_CLASS: Final = "1.2.840.10008.1.1"
STORAGE_COMMITMENT_SOP_CLASS: Final = "1.2.840.10008.1.20.1"

# Every transfer syntax that the standard registers for files starts so (PS3.6 Table A-1).
STANDARD_TRANSFER_SYNTAXES: Final = "1.2.840.10008."

_UID = re.compile(r"[0-9]++(?:\.[0-9]++)*+")


def is_valid_uid(text: str) -> bool:
    """Tell whether ``text``, its padding removed, can be a UID: 1 to 64 digits and dots, no empty component.

    Leading zeros in a component break the standard (PS3.5 9.1) but pass here: devices in service write them, their
    instances must travel, and they hold no character that could do harm in a path or a message.
    """
    return len(text) <= 64 and _UID.fullmatch(text) is not None


@lru_cache(maxsize=4096)
def uid_of(value: bytes) -> str | None:
    """Give the UID in a raw value, its padding (NUL; from some writers a space) removed; None if it is not one.

    The instances of a study repeat all their UIDs but one, which is worth remembering.
    """
    text = value.rstrip(b"\0 ").decode("latin-1")
    return text if is_valid_uid(text) else None
