"""The keys of an identifier, and how a value asks (PS3.4 C.2.2.2).

A key is named by its keyword, or by a path of keywords through sequences: ``PatientID``,
``ScheduledProcedureStepSequence.Modality``. A date and its time that are asked for as one moment are named together:
``StudyDate+StudyTime``. An empty value asks for the attribute without matching by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, TypeAlias

from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from gurney.dicom.charset import encodings_of
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.query.key_rules import DATE_VRS, check_key

__all__ = ["Moment", "Range", "Wanted", "identifier", "is_moment", "side_of", "vr_of_key"]

Moment: TypeAlias = str | date | datetime | time
"""A date or a time; text is as DICOM writes it (PS3.5 6.2)."""

_UTF_8 = "ISO_IR 192"
_NUMBERS = frozenset({"US", "SS", "UL", "SL", "UV", "SV"})
_FORMATS: dict[str, tuple[type[date] | type[time], ...]] = {"DA": (date,), "TM": (time, datetime), "DT": (date,)}
# What can't be asked for but as a whole: bytes, and tags.
_OPAQUE = frozenset({"AT", "OB", "OD", "OF", "OL", "OV", "OW", "UN", "FL", "FD"})


@dataclass(frozen=True, slots=True)
class Range:
    """Dates or times from ``first`` to ``last``, both included; "" leaves that side open (PS3.4 C.2.2.2.5)."""

    first: Moment = ""
    last: Moment = ""


Wanted: TypeAlias = Moment | Range | Sequence[str]
"""What a key may ask for: one value, which may hold wildcards, a range, or a list of UIDs."""


def identifier(
    keys: Mapping[str, Wanted],
    template: Dataset | None = None,
    *,
    character_set: str = _UTF_8,
    combined: bool = False,
) -> Dataset:
    """Make an identifier of keys; those of ``template`` are there as well, and give way to those with a value.

    Text beyond ASCII is written in the template's character set, in ``character_set`` or, where neither has all of its
    letters, in UTF-8. A moment is asked for by its date alone, unless the peer agreed to match date and time
    ``combined`` (PS3.4 C.5.1.1): otherwise it would take the time for one of every day.

    Raises InvalidQuery for an unknown keyword, a path through what is no sequence, and a value that its VR can't hold.
    """
    # A copy to its depth: keys go into its sequences.
    made = deepcopy(template) if template is not None else Dataset()
    for path, wanted in keys.items():
        place, keyword = _place(made, path)
        if is_moment(path):
            _ask_for_moment(place, keyword, wanted, path, combined=combined)
        else:
            vr = vr_of_key(keyword, path)
            value = _encoded(wanted, vr, path)
            if wanted or keyword not in place:
                _set(place, keyword, vr, value)
    if not _is_ascii(made):
        own = str(made.get("SpecificCharacterSet") or "")
        made.SpecificCharacterSet = next((term for term in (own, character_set) if _holds(term, made)), _UTF_8)
    return made


def is_moment(path: str) -> bool:
    """Tell whether a path names a date and a time that are one moment."""
    return "+" in path


def vr_of_key(keyword: str, path: str) -> str:
    """Return the VR of a keyword. Raises InvalidQuery for one that the dictionary does not have."""
    if tag_for_keyword(keyword) is None:
        raise InvalidQuery(path, f"is no key: {keyword!r} is no keyword of the DICOM dictionary", "check its spelling")
    return dictionary_VR(keyword).partition(" or ")[0]


def side_of(side: Moment, vr: str, path: str) -> str:
    """Write a date or time, or a side of a range, as its VR wants it (PS3.5 6.2)."""
    if isinstance(side, str):
        return side
    if vr == "DT":
        written = side.strftime("%Y%m%d%H%M%S" if isinstance(side, datetime) else "%Y%m%d")
        return written + (side.strftime("%z")[:5] if isinstance(side, datetime) else "")
    if not isinstance(side, _FORMATS.get(vr, ())):
        raise InvalidQuery(path, f"is a {vr}, which takes no {type(side).__name__}", "give it what its name says")
    fraction = f".{side.microsecond:06d}" if isinstance(side, time | datetime) and side.microsecond else ""
    return side.strftime("%Y%m%d") if vr == "DA" else side.strftime("%H%M%S") + fraction


def _place(made: Dataset, path: str) -> tuple[Dataset, str]:
    """Find, or make, the item in which a key belongs, and its keyword there."""
    *sequences, keyword = path.split(".")
    for name in sequences:
        if vr_of_key(name, path) != "SQ":
            raise InvalidQuery(path, f"goes through {name}, which is no sequence", "name a sequence before each dot")
        if not made.get(name):
            setattr(made, name, [Dataset()])
        made = getattr(made, name)[0]
    return made, keyword


def _ask_for_moment(place: Dataset, pair: str, wanted: Wanted, path: str, *, combined: bool) -> None:
    day, _, hour = pair.partition("+")
    if (vr_of_key(day, path), vr_of_key(hour, path)) != ("DA", "TM"):
        raise InvalidQuery(path, "is no moment", "name a date first, then its time")
    if not wanted:
        for keyword in (day, hour):
            if keyword not in place:
                _set(place, keyword, vr_of_key(keyword, path), "")
        return
    if not isinstance(wanted, Range) or not all(not side or type(side) is datetime for side in _sides(wanted)):
        raise InvalidQuery(path, "is a moment, which is asked for by a Range of datetimes", "give a Range of datetimes")
    _set(place, day, "DA", _encoded(wanted, "DA", path))
    hours = "-".join(side_of(side, "TM", path) for side in _sides(wanted)) if combined else ""
    _set(place, hour, "TM", hours)


def _set(place: Dataset, keyword: str, vr: str, value: object) -> None:
    """Set an element: pydicom would judge it as a value, and warn of ranges and wildcards."""
    place.add(DataElement(keyword, vr, value, validation_mode=IGNORE))


def _sides(wanted: Range) -> tuple[Moment, Moment]:
    return wanted.first, wanted.last


def _encoded(wanted: Wanted, vr: str, path: str) -> str | int | list[str] | list[Dataset]:
    if vr == "SQ" or vr in _OPAQUE:
        if wanted:
            raise InvalidQuery(path, f"is a {vr}, by which nothing is matched", "leave it empty, or name what is in it")
        return [] if vr == "SQ" else ""
    if isinstance(wanted, Range):
        return _range(wanted, vr, path)
    if isinstance(wanted, str | date | time):
        text = check_key(side_of(wanted, vr, path), vr, path)
        return int(text) if text and vr in _NUMBERS else text
    values = _list(wanted, path)
    if len(values) > 1 and vr != "UI":
        raise InvalidQuery(path, "is a list, and a list is asked for UIDs only", f"ask one {vr} at a time")
    return [check_key(value, vr, path) for value in values]


def _list(wanted: Any, path: str) -> list[str]:
    if not isinstance(wanted, Iterable) or isinstance(wanted, bytes | Mapping):
        raise InvalidQuery(path, f"takes no {type(wanted).__name__}", "give text, a date, a time, a Range or a list")
    values = list(wanted)
    if not all(isinstance(value, str) and value for value in values):
        raise InvalidQuery(path, "is a list with something in it that is no text", "give a list of UIDs")
    return values


def _range(wanted: Range, vr: str, path: str) -> str:
    if vr not in DATE_VRS:
        raise InvalidQuery(path, f"has a range, and only dates and times have ranges, not {vr}", "ask for one value")
    first, last = (check_key(side_of(side, vr, path), vr, path) for side in _sides(wanted))
    if "-" in first + last and vr != "DT":
        raise InvalidQuery(path, "has a range within a range", "give one date or time for each side")
    # A shorter one stands for all that begins so; offsets from UTC can't be compared as text.
    if first and last and last[: len(first)] < first[: len(last)] and not {*"+-"} & {*first, *last}:
        raise InvalidQuery(path, "has a range that ends before it begins", "exchange its sides")
    return f"{first}-{last}" if first or last else ""


def _holds(term: str, dataset: Dataset) -> bool:
    """Tell whether a character set has every letter of a data set."""
    codecs = encodings_of(term.encode("ascii", "replace")) if term else ()
    return bool(codecs) and all(
        any(_is_in(character, codec) for codec in codecs) for text in _texts(dataset) for character in text
    )


def _is_in(character: str, codec: str) -> bool:
    try:
        character.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _is_ascii(dataset: Dataset) -> bool:
    return all(text.isascii() for text in _texts(dataset))


def _texts(dataset: Dataset) -> Iterable[str]:
    for element in dataset.iterall():
        if element.VR != "SQ":
            value = element.value
            yield from map(str, value if isinstance(value, MultiValue | list) else [value])
