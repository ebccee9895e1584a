"""A data set as a tree of its elements, to be written again in another encoding with every value's bytes as they are.

pydicom would decode text on the way and encode it anew, which changes what a device wrote in a character set that it
did not declare. Here a value is bytes: only the byte order of numbers changes, from the retired big endian
(PS3.5 A.3). What has no VR gets the dictionary's; where that leaves a choice, the standard's rule (PS3.5 A.1, A.2).
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from pydicom.datadict import dictionary_VR

from gurney.dicom.encodings import IMPLICIT_LE, Encoding
from gurney.dicom.errors import TranscodingError

__all__ = ["Element", "Fragments", "Item", "Value", "encode_elements", "find", "integer", "parse_elements", "text"]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA: Final = 0x7FE00010
_PIXEL_REPRESENTATION: Final = 0x00280103
_SHORT: Final = frozenset(
    {
        *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO"),
        *("LT", "PN", "SH", "SL", "SS", "ST", "TM", "UI", "UL", "US"),
    }
)
_UNITS: Final = {
    **dict.fromkeys(("AT", "OW", "SS", "US"), "H"),
    **dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), "I"),
    **dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), "Q"),
}
"""How many bytes of a value turn round together (PS3.5 7.3)."""
_MAX_DEPTH: Final = 64
_MAX_SHORT: Final = 0xFFFF


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated pixel data (PS3.5 A.4): its items as they lie, without the delimiter behind them."""

    encoded: bytes = field(repr=False)


@dataclass(slots=True)
class Item:
    """An item of a sequence; its length may have been left open."""

    elements: list[Element] = field(repr=False)
    undefined: bool = False


Value = bytes | memoryview | Fragments | list[Item]


@dataclass(slots=True)
class Element:
    """One element: numbers in little endian, text as it lay there.

    ``undefined`` is meant for sequences; of another value it says that its bytes are implicit VR items (PS3.5 6.2.2).
    """

    tag: int
    vr: str
    value: Value = field(repr=False)
    undefined: bool = False


def find(elements: Iterable[Element], tag: int) -> Element | None:
    """Return the element with this tag, or None."""
    return next((element for element in elements if element.tag == tag), None)


def integer(elements: Iterable[Element], tag: int) -> int | None:
    """Return the first value of a US or IS element, None where there is none."""
    element = find(elements, tag)
    if element is None or isinstance(element.value, Fragments | list) or not len(element.value):
        return None
    raw = bytes(element.value)
    if element.vr == "IS":
        first = raw.split(b"\\")[0].strip(b" \0")
        return int(first) if first.isdigit() else None
    return struct.unpack_from("<H", raw)[0] if len(raw) >= 2 else None


def text(elements: Iterable[Element], tag: int) -> str:
    """Return a value of the default character repertoire, "" where there is none."""
    element = find(elements, tag)
    if element is None or isinstance(element.value, Fragments | list):
        return ""
    return bytes(element.value).decode("ascii", "replace").strip(" \0")


# --- Reading ----------------------------------------------------------------------------------------------------------


def parse_elements(encoded: bytes, encoding: Encoding) -> list[Element]:
    """Take a data set apart. Raises TranscodingError for one that is not laid out as it should be.

    Group lengths (gggg,0000) are left out: they are retired, and would be wrong (PS3.5 7.2).
    """
    view = memoryview(encoded)
    try:
        elements, _ = _elements(_Reading(view, encoding), 0, len(view), None, 0)
    except (struct.error, IndexError) as error:
        raise TranscodingError("the data set ends inside an element") from error
    return elements


@dataclass(frozen=True, slots=True)
class _Reading:
    view: memoryview
    encoding: Encoding

    def header(self, at: int) -> tuple[int, str, int, int]:
        """Give tag, VR ("" for none), length, and where the value starts."""
        key, length = self.encoding.read_item(self.view, at)
        tag = self.encoding.key(key)
        if not self.encoding.explicit or tag >> 16 == _ITEM >> 16:
            return tag, "", length, at + 8
        vr = bytes(self.view[at + 4 : at + 6]).decode("latin-1")
        if vr in _SHORT:
            return tag, vr, self.encoding.read_header(self.view, at)[2], at + 8
        return tag, vr, self.encoding.read_long(self.view, at + 8)[0], at + 12


def _elements(
    reading: _Reading, at: int, end: int, signed: int | None, depth: int, *, delimited: bool = False
) -> tuple[list[Element], int]:
    """Read elements up to the end or, in an item of open length, its delimiter; ``signed`` is the encloser's."""
    if depth > _MAX_DEPTH:
        raise TranscodingError(f"sequences are nested more than {_MAX_DEPTH} deep")
    elements: list[Element] = []
    while at < end:
        tag, vr, length, start = reading.header(at)
        if tag == _ITEM_END:
            # Some writers close an item that has a length, too.
            return elements, start if delimited else end
        element, at = _element(reading, tag, vr, length, start, end, signed, depth)
        if tag == _PIXEL_REPRESENTATION:
            signed = integer([element], tag)
        if tag & 0xFFFF:
            elements.append(element)
    if delimited:
        raise TranscodingError("an item is not delimited")
    return elements, at


