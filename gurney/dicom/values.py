"""Make numbers and text of raw element values, without ever failing on them (PS3.5 6.2)."""

from __future__ import annotations

import math
import re
import struct
from typing import Final, Literal

from gurney.dicom.charset import decode
from gurney.dicom.dictionary import vr_of

__all__ = ["Value", "interpret"]

_Scalar = int | float | str
Value = _Scalar | list[_Scalar] | None

_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
# One value only: a backslash in them is text (PS3.5 6.2), and leading spaces are meant.
_TEXTS: Final = frozenset({"LT", "ST", "UT", "UR"})
# Specific Character Set does not apply to the other string VRs (PS3.5 6.1.2.3).
_LOCALISED: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_STRINGS: Final = _LOCALISED | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,12}", re.ASCII)


def interpret(tag: int, vr: str, raw: bytes, byteorder: Literal["little", "big"], character_set: bytes) -> Value:
    """Give an element's value: a scalar, a list where there are several, None where there is none or it is binary.

    A number that is written wrongly stays text, so that a comparison with it fails visibly. Without a VR in the file,
    or with UN, the dictionary says what a public element is.
    """
    if vr in ("", "UN"):
        vr = vr_of(tag)
    if vr in _STRINGS:
        text = decode(raw, character_set) if vr in _LOCALISED else raw.decode("ascii", "replace")
        return _plain(_strings(vr, text))
    return _plain(_binaries(vr, raw, byteorder))


def _strings(vr: str, text: str) -> list[_Scalar]:
    if vr in _TEXTS:
        text = text.rstrip(" \0")
        return [text] if text else []
    parts = [part.strip(" \0") for part in text.split("\\")]
    if parts == [""]:
        return []
    if vr == "IS":
        return [int(part) if _INTEGER.fullmatch(part) else part for part in parts]
    if vr == "DS":
        return [_decimal(part) for part in parts]
    return [*parts]


def _binaries(vr: str, raw: bytes, byteorder: Literal["little", "big"]) -> list[_Scalar]:
    if vr == "AT":
        return [_tag(raw[at : at + 4], byteorder) for at in range(0, len(raw) - 3, 4)]
    if vr not in _NUMBERS:
        return []
    count = len(raw) // struct.calcsize(_NUMBERS[vr])
    return list(struct.unpack_from(f"{'<' if byteorder == 'little' else '>'}{count}{_NUMBERS[vr]}", raw))


def _plain(values: list[_Scalar]) -> Value:
    if len(values) > 1:
        return values
    return values[0] if values else None


def _decimal(text: str) -> float | str:
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _tag(raw: bytes, byteorder: Literal["little", "big"]) -> str:
    return f"{int.from_bytes(raw[:2], byteorder):04X}{int.from_bytes(raw[2:], byteorder):04X}"
