"""The elements of a data set in words, without whom they are about (PS3.5 7).

A log of a query is to say which keys were asked and how long their values were, and not for whom. So values are left
out unless they are known to identify nobody: UIDs, and some coded elements by their tag. Where patient data are asked
for explicitly, text and numbers are shown; bulk data never are.

The data set may be cut off, and may be anything: what makes no sense ends the list with words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from gurney.dicom.dictionary import SEQUENCES, named_uid, vr_of
from gurney.dicom.encodings import IMPLICIT_LE, Encoding, encoding_of, is_deflated
from gurney.dicom.uids import uid_of
from gurney.dicom.values import interpret
from gurney.pacs.wire_log.association_words import escaped
from gurney.pacs.wire_log.overheard import Kept

__all__ = ["HARMLESS", "element_lines"]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_CHARACTER_SET: Final = 0x00080005
_PIXEL_GROUP: Final = 0x7FE0
_MOST_LINES: Final = 400
_DEEPEST: Final = 8
_LONGEST_VALUE: Final = 256
_SHOWN: Final = 80
_BULK: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN", ""})
_REDACTED: Final = "[redacted]"

_KEYWORDS: Final = """
    ActionTypeID BitsAllocated BitsStored BorderDensity BurnedInAnnotation Columns EmptyImageDensity ErrorID
    EventTypeID ExecutionStatus FailureReason FilmBoxContentSequence FilmDestination FilmOrientation
    FilmSizeID HighBit ImageBoxPosition ImageDisplayFormat InstanceAvailability InstanceNumber
    LossyImageCompression LossyImageCompressionMethod MagnificationType MediumType ModalitiesInStudy Modality
    NumberOfCopies NumberOfFrames NumberOfPatientRelatedInstances NumberOfPatientRelatedSeries
    NumberOfPatientRelatedStudies NumberOfSeriesRelatedInstances NumberOfStudyRelatedInstances
    NumberOfStudyRelatedSeries PerformedProcedureStepStatus PhotometricInterpretation PixelRepresentation
    PlanarConfiguration Polarity PrinterStatus PrintPriority ProcedureStepState QueryRetrieveLevel
    QueryRetrieveView RetrieveAETitle Rows SamplesPerPixel ScheduledProcedureStepStatus
    ScheduledStationAETitle SeriesNumber SpecificCharacterSet Trim
