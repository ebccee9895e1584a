"""Body regions, kinds of images, sides and sizes, as a ``regions.toml`` tells them from what is said of a study."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Self

from gurney.errors import ConfigError

__all__ = ["InvalidRegions", "Located", "Regions", "Side", "Source", "fold"]

_LETTERS = {"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"}
_KEYS = {"words", "codes", "body_parts", "covers"}


class InvalidRegions(ConfigError):
    """A ``regions.toml`` that can't be read, with what is wrong in it."""


class Source(StrEnum):
    """What a region was told by, the most trustworthy first."""

    PROCEDURE_CODE = "procedure code"
    DESCRIPTION = "description"
    BODY_PART = "BodyPartExamined"
    NOTHING = "nothing"


class Side(StrEnum):
    """The side that a description names."""

    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"
    UNSAID = "unsaid"


@dataclass(frozen=True, slots=True)
class Located:
    """The regions of a study, none where nobody can tell, and what told them."""

    regions: frozenset[str] = frozenset()
    source: Source = Source.NOTHING

    def __str__(self) -> str:
        return f"{' and '.join(sorted(self.regions))} (by {self.source})" if self.regions else "unknown"


@dataclass(frozen=True, slots=True)
class _Kinship:
    modalities: frozenset[str]
    region: str


@dataclass(frozen=True, slots=True)
class Regions:
    """A ``regions.toml`` in force."""

    _words: Mapping[str, re.Pattern[str]]
    _codes: Mapping[str, tuple[str, ...]]
    _body_parts: Mapping[str, frozenset[str]]
    _covers: Mapping[str, frozenset[str]]
    _kin: tuple[_Kinship, ...]
    _sides: Mapping[Side, frozenset[str]]
    _bytes: Mapping[str, int]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file's text. Raises InvalidRegions, with the key that is wrong."""
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise InvalidRegions(f"the regions are no TOML: {error}") from None
        regions: Mapping[str, Any] = _table(document, "region")
        for name, region in regions.items():
            if unknown := set(_table(regions, name)) - _KEYS:
                raise InvalidRegions(f"region.{name}: {min(unknown)!r} is not a key; known: {', '.join(sorted(_KEYS))}")
            if strangers := set(_texts(region, "covers", name)) - set(regions) - {"*"}:
                raise InvalidRegions(f"region.{name}: covers {min(strangers)!r}, which is no region here")
        everything = frozenset(regions)
        return cls(
            {name: _pattern(_texts(region, "words", name)) for name, region in regions.items()},
            {name: _texts(region, "codes", name) for name, region in regions.items()},
            {
                name: frozenset(part.upper() for part in _texts(region, "body_parts", name))
                for name, region in regions.items()
            },
            {
                name: everything if "*" in region.get("covers", ()) else frozenset({name, *region.get("covers", ())})
                for name, region in regions.items()
            },
            tuple(_kinships(document, regions)),
            {
                Side(side): frozenset(map(fold, _texts(_table(document, "laterality"), side, "laterality")))
                for side in ("left", "right", "both")
            },
            _sizes(_table(document, "instance_bytes")),
        )

    def locate(self, *, codes: Iterable[str] = (), description: str = "", body_parts: Iterable[str] = ()) -> Located:
        """Tell a study's regions: from its procedure codes, else its description, else its series' body parts."""
        asked = (
            (Source.PROCEDURE_CODE, self._of_codes([code for code in codes if code])),
            (Source.DESCRIPTION, self._of_description(description)),
            (Source.BODY_PART, self._of_body_parts(body_parts)),
        )
        return next((Located(found, source) for source, found in asked if found), Located())

    def overlap(self, one: Located, other: Located) -> bool:
        """Say whether two studies show a region in common; what one covers counts."""
        return bool(self._within(one.regions) & self._within(other.regions))

    def are_kin(self, one: str, other: str, regions: Collection[str]) -> bool:
        """Say whether images of two different modalities are compared with each other in these regions."""
        pair = {one, other}
        return any(pair == kinship.modalities and kinship.region in {"", *regions} for kinship in self._kin)

    def side(self, description: str) -> Side:
        """Tell the side that a description names; both where it names the two."""
        text = fold(description)
        for pattern in self._words.values():  # the L of an L spine is no side
            text = pattern.sub(" ", text)
        words = set(text.split())
        named = {side for side, known in self._sides.items() if words & known}
        if not named:
            return Side.UNSAID
        return named.pop() if len(named) == 1 else Side.BOTH

    def instance_bytes(self, modality: str) -> int:
        """Return how many bytes an instance of a modality has, more or less."""
        return self._bytes.get(modality, self._bytes["default"])

    def _of_codes(self, codes: Collection[str]) -> frozenset[str]:
        return frozenset(
            name
            for name, patterns in self._codes.items()
            if any(fnmatchcase(code.upper(), pattern.upper()) for code in codes for pattern in patterns)
        )

    def _of_description(self, description: str) -> frozenset[str]:
        text = fold(description)
        found = {name: [match.span() for match in words.finditer(text)] for name, words in self._words.items()}
        # "cervical spine" is not the spine as a whole: a word within a longer one that was found says nothing more.
        spans = [span for each in found.values() for span in each]
        return frozenset(
            name
            for name, own in found.items()
            if any(not any(_lies_in(span, other) for other in spans) for span in own)
        )

    def _of_body_parts(self, body_parts: Iterable[str]) -> frozenset[str]:
        said = {part.strip().upper() for part in body_parts}
        return frozenset(name for name, known in self._body_parts.items() if said & known)

    def _within(self, regions: Collection[str]) -> frozenset[str]:
        return frozenset().union(*(self._covers[name] for name in regions))


