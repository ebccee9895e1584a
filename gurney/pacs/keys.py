"""The keys of an identifier: how a value asks, and whether an answer is one to it (PS3.4 C.2.2.2).

A key is named by its keyword, or by a path of keywords through sequences: ``PatientID``,
``ScheduledProcedureStepSequence.Modality``. An empty value asks for the attribute without matching by it.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import TypeAlias

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

__all__ = ["Range", "Wanted", "answers", "identifier", "value_at"]

Moment: TypeAlias = str | date | datetime | time

_LIST_VR = "UI"
# Of these an archive's idea of a match may be looser than ours, rightly: case, accents, phonetics, time zones.
_LOOSE_VRS = frozenset({"PN", "TM", "DT", "LT", "ST", "UT", "UC"})
_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "SH"})


@dataclass(frozen=True, slots=True)
class Range:
    """Dates or times from ``first`` to ``last``, both included; "" leaves that side open (PS3.4 C.2.2.2.5)."""

    first: Moment = ""
    last: Moment = ""


Wanted: TypeAlias = Moment | Range | Sequence[str]
"""What a key may ask for: one value, which may hold wildcards, a range, or a list of UIDs."""


def identifier(keys: Mapping[str, Wanted], template: Dataset | None = None) -> Dataset:
    """Make an identifier of keys; those of ``template`` are there as well, and give way to them.

    Raises ValueError for an unknown keyword, a path through what is no sequence, and a value that its VR can't hold.
    """
    # A copy to its depth: keys go into its sequences.
    made = deepcopy(template) if template is not None else Dataset()
    for path, wanted in keys.items():
        *sequences, keyword = path.split(".")
        place = made
        for name in sequences:
            if _vr(name, path) != "SQ":
                raise ValueError(f"key {path!r}: {name} is no sequence")
            if not place.get(name):
                setattr(place, name, [Dataset()])
            place = getattr(place, name)[0]
        vr = _vr(keyword, path)
        setattr(place, keyword, [] if vr == "SQ" else _encoded(wanted, vr, path))
    if not _is_ascii(made):
        made.SpecificCharacterSet = "ISO_IR 192"
    return made


def value_at(dataset: Dataset, path: str) -> str:
    """Return an attribute as text, several values divided by backslashes; "" where it is missing or empty."""
    *sequences, keyword = path.split(".")
    for name in sequences:
        items = dataset.get(name)
        if not items:
            return ""
        dataset = items[0]
    value = dataset.get(keyword)
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, MultiValue | list) else str(value)


def answers(dataset: Dataset, keys: Mapping[str, Wanted]) -> bool:
    """Tell whether a match is one to what was asked.

    Archives ignore keys that they don't know, and some all keys: their whole content is no answer. What a match does
    not say can't be held against it, nor what may be matched more loosely than we can judge (names, times).
    """
    return all(_answers(value_at(dataset, path), wanted, path) for path, wanted in keys.items())


def _answers(found: str, wanted: Wanted, path: str) -> bool:
    vr = _vr(path.rpartition(".")[2], path)
    if not wanted or not found or vr in _LOOSE_VRS or vr == "SQ":
        return True
    values = found.split("\\")
    if isinstance(wanted, Range):
        first, last = (_moment(side, vr) for side in (wanted.first, wanted.last))
        return any((not first or value >= first) and (not last or value <= last) for value in values)
    patterns = [_text(wanted, vr)] if isinstance(wanted, str | date | time) else list(wanted)
    return any(_fits(value, pattern, vr) for value in values for pattern in patterns)


def _fits(value: str, pattern: str, vr: str) -> bool:
    if vr == "DA" and "-" in pattern:
        first, _, last = pattern.partition("-")
        return (not first or value >= first) and (not last or value <= last)
    if vr in _WILDCARD_VRS and re.search(r"[*?]", pattern):
        # Only * and ? are wildcards of DICOM.
        pattern = pattern.replace("[", "[[]")
        return fnmatch.fnmatchcase(value.strip().casefold(), pattern.strip().casefold())
    return value.strip().casefold() == pattern.strip().casefold()


def _vr(keyword: str, path: str) -> str:
    if tag_for_keyword(keyword) is None:
        raise ValueError(f"key {path!r}: {keyword!r} is no keyword of the DICOM dictionary")
    return dictionary_VR(keyword)


def _encoded(wanted: Wanted, vr: str, path: str) -> str | list[str]:
    if isinstance(wanted, Range):
        if vr not in {"DA", "TM", "DT"}:
            raise ValueError(f"key {path!r}: only dates and times have ranges, not {vr}")
        first, last = (_moment(side, vr) for side in (wanted.first, wanted.last))
        return f"{first}-{last}" if first or last else ""
    if isinstance(wanted, str | date | time):
        return _text(wanted, vr)
    values = [str(value) for value in wanted]
    if len(values) > 1 and vr != _LIST_VR:
        raise ValueError(f"key {path!r}: a list is asked for UIDs only (PS3.4 C.2.2.2.2), ask one {vr} at a time")
    return values


def _text(wanted: Moment, vr: str) -> str:
    return wanted if isinstance(wanted, str) else _moment(wanted, vr)


def _moment(side: Moment, vr: str) -> str:
    """Write a date or time as its VR wants it (PS3.5 6.2)."""
    if isinstance(side, str):
        return side
    formats = {"DA": "%Y%m%d", "TM": "%H%M%S", "DT": "%Y%m%d%H%M%S"}
    return side.strftime(formats[vr]) if vr in formats else str(side)


def _is_ascii(dataset: Dataset) -> bool:
    return all(_texts_are_ascii(element.value) for element in dataset.iterall() if element.VR != "SQ")


def _texts_are_ascii(value: object) -> bool:
    values: Iterable[object] = value if isinstance(value, MultiValue | list) else [value]
    return all(str(one).isascii() for one in values)