"""
HARMLESS: Final = frozenset(tag for keyword in _KEYWORDS.split() if (tag := tag_for_keyword(keyword)) is not None)
"""Tags whose values are shown: codes, counts and AE titles. Their values are still held to what such a thing may be."""

# What a code, a count or a title may be. A caret, a comma or a lower-case letter smells of a name.
_CODE: Final = re.compile(r"[A-Z0-9_ .\\/+-]{0,64}", re.ASCII)


class _Element(NamedTuple):
    tag: int
    vr: str
    length: int
    start: int


def element_lines(dataset: Kept, transfer_syntax_uid: str, *, reveal: bool = False) -> Iterator[str]:
    """Say the elements of a data set, a line for each; what lies in a sequence is indented. Never raises."""
    if is_deflated(transfer_syntax_uid):
        yield "its elements are deflated"
        return
    yield from _Reading(dataset, encoding_of(transfer_syntax_uid), reveal=reveal).lines()


class _Reading:
    """One pass over what was kept of a data set."""

    def __init__(self, dataset: Kept, encoding: Encoding, *, reveal: bool) -> None:
        self._data, self._length = dataset
        self._is_whole = dataset.is_whole
        self._encodings = [encoding]
        self._reveal = reveal
        self._character_set = b""
        self._at = 0
        # Where what is open ends, the outermost being the data set; None where a delimiter says so.
        self._ends: list[int | None] = [self._length]

    def lines(self) -> Iterator[str]:
        """Give the lines, and say why there are no more where the data set has not come to its end."""
        number = 0
        while self._at < self._length:
            if number == _MOST_LINES:
                yield "... and more elements"
                return
            self._leave_what_has_ended()
            if self._at >= self._length:
                return
            element = self._header()
            if element is None:
                kept = "" if self._is_whole else " of which only the beginning is kept"
                yield f"... and what can't be followed, from byte {self._at} of {self._length}{kept}"
                return
            depth = len(self._ends) - 1
            self._at = element.start
            if element.tag in {_ITEM_END, _SEQUENCE_END}:
                self._leave()
                continue
            number += 1
            if len(self._ends) > 2 * _DEEPEST:
                yield "... and sequences too deep to follow"
                return
            yield "  " * depth + self._words(element)

    def _leave_what_has_ended(self) -> None:
        while len(self._ends) > 1 and (end := self._ends[-1]) is not None and self._at >= end:
            self._leave()

    def _leave(self) -> None:
        if len(self._ends) > 1:
            self._ends.pop()
            self._encodings.pop()

    def _enter(self, end: int | None, encoding: Encoding) -> None:
        self._ends.append(end)
        self._encodings.append(encoding)

    def _header(self) -> _Element | None:
        """Read the next header, None where there is none, or it makes no sense."""
        data, at, encoding = self._data, self._at, self._encodings[-1]
        if at + 8 > len(data):
            return None
        key, length = encoding.read_item(data, at)
        tag = encoding.key(key)
        if tag in {_ITEM, _ITEM_END, _SEQUENCE_END}:
            return _Element(tag, "", length, at + 8)
        if not encoding.explicit:
            return _Element(tag, "SQ" if tag in SEQUENCES or length == _UNDEFINED else vr_of(tag), length, at + 8)
        _, code, short = encoding.read_header(data, at)
        vr = data[at + 4 : at + 6].decode("latin-1")
        if code in encoding.short_vrs:
            return _Element(tag, vr, short, at + 8)
        if code not in encoding.long_vrs or at + 12 > len(data):
            return None
        return _Element(tag, vr, encoding.read_long(data, at + 8)[0], at + 12)

    def _words(self, element: _Element) -> str:
        """Say an element, and go to what comes next: into a sequence or an item, past everything else."""
        tag, vr, length, _ = element
        encoding = self._encodings[-1]
        name = f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
        size = "undefined length" if length == _UNDEFINED else f"{length} bytes"
        if tag == _ITEM:
            # An item of pixel data holds bytes: nothing is open that could hold elements.
            self._enter(None if length == _UNDEFINED else self._at + length, encoding)
            return f"item, {size}"
        if tag >> 16 == _PIXEL_GROUP and length == _UNDEFINED:
            self._at = self._length
            return f"{name} {vr} {keyword_for_tag(tag)}, encapsulated"
        if vr == "SQ" or length == _UNDEFINED:
            # A sequence of unknown content is implicit VR little endian (PS3.5 6.2.2).
            self._enter(None if length == _UNDEFINED else self._at + length, IMPLICIT_LE if vr == "UN" else encoding)
            return f"{name} {vr} {keyword_for_tag(tag) or 'private'}, {size}"
        value = self._data[self._at : self._at + min(length, _LONGEST_VALUE)]
        self._at += length
        if tag == _CHARACTER_SET:
            self._character_set = value
        return f"{name} {vr or 'UN'} {keyword_for_tag(tag) or 'private'}, {size}{self._value(element, value)}"

    def _value(self, element: _Element, value: bytes) -> str:
        """Give what may be shown of a value, in words."""
        tag, vr, length, _ = element
        if not length:
            return ""
        if vr == "UI":
            uids = [uid_of(part) for part in value.split(b"\\")]
            if len(value) == length and all(uids):
                return ": " + ", ".join(named_uid(uid) for uid in uids if uid)
        if not self._reveal and (tag not in HARMLESS or vr != vr_of(tag)):
            return f" {_REDACTED}"
        if vr in _BULK:
            return ""
        shown = interpret(tag, vr, value, self._encodings[-1].byteorder, self._character_set)
        text = "\\".join(map(str, shown)) if isinstance(shown, list) else str(shown)
        if not self._reveal and not _CODE.fullmatch(text):
            return f" {_REDACTED}"
        return f": {escaped(text, _SHOWN)}"
