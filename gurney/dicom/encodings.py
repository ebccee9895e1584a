"""How the elements of a data set are laid out, and which layout a transfer syntax asks for (PS3.5 7.1 and Annex A).

A tag is compared in the form in which one 32-bit read of the file gives it, its *key*: in little endian the element
number comes out above the group. Translating the few tags that are looked for once is cheaper than translating every
tag that is met.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, Literal

from gurney.dicom import uids

__all__ = [
    "EXPLICIT_BE",
    "EXPLICIT_LE",
    "IMPLICIT_LE",
    "Encoding",
    "encoding_of",
    "is_deflated",
    "is_encapsulated",
    "recognise",
]

# PS3.5 7.1.2: these have a 16-bit length; every other VR, those of the future too, has two reserved bytes and 32 bits.
_SHORT_VRS = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
    "UL",
    "US",
]
_LONG_VRS = ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]

_NATIVE = frozenset(
    {
        uids.IMPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_LITTLE_ENDIAN,
        uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
        uids.EXPLICIT_VR_BIG_ENDIAN,
    }
)
_COMPRESSED = "1.2.840.10008.1.2.4."
# RLE Lossless; Encapsulated Uncompressed Explicit VR Little Endian; Deflated Image Frame Compression.
_ENCAPSULATED = frozenset({"1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"})
# JPIP: the pixels lie elsewhere, behind a URL; two of the four deflate the data set around it.
_JPIP_DEFLATED = frozenset({_COMPRESSED + "95", _COMPRESSED + "205"})
_JPIP = _JPIP_DEFLATED | {_COMPRESSED + "94", _COMPRESSED + "204"}


@dataclass(frozen=True, slots=True, eq=False)
class Encoding:
    """One of the three layouts.

    ``short_vrs`` (16-bit length), ``long_vrs`` (32-bit) and ``plain_vrs`` (the long ones but SQ) map a VR as one 16-bit
    read gives it to its name.
    """

    name: str
    explicit: bool
    byteorder: Literal["little", "big"]
    transfer_syntax_uid: str
    unpack_header: Callable[..., tuple[Any, ...]]
    unpack_item: Callable[..., tuple[Any, ...]]
    unpack_long: Callable[..., tuple[Any, ...]]
    short_vrs: dict[int, str]
    long_vrs: dict[int, str]
    plain_vrs: dict[int, str]

    def key(self, tag: int) -> int:
        """Give the key of a tag, or the tag of a key: turning it is its own reverse."""
        return tag if self.byteorder == "big" else (tag & 0xFFFF) << 16 | tag >> 16


def _encoding(name: str, explicit: bool, byteorder: Literal["little", "big"], transfer_syntax_uid: str) -> Encoding:
    sign = "<" if byteorder == "little" else ">"
    codes = {vr: int.from_bytes(vr.encode(), byteorder) for vr in _SHORT_VRS + _LONG_VRS}
    return Encoding(
        name,
        explicit,
        byteorder,
        transfer_syntax_uid,
        Struct(sign + ("IHH" if explicit else "II")).unpack_from,
        Struct(sign + "II").unpack_from,
        Struct(sign + "I").unpack_from,
        {codes[vr]: vr for vr in _SHORT_VRS},
        {codes[vr]: vr for vr in _LONG_VRS},
        {codes[vr]: vr for vr in _LONG_VRS if vr != "SQ"},
    )


IMPLICIT_LE: Final = _encoding("implicit VR little endian", False, "little", uids.IMPLICIT_VR_LITTLE_ENDIAN)
EXPLICIT_LE: Final = _encoding("explicit VR little endian", True, "little", uids.EXPLICIT_VR_LITTLE_ENDIAN)
EXPLICIT_BE: Final = _encoding("explicit VR big endian", True, "big", uids.EXPLICIT_VR_BIG_ENDIAN)


def encoding_of(transfer_syntax_uid: str) -> Encoding:
    """Give the layout of a transfer syntax; a private or unknown one is explicit VR little endian (PS3.5 10.2)."""
    if transfer_syntax_uid == uids.IMPLICIT_VR_LITTLE_ENDIAN:
        return IMPLICIT_LE
    if transfer_syntax_uid == uids.EXPLICIT_VR_BIG_ENDIAN:
        return EXPLICIT_BE
    return EXPLICIT_LE


def is_deflated(transfer_syntax_uid: str) -> bool:
    """Tell whether the whole data set is a deflate stream (PS3.5 A.5)."""
    return transfer_syntax_uid == uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN or transfer_syntax_uid in _JPIP_DEFLATED


def is_encapsulated(transfer_syntax_uid: str) -> bool | None:
    """Tell whether Pixel Data must be fragments (PS3.5 A.4); None where the syntax leaves it open or is private."""
    if transfer_syntax_uid in _NATIVE:
        return False
    if transfer_syntax_uid in _JPIP:
        return None
    return True if transfer_syntax_uid in _ENCAPSULATED or transfer_syntax_uid.startswith(_COMPRESSED) else None


def recognise(block: bytes, offset: int) -> Encoding | None:
    """Name the layout of the data set that starts at ``offset``, judging by its first element, or None.

    Every storable data set has a SOP Class UID (0008,0016) and is in ascending order (PS3.5 7.1), so its first group is
    at most 0008: that tells byte order. What an implicit length would need to pass for a VR is an absurd first value.
    """
    group, swapped = block[offset : offset + 2], block[offset + 4 : offset + 6]
    if len(swapped) < 2:
        return None
    little = int.from_bytes(group, "little")
    vr = int.from_bytes(swapped, "little")
    has_vr = vr in EXPLICIT_LE.short_vrs or vr in EXPLICIT_LE.long_vrs
    if 0 < little <= 8:
        return EXPLICIT_LE if has_vr else IMPLICIT_LE
    if 0 < int.from_bytes(group, "big") <= 8 and has_vr:
        return EXPLICIT_BE
    return None
