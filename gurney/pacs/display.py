"""Read elements of a data set as text, whatever is in them (PS3.5 6.2, PS3.3 C.12.1.1.2).

What a peer sends in an answer may be in any character set, or in none; a date may not be one. pydicom converts on
access, and raises or warns where it can't. Looking at an answer must do neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence

from gurney.dicom.charset import decode
from gurney.dicom.values import interpret

__all__ = ["text_at", "texts_at"]

_CHARACTER_SET = 0x00080005
_TEXTS = frozenset({"LT", "ST", "UT", "UR"})
_LOCALISED = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_STRINGS = _LOCALISED | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}


def text_at(dataset: Dataset, path: str) -> str:
    """Return an attribute as text, several values separated by backslashes; "" where it is missing or empty.

    ``path`` goes through the first item of each sequence. What can't be decoded is shown as U+FFFD.
    """
    return next((text for text in _texts(dataset, path.split("."), b"", only_first=True)), "")


def texts_at(dataset: Dataset, path: str) -> list[str]:
    """Return an attribute as text, once for each item of the sequences that it is in."""
    return list(_texts(dataset, path.split("."), b"", only_first=False))


@lru_cache(maxsize=1024)
def _tag_of(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword!r} is no keyword of the DICOM dictionary")
    return int(tag)


def _texts(dataset: Dataset, path: list[str], inherited: bytes, *, only_first: bool) -> Iterator[str]:
    character_set = _raw(dataset, _CHARACTER_SET) or inherited
    tag = _tag_of(path[0])
    if len(path) == 1:
        yield _text(dataset, tag, character_set)
        return
    items = _items(dataset, tag)
    for item in items[:1] if only_first else items:
        yield from _texts(item, path[1:], character_set, only_first=only_first)


def _items(dataset: Dataset, tag: int) -> list[Dataset]:
    try:
        value = dataset[tag].value if tag in dataset else ()
    except Exception:  # noqa: BLE001  (pydicom raises whatever it likes at a sequence that is none)
        return []
    return list(value) if isinstance(value, Sequence) else []


def _text(dataset: Dataset, tag: int, character_set: bytes) -> str:
    element = dataset.get_item(tag)  # unconverted, if it came off the wire
    if isinstance(element, RawDataElement):
        return _raw_text(element, tag, character_set)
    return _plain(element) if isinstance(element, DataElement) else ""


def _raw_text(element: RawDataElement, tag: int, character_set: bytes) -> str:
    value = element.value or b""
    vr = element.VR if element.VR not in {None, "UN"} else dictionary_VR(tag)
    if vr not in _STRINGS:
        found = interpret(tag, vr or "", value, "little" if element.is_little_endian else "big", character_set)
        return "\\".join(map(str, found)) if isinstance(found, list) else "" if found is None else str(found)
    text = decode(value, character_set) if vr in _LOCALISED else value.decode("ascii", "replace")
    if vr in _TEXTS:
        return text.rstrip(" \0")
    return "\\".join(part.strip(" \0") for part in text.split("\\"))


def _plain(element: DataElement) -> str:
    value = element.value
    if value is None or isinstance(value, bytes | Sequence):
        return ""
    if isinstance(value, MultiValue | list):
        return "\\".join("" if one is None else str(one) for one in value)
    return str(value)


def _raw(dataset: Dataset, tag: int) -> bytes:
    element = dataset.get_item(tag)
    if isinstance(element, RawDataElement):
        return element.value or b""
    return _plain(element).encode("ascii", "replace") if isinstance(element, DataElement) else b""
