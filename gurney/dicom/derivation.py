"""What a lossy compression makes of an instance: another one, which says what was done to it (PS3.3 C.7.6.1.1).

An image that has lost something is not the image that was: it gets a SOP Instance UID of its own, says that it is
derived and from what, and keeps for good that it was compressed with loss, how, and how much.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Final

from gurney.dicom.elements import Element, Item, find, text

__all__ = ["DERIVED", "mark_lossy", "mark_lost", "put"]

_SOP_CLASS, _SOP_INSTANCE, _IMAGE_TYPE = 0x00080016, 0x00080018, 0x00080008
_DERIVATION_DESCRIPTION, _SOURCE_IMAGES, _DERIVATION_CODES = 0x00082111, 0x00082112, 0x00089215
_REFERENCED_CLASS, _REFERENCED_INSTANCE, _PURPOSE = 0x00081150, 0x00081155, 0x0040A170
_CODE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_LOSSY, _RATIO, _METHOD = 0x00282110, 0x00282112, 0x00282114
DERIVED: Final = b"DERIVED"
_LONGEST_ST: Final = 1024
# The names of UIDs made here: PS3.5 B.2 wants a UUID of any kind, and the same work shall make the same instance.
_NAMES: Final = uuid.UUID("6f0d6f57-6b1c-5d0e-9a3b-8f1f3f6e2b51")


def put(elements: list[Element], tag: int, vr: str, value: bytes | list[Item]) -> None:
    """Set an element, in its place among the others; what has an odd length is padded."""
    if isinstance(value, bytes) and len(value) % 2:
        value += b"\0" if vr == "UI" else b" "
    made = Element(tag, vr, value)
    for place, element in enumerate(elements):
        if element.tag == tag:
            elements[place] = made
            return
        if element.tag > tag:
            elements.insert(place, made)
            return
    elements.append(made)


def mark_lost(elements: list[Element]) -> None:
    """Say that the pixels have been through a lossy compression; once said it stays (PS3.3 C.7.6.1.1.5)."""
    put(elements, _LOSSY, "CS", b"01")


def mark_lossy(elements: list[Element], method: str, ratio: float, how: str) -> str:
    """Make a derived instance of what was compressed with loss just now, and return its SOP Instance UID.

    ``how`` names what was done, in words of the default repertoire. The UID follows from the one of the source and from
    ``how``: to send the same file again in the same way makes no second instance.
    """
    source_class, source = text(elements, _SOP_CLASS), text(elements, _SOP_INSTANCE)
    derived = f"2.25.{uuid.uuid5(_NAMES, f'{source} {how}').int}"
    put(elements, _SOP_INSTANCE, "UI", derived.encode())
    image_type = _raw(elements, _IMAGE_TYPE).split(b"\\")
    put(elements, _IMAGE_TYPE, "CS", b"\\".join([DERIVED, *(image_type[1:] or [b"PRIMARY"])]))
    mark_lost(elements)
    # One more value, in the order of what was done, where something was done before (PS3.3 C.7.6.1.1.5.2).
    _append(elements, _RATIO, "DS", f"{ratio:.2f}".encode())
    _append(elements, _METHOD, "CS", method.encode())
    said = _raw(elements, _DERIVATION_DESCRIPTION)
    description = b"; ".join(filter(None, (said, how.encode())))
    put(elements, _DERIVATION_DESCRIPTION, "ST", description if len(description) < _LONGEST_ST else said)
    _add_item(elements, _DERIVATION_CODES, Item(_coded("113040", "Lossy Compression")))
    referenced = [
        Element(_REFERENCED_CLASS, "UI", _uid(source_class)),
        Element(_REFERENCED_INSTANCE, "UI", _uid(source)),
        Element(_PURPOSE, "SQ", [Item(_coded("121320", "Uncompressed predecessor"))]),
    ]
    _add_item(elements, _SOURCE_IMAGES, Item(referenced))
    return derived


def _raw(elements: Iterable[Element], tag: int) -> bytes:
    element = find(elements, tag)
    return bytes(element.value).strip(b" \0") if element and isinstance(element.value, bytes | memoryview) else b""


def _append(elements: list[Element], tag: int, vr: str, value: bytes) -> None:
    put(elements, tag, vr, b"\\".join(filter(None, (_raw(elements, tag), value))))


def _add_item(elements: list[Element], tag: int, item: Item) -> None:
    present = find(elements, tag)
    items = present.value if present is not None and isinstance(present.value, list) else []
    put(elements, tag, "SQ", [*items, item])


def _coded(code: str, meaning: str) -> list[Element]:
    """Give the elements of a code of PS3.16's scheme."""
    values = ((_CODE, "SH", code), (_SCHEME, "SH", "DCM"), (_MEANING, "LO", meaning))
    return [Element(tag, vr, value.encode() + b" " * (len(value) % 2)) for tag, vr, value in values]


def _uid(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
