"""Tags as rules see them: by keyword, with a type from the data dictionary, and with a meaning for "nothing there".

A text that is missing is empty text and a list that is missing is an empty list, so ``t.BodyPartExamined == ""`` and
``"PRIMARY" in t.ImageType`` ask what they say. A number that is missing has no stand-in: 0 would match by accident.

The dictionary is pydicom's, which is slow to import and waits until a rule asks for a tag.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

__all__ = ["LONGEST_LIST", "LONGEST_TEXT", "MODALITY", "Kind", "Tag", "Tags", "UnknownKeyword", "find_tag"]

LONGEST_TEXT: Final = 4096
LONGEST_LIST: Final = 256


class Kind(Enum):
    """The type of a tag's values in a rule."""

    TEXT = auto()
    INTEGER = auto()
    DECIMAL = auto()


_KINDS: Final[Mapping[str, Kind]] = {
    **dict.fromkeys(
        ["AE", "AS", "AT", "CS", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"], Kind.TEXT
    ),
    **dict.fromkeys(["IS", "SL", "SS", "SV", "UL", "US", "UV"], Kind.INTEGER),
    **dict.fromkeys(["DS", "FD", "FL"], Kind.DECIMAL),
}
_SAMPLES: Final[Mapping[Kind, object]] = {Kind.TEXT: "20240131", Kind.INTEGER: 7, Kind.DECIMAL: 7.5}


class UnknownKeyword(LookupError):
    """A keyword that no rule can use; the message says why, and what was perhaps meant."""


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag that a rule asks for. ``many``: its value multiplicity allows several, so it is always a list."""

    keyword: str
    number: int
    kind: Kind
    many: bool

    @property
    def sample(self) -> object:
        """A value of the right type, to try a rule with."""
        value = _SAMPLES[self.kind]
        return [value] * 16 if self.many else value

    def typed(self, value: object) -> object | None:
        """Return the value as rules see it, None where there is nothing.

        Raises ValueError, saying why, for what must not be compared: a rule over it fails visibly.
        """
        values = value if isinstance(value, (list, tuple)) else [value]
        if all(one is None or one == "" for one in values):
            return None
        if not self.many and len(values) > 1:
            raise ValueError("has several values where the standard allows one")
        if len(values) > LONGEST_LIST:
            raise ValueError(f"has more than {LONGEST_LIST} values")
        found = [self._scalar(one) for one in values]
        return found if self.many else found[0]

    def _scalar(self, value: object) -> object:
        match self.kind:
            case Kind.TEXT:
                return _text(str(value))
            case Kind.INTEGER if isinstance(value, int):
                return value
            case Kind.DECIMAL if isinstance(value, (int, float)) and math.isfinite(value):
                return float(value)
        raise ValueError("is not a number")


def _text(value: str) -> str:
    if len(value) > LONGEST_TEXT:
        raise ValueError(f"is longer than {LONGEST_TEXT} characters")
    # A lone surrogate stands for a byte that could not be decoded; it is no text.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


MODALITY: Final = Tag("Modality", 0x00080060, Kind.TEXT, many=False)
"""Read of every instance, whatever the rules ask for (PS3.3 C.7.3.1)."""


@functools.cache
def _dictionary() -> Mapping[int, Sequence[str]]:
    from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined] # public by its documentation only

    return DicomDictionary


@functools.cache
def _by_keyword() -> dict[str, int]:
    return {entry[4]: tag for tag, entry in _dictionary().items() if entry[4]}


def find_tag(keyword: str) -> Tag:
    """Look a keyword up in the data dictionary (PS3.6)."""
    number = _by_keyword().get(keyword)
    if number is None:
        close = difflib.get_close_matches(keyword, _by_keyword(), n=1)
        hint = f"; did you mean t.{close[0]}?" if close else "; keywords are those of PS3.6, private tags have none"
        raise UnknownKeyword(f"{keyword!r} is no DICOM keyword{hint}")
    if number >> 16 == 0x0002:
        raise UnknownKeyword(f"{keyword!r} is file meta information; use sop_class_uid or transfer_syntax_uid")
    vr, multiplicity = _dictionary()[number][:2]
    kind = _KINDS.get(vr[:2])
    if kind is None:
        raise UnknownKeyword(f"{keyword!r} has VR {vr}: rules compare text and numbers only")
    return Tag(keyword, number, kind, many=multiplicity != "1")


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of one instance as its rules see them.

    ``present`` has what is there; ``standing_in`` adds empty text and empty lists for what is not.
    ``unreadable`` says why a value is in neither.
    """

    present: dict[str, object] = field(repr=False)
    standing_in: dict[str, object] = field(repr=False)
    unreadable: dict[str, str]

    @classmethod
    def of(cls, wanted: Mapping[str, Tag], values: Mapping[str, object]) -> Tags:
        """Take the wanted tags from values by keyword."""
        present: dict[str, object] = {}
        standing_in: dict[str, object] = {}
        unreadable: dict[str, str] = {}
        for keyword, tag in wanted.items():
            try:
                value = tag.typed(values.get(keyword))
            except ValueError as error:
                unreadable[keyword] = str(error)
                continue
            if value is not None:
                present[keyword] = standing_in[keyword] = value
            elif tag.many:
                standing_in[keyword] = []
            elif tag.kind is Kind.TEXT:
                standing_in[keyword] = ""
        return cls(present, standing_in, unreadable)

    @classmethod
    def samples(cls, wanted: Mapping[str, Tag]) -> Tags:
        """Return tags that are all there, to try rules with."""
        samples = {keyword: tag.sample for keyword, tag in wanted.items()}
        return cls(samples, samples, {})
