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
_SHORT_VRS = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_LONG_VRS = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())

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

    The readers are ``Struct.unpack_from``: ``read_header`` gives key, VR and 16-bit length (explicit) or key and length
    (implicit); ``read_item`` key and length; ``read_long`` a length. VRs are as one 16-bit read gives them: those with
    a 16-bit length, those with 32 bits, and of the latter the ones that hold no items.
    """

    name: str
    explicit: bool
    byteorder: Literal["little", "big"]
    transfer_syntax_uid: str
    read_header: Callable[..., tuple[Any, ...]]
    read_item: Callable[..., tuple[Any, ...]]
    read_long: Callable[..., tuple[Any, ...]]
    short_vrs: frozenset[int]
    long_vrs: frozenset[int]
    flat_vrs: frozenset[int]

    def key(self, tag: int) -> int:
        """Give the key of a tag, or the tag of a key: turning it is its own reverse."""
        return tag if self.byteorder == "big" else (tag & 0xFFFF) << 16 | tag >> 16

    def vr(self, element: bytes) -> str:
        """Give the VR of a whole element, header included; "" where the encoding has none."""
        return element[4:6].decode("latin-1") if self.explicit else ""

    def value(self, element: bytes) -> bytes:
        """Give the value of a whole element, header included."""
        return element[12 if self.explicit and element[4:6] in _LONG_VRS else 8 :]


def _encoding(name: str, explicit: bool, byteorder: Literal["little", "big"], transfer_syntax_uid: str) -> Encoding:
    sign = "<" if byteorder == "little" else ">"

    def codes(vrs: frozenset[bytes]) -> frozenset[int]:
        return frozenset(int.from_bytes(vr, byteorder) for vr in vrs)

    return Encoding(
        name,
        explicit,
        byteorder,
        transfer_syntax_uid,
        Struct(sign + ("IHH" if explicit else "II")).unpack_from,
        Struct(sign + "II").unpack_from,
        Struct(sign + "I").unpack_from,
        codes(_SHORT_VRS),
        codes(_LONG_VRS),
        codes(_LONG_VRS - {b"SQ"}),
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
    if len(block) < offset + 8:
        return None
    key, vr, _ = EXPLICIT_LE.read_header(block, offset)
    group = key & 0xFFFF
    if 0 < group <= 8:
        return EXPLICIT_LE if vr in EXPLICIT_LE.short_vrs or vr in EXPLICIT_LE.long_vrs else IMPLICIT_LE
    # A small group number read in the wrong order has an empty low byte.
    if group & 0xFF == 0 and 0 < group >> 8 <= 8 and vr in EXPLICIT_LE.short_vrs | EXPLICIT_LE.long_vrs:
        return EXPLICIT_BE
    return None