def _element(
    reading: _Reading, tag: int, vr: str, length: int, start: int, end: int, signed: int | None, depth: int
) -> tuple[Element, int]:
    vr = vr or _implicit_vr(tag, signed)
    if length != _UNDEFINED and start + length > end:
        raise TranscodingError(f"the length of ({tag >> 16:04X},{tag & 0xFFFF:04X}) leads past its end")
    if length == _UNDEFINED:
        if tag == _PIXEL_DATA:
            stop, after = _skip_fragments(reading, start, end)
            return Element(tag, "OB", Fragments(bytes(reading.view[start:stop])), undefined=True), after
        if vr == "UN":
            stop, after = _skip_items(_Reading(reading.view, IMPLICIT_LE), start, end, depth)
            return Element(tag, vr, reading.view[start:stop], undefined=True), after
        items, after = _items(reading, start, end, signed, depth, delimited=True)
        return Element(tag, "SQ", items, undefined=True), after
    if vr == "SQ":
        items, after = _items(reading, start, start + length, signed, depth, delimited=False)
        return Element(tag, vr, items), after
    value = reading.view[start : start + length]
    return Element(tag, vr, value if reading.encoding.byteorder == "little" else _turned(value, vr)), start + length


def _items(
    reading: _Reading, at: int, end: int, signed: int | None, depth: int, *, delimited: bool
) -> tuple[list[Item], int]:
    items: list[Item] = []
    while at < end:
        tag, _, length, start = reading.header(at)
        if tag == _SEQUENCE_END:
            return items, start if delimited else end
        if tag != _ITEM or (length != _UNDEFINED and start + length > end):
            raise TranscodingError("a sequence holds something else than items")
        if length == _UNDEFINED:
            elements, at = _elements(reading, start, end, signed, depth + 1, delimited=True)
        else:
            elements, at = _elements(reading, start, start + length, signed, depth + 1)
        items.append(Item(elements, undefined=length == _UNDEFINED))
    if delimited:
        raise TranscodingError("a sequence is not delimited")
    return items, at


def _skip_fragments(reading: _Reading, at: int, end: int) -> tuple[int, int]:
    """Give where the items of encapsulated pixel data end, and what follows their delimiter begins."""
    while at < end:
        tag, _, length, start = reading.header(at)
        if tag == _SEQUENCE_END:
            return at, start
        if tag != _ITEM or length == _UNDEFINED or start + length > end:
            break
        at = start + length
    raise TranscodingError("the fragments of the pixel data do not end as they should")


def _skip_items(reading: _Reading, at: int, end: int, depth: int) -> tuple[int, int]:
    """Give where the items of an unknown sequence end, and what follows begins. They are implicit (PS3.5 6.2.2)."""
    _, after = _items(reading, at, end, None, depth, delimited=True)
    return after - 8, after


def _implicit_vr(tag: int, signed: int | None) -> str:
    """Give the VR of an element that has none in the file."""
    if tag >> 16 & 1:
        return "LO" if 0x10 <= tag & 0xFFFF <= 0xFF else "UN"
    if not tag & 0xFFFF:
        return "UL"
    try:
        vr = dictionary_VR(tag)
    except KeyError:
        return "UN"
    if vr == "US or SS":
        return "SS" if signed else "US"
    # "OB or OW", "US or OW", "US or SS or OW": in implicit VR all of them are 16-bit words (PS3.5 A.1).
    return vr if len(vr) == 2 else "OW"


def _turned(value: memoryview, vr: str) -> bytes:
    """Turn the bytes of numbers round; what is left over at the end of a broken value stays."""
    unit = _UNITS.get(vr)
    if unit is None:
        return bytes(value)
    words = array(unit)
    whole = len(value) // words.itemsize * words.itemsize
    words.frombytes(value[:whole])
    words.byteswap()
    return words.tobytes() + bytes(value[whole:])


# --- Writing ----------------------------------------------------------------------------------------------------------


def encode_elements(elements: Iterable[Element], *, explicit: bool) -> bytes:
    """Write elements in little endian, with the VRs or without. Sequences keep their kind of length."""
    return b"".join(_written(elements, explicit))


def _written(elements: Iterable[Element], explicit: bool) -> Iterator[bytes | memoryview]:
    for element in elements:
        value = element.value
        if isinstance(value, Fragments):
            yield _header(element, _UNDEFINED, explicit)
            yield value.encoded
            yield _delimiter(_SEQUENCE_END)
            continue
        if isinstance(value, list):
            value = b"".join(_written_items(value, explicit))
        yield _header(element, _UNDEFINED if element.undefined else len(value), explicit)
        yield value
        if element.undefined:
            yield _delimiter(_SEQUENCE_END)


def _written_items(items: list[Item], explicit: bool) -> Iterator[bytes]:
    for item in items:
        content = encode_elements(item.elements, explicit=explicit)
        length = _UNDEFINED if item.undefined else len(content)
        yield struct.pack("<HHI", _ITEM >> 16, _ITEM & 0xFFFF, length)
        yield content
        if item.undefined:
            yield _delimiter(_ITEM_END)


def _header(element: Element, length: int, explicit: bool) -> bytes:
    where = struct.pack("<HH", element.tag >> 16, element.tag & 0xFFFF)
    if not explicit:
        return where + struct.pack("<I", length)
    vr = element.vr
    if vr in _SHORT and length <= _MAX_SHORT:
        return where + vr.encode("latin-1") + struct.pack("<H", length)
    # What is too long for its VR goes without one (PS3.5 6.2.2).
    vr = "UN" if vr in _SHORT else vr
    return where + vr.encode("latin-1") + struct.pack("<HI", 0, length)


def _delimiter(tag: int) -> bytes:
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, 0)
