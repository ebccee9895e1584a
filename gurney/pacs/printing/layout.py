"""Film sessions and film boxes: on what and how it is printed (PS3.3 C.13.1, C.13.3)."""

from __future__ import annotations

import re
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum

from pydicom.dataset import Dataset

from gurney.pacs.errors import InvalidAttributes
from gurney.pacs.normalized.attributes import at_least_one, attribute_list, one_of, references

__all__ = ["FilmBox", "FilmOrientation", "FilmSession", "Polarity", "PrintPriority"]

_SESSION, _BOX = "a film session", "a film box"
_FORMATS = re.compile(r"STANDARD\\[1-9]\d?,[1-9]\d?|(?:ROW|COL)\\[1-9]\d?(?:,[1-9]\d?)*|SLIDE|SUPERSLIDE|CUSTOM\\\d+")


class PrintPriority(StrEnum):
    """Print Priority (2000,0020)."""

    HIGH = "HIGH"
    MED = "MED"
    LOW = "LOW"


class FilmOrientation(StrEnum):
    """Film Orientation (2010,0040)."""

    PORTRAIT = "PORTRAIT"
    LANDSCAPE = "LANDSCAPE"


class Polarity(StrEnum):
    """Polarity (2020,0020): whether minimum values are printed as their photometric interpretation says."""

    NORMAL = "NORMAL"
    REVERSE = "REVERSE"


@dataclass(frozen=True, slots=True)
class FilmSession:
    """What holds for all films of a session. What is left empty is left to the printer.

    ``medium_type`` is such as ``BLUE FILM`` or ``PAPER``, ``destination`` such as ``MAGAZINE`` or ``BIN_2``.
    """

    copies: int = 1
    _: KW_ONLY
    priority: PrintPriority = PrintPriority.MED
    medium_type: str = ""
    destination: str = ""
    label: str = field(default="", repr=False)

    def attributes(self) -> Dataset:
        """Return the attribute list of the N-CREATE (PS3.4 H.4.1.2.1). Raises InvalidAttributes."""
        return attribute_list(
            _SESSION,
            NumberOfCopies=at_least_one(_SESSION, "NumberOfCopies", self.copies),
            PrintPriority=one_of(_SESSION, "PrintPriority", PrintPriority, self.priority),
            MediumType=self.medium_type or None,
            FilmDestination=self.destination or None,
            FilmSessionLabel=self.label or None,
        )


@dataclass(frozen=True, slots=True)
class FilmBox:
    r"""One film. ``layout`` is its Image Display Format, such as ``STANDARD\2,3``: two columns, three rows.

    What is left empty is left to the printer. ``film_size`` is such as ``14INX17IN`` or ``A4``, ``magnification`` such
    as ``CUBIC``; densities are such as ``BLACK`` or ``150``, in hundredths of optical density.
    """

    layout: str = "STANDARD\\1,1"
    _: KW_ONLY
    orientation: FilmOrientation | None = None
    film_size: str = ""
    magnification: str = ""
    border_density: str = ""
    empty_image_density: str = ""
    min_density: int | None = None
    max_density: int | None = None
    configuration: str = ""

    def attributes(self, sop_class_uid: str, session_uid: str) -> Dataset:
        """Return the attribute list of the N-CREATE in a film session (PS3.4 H.4.2.2.1). Raises InvalidAttributes."""
        if not _FORMATS.fullmatch(self.layout):
            raise InvalidAttributes(_BOX, ["ImageDisplayFormat is not a layout, such as STANDARD\\2,3"])
        if self.min_density is not None and self.max_density is not None and self.min_density > self.max_density:
            raise InvalidAttributes(_BOX, ["MinDensity is above MaxDensity"])
        orientation = self.orientation and one_of(_BOX, "FilmOrientation", FilmOrientation, self.orientation)
        return attribute_list(
            _BOX,
            ImageDisplayFormat=self.layout,
            ReferencedFilmSessionSequence=references(_BOX, [(sop_class_uid, session_uid)]),
            FilmOrientation=orientation or None,
            FilmSizeID=self.film_size or None,
            MagnificationType=self.magnification or None,
            BorderDensity=self.border_density or None,
            EmptyImageDensity=self.empty_image_density or None,
            MinDensity=self.min_density,
            MaxDensity=self.max_density,
            ConfigurationInformation=self.configuration or None,
        )