def fold(text: str) -> str:
    """Write a text in small letters and digits with single spaces: ``"Schädel-MRT"`` becomes ``"schaedel mrt"``."""
    small = "".join(_LETTERS.get(letter, letter) for letter in unicodedata.normalize("NFKC", text).casefold())
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", small) if not unicodedata.combining(letter))
    return " ".join(re.findall(r"[^\W_]+", plain.casefold()))


def _lies_in(inner: tuple[int, int], outer: tuple[int, int]) -> bool:
    return inner != outer and outer[0] <= inner[0] and inner[1] <= outer[1]


def _pattern(words: Iterable[str]) -> re.Pattern[str]:
    # The longest first: an alternation takes the first that fits.
    written = sorted(("*".join(map(fold, word.split("*"))) for word in words), key=len, reverse=True)
    either = "|".join(re.escape(word).replace(r"\*", r"\w*") for word in written)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)" if either else r"(?!)")


def _table(holder: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = holder.get(key, {})
    if not isinstance(found, dict):
        raise InvalidRegions(f"{key} is no table")
    return found


def _texts(holder: Mapping[str, Any], key: str, place: str) -> tuple[str, ...]:
    found = holder.get(key, [])
    if not isinstance(found, list) or not all(isinstance(text, str) and text for text in found):
        raise InvalidRegions(f"{place}.{key} is no list of texts")
    return tuple(found)


def _kinships(document: Mapping[str, Any], regions: Mapping[str, Any]) -> Iterable[_Kinship]:
    groups = document.get("modality_group", [])
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        raise InvalidRegions("modality_group is no array of tables: write [[modality_group]]")
    for group in groups:
        of, region = group.get("of"), group.get("region", "")
        if not isinstance(of, str) or not of:
            raise InvalidRegions('a modality_group needs of, such as of = "MG"')
        if region and region not in regions:
            raise InvalidRegions(f"modality_group of {of}: {region!r} is no region here")
        for other in _texts(group, "with", f"modality_group of {of}"):
            yield _Kinship(frozenset({of, other}), region)


def _sizes(table: Mapping[str, Any]) -> dict[str, int]:
    for modality, size in table.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise InvalidRegions(f"instance_bytes.{modality} is no number of bytes")
    return {"default": 1_000_000, **table}
