"""Read the header of a Part 10 file, and prove in the same pass that the file is whole (PS3.10 7).

Everything that enters Gurney passes here once, so this is both the fast path of ingest and its guard: whatever the
bytes are, the answer is a :class:`Part10` or a :class:`~gurney.dicom.errors.Part10Error`, in bounded memory.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from gurney.dicom import uids
from gurney.dicom.dictionary import is_image_storage
from gurney.dicom.encodings import Encoding, encoding_of, is_deflated, is_encapsulated, recognise
from gurney.dicom.errors import Part10Error, Reason, TruncatedError, UnreadableError
from gurney.dicom.meta import FileMeta, read_meta
from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.dicom.sources import FileSource, InflateSource, Source, is_unwritten
from gurney.dicom.values import Value, interpret
from gurney.dicom.walk import PixelData, Walk

__all__ = ["IDENTITY_TAGS", "Part10", "read_part10"]

# What the ledger keeps of an instance, beside its UIDs.
IDENTITY_TAGS: Final = frozenset(
    {
        0x00080005,  # Specific Character Set
        0x00080008,  # Image Type
        0x00080020,  # Study Date
        0x00080030,  # Study Time
        0x00080050,  # Accession Number
        0x00080060,  # Modality
        0x00080070,  # Manufacturer
        0x00080080,  # Institution Name
        0x00080090,  # Referring Physician's Name
        0x00081010,  # Station Name
        0x00081030,  # Study Description
        0x0008103E,  # Series Description
        0x00100010,  # Patient's Name
        0x00100020,  # Patient ID
        0x00100021,  # Issuer of Patient ID
        0x00100030,  # Patient's Birth Date
        0x00100040,  # Patient's Sex
        0x00180015,  # Body Part Examined
        0x00181030,  # Protocol Name
        0x00200010,  # Study ID
        0x00200011,  # Series Number
        0x00200013,  # Instance Number
        0x00280008,  # Number of Frames
    }
)

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_CHARACTER_SET: Final = 0x00080005
_ROWS: Final = 0x00280010
_PIXEL_DATA_URL: Final = 0x00287FE0
_ALWAYS: Final = frozenset({_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES, _CHARACTER_SET, _ROWS, _PIXEL_DATA_URL})
_UID_NAMES: Final = {
    _SOP_CLASS: "SOP Class UID",
    _SOP_INSTANCE: "SOP Instance UID",
    _STUDY: "Study Instance UID",
    _SERIES: "Series Instance UID",
}
# Where the first pixels are black: how many bytes to look at, in how many places, before all are read.
_SAMPLE, _SAMPLES = 256, 16
_BLOCK: Final = 1024 * 1024
# Nobody reserves less than a page.
_RESERVABLE: Final = 4096
# Behind a deflate stream: one NUL for an even length (PS3.5 A.5), or gzip's trailer of CRC and size.
_DEFLATE_REST: Final = 8
_FIRST_LOOK: Final = 8 * 1024


@dataclass(frozen=True, slots=True)
class Part10:
    """A whole, storable file: what is needed to route and send it.

    The UIDs are the data set's own. The data set is every byte from ``dataset_offset`` to ``size``, as the transfer
    syntax encodes it. ``elements`` maps the tags that were asked for and found to whole elements, their headers
    included, as they lie in the file.
    ``executable_preamble`` says that the policy let a program's preamble pass; it must not be sent or kept.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int
    size: int
    elements: Mapping[int, bytes] = field(repr=False)
    encoding: Encoding = field(repr=False)
    executable_preamble: bool = False

    def value(self, tag: int) -> Value:
        """Interpret one of ``elements``: int, float, str, a list of those, or None where it is missing or empty.

        What does not fit its VR stays text, and bytes that do not fit the character set become U+FFFD: a sloppy header
        is no reason to stop an instance. Binary values are None.
        """
        element = self.elements.get(tag)
        if element is None:
            return None
        encoding, character_set = self.encoding, self.elements.get(_CHARACTER_SET, b"")
        vr, value = encoding.vr(element), encoding.value(element)
        return interpret(tag, vr, value, encoding.byteorder, encoding.value(character_set))


def read_part10(fd: int, *, wanted: frozenset[int] = IDENTITY_TAGS, policy: ReadPolicy = STRICT) -> Part10:
    """Read a file's header, keep the ``wanted`` top-level tags, and walk its elements to the end of the file.

    Raises TruncatedError for a file that stops early, UnreadableError where the system refuses the bytes, and
    Part10Error with its reason for everything else that should not be sent. The descriptor's offset is not moved.
    """
    try:
        return _read(fd, wanted, policy)
    except OSError as error:
        raise UnreadableError(os.strerror(error.errno) if error.errno else "the system gave no reason") from error


def _read(fd: int, wanted: frozenset[int], policy: ReadPolicy) -> Part10:
    size = os.fstat(fd).st_size
    meta = read_meta(fd, size, policy)
    source, window, start = _open_dataset(fd, size, meta, policy)
    encoding = _choose_encoding(source, window, start, meta.transfer_syntax_uid, policy)
    walk = Walk(source, encoding, _with_own(wanted), policy, start, window)
    _finish(walk, source, policy)
    transfer_syntax_uid = meta.transfer_syntax_uid or encoding.transfer_syntax_uid
    if walk.pixel_data is None:
        _check_imageless(walk, encoding, meta.sop_class_uid, policy)
    else:
        _check_pixel_data(walk.pixel_data, transfer_syntax_uid, policy)
        if isinstance(source, FileSource):
            _check_written(source, walk.pixel_data, window, policy)
    sop_class_uid, sop_instance_uid = _uid(walk, encoding, _SOP_CLASS), _uid(walk, encoding, _SOP_INSTANCE)
    if meta.sop_class_uid not in (None, sop_class_uid) or meta.sop_instance_uid not in (None, sop_instance_uid):
        policy.refuse(Part10Error(Reason.UID_MISMATCH, "file meta information and data set name different SOP UIDs"))
    return Part10(
        sop_class_uid,
        sop_instance_uid,
        _uid(walk, encoding, _STUDY),
        _uid(walk, encoding, _SERIES),
        transfer_syntax_uid,
        meta.dataset_offset,
        size,
        walk.elements,
        encoding,
        meta.executable_preamble,
    )


@lru_cache(maxsize=16)
def _with_own(wanted: frozenset[int]) -> frozenset[int]:
    return wanted | _ALWAYS


def _open_dataset(fd: int, size: int, meta: FileMeta, policy: ReadPolicy) -> tuple[Source, bytes, int]:
    """Give the data set's source, the part of it that is already read, and where in that it starts."""
    plain = FileSource(fd, size), meta.block, meta.dataset_offset
    if not is_deflated(meta.transfer_syntax_uid):
        return plain
    limit = policy.inflated_size(size - meta.dataset_offset)
    inflated = InflateSource(fd, meta.dataset_offset, size, limit)
    try:
        return inflated, inflated.read_at(0, _FIRST_LOOK), 0
    except Part10Error as error:
        if error.reason is not Reason.CORRUPT or recognise(meta.block, meta.dataset_offset) is None:
            raise
    policy.refuse(Part10Error(Reason.WRONG_ENCODING, "the transfer syntax says deflated, the data set is not"))
    return plain


def _choose_encoding(
    source: Source, window: bytes, start: int, transfer_syntax_uid: str, policy: ReadPolicy
) -> Encoding:
    """Give the layout to walk by: the declared one, if the first element bears it out."""
    declared = encoding_of(transfer_syntax_uid)
    if start + 8 > len(window):
        window, start = source.read_at(start, _FIRST_LOOK), 0
    seen = recognise(window, start)
    if seen is declared:
        return declared
    if seen is None:
        if is_unwritten(window[start:]):
            raise TruncatedError("nothing or zeros where the data set should start: not yet written")
        raise Part10Error(Reason.WRONG_ENCODING, "no data set that has a SOP Class UID starts like this")
    # Without meta header nothing is declared, and a private syntax may be laid out as it likes.
    if transfer_syntax_uid.startswith(uids.STANDARD_TRANSFER_SYNTAXES):
        error = Part10Error(Reason.WRONG_ENCODING, f"declared as {declared.name}, written as {seen.name}")
        policy.refuse(error)
    return seen


def _finish(walk: Walk, source: Source, policy: ReadPolicy) -> None:
    try:
        walk.run()
    except Part10Error as error:
        policy.refuse(error)
    if isinstance(source, InflateSource) and source.rest > _DEFLATE_REST:
        policy.refuse(Part10Error(Reason.TRAILING_BYTES, f"{source.rest} bytes follow the deflate stream"))


def _check_imageless(walk: Walk, encoding: Encoding, sop_class_uid: str | None, policy: ReadPolicy) -> None:
    """Refuse an image without pixel data: cut between two elements, where every length is still right.

    Pixel Data is required unless a URL takes its place (PS3.3 C.7.6.3), but some keep headers alone for teaching: they
    can be released. Of other objects nothing tells which element is the last.
    """
    elements = walk.elements
    sop_class_uid = sop_class_uid or uids.uid_of(encoding.value(elements.get(_SOP_CLASS, b"")))
    image = _ROWS in elements or (sop_class_uid is not None and is_image_storage(sop_class_uid))
    if image and _PIXEL_DATA_URL not in elements:
        detail = "an image without pixel data: does the file end between two elements?"
        policy.refuse(TruncatedError(detail, Reason.NO_PIXEL_DATA))


def _check_pixel_data(pixels: PixelData, transfer_syntax_uid: str, policy: ReadPolicy) -> None:
    """Refuse native pixel data under a compressed transfer syntax, and the reverse (PS3.5 A.4)."""
    encapsulated = is_encapsulated(transfer_syntax_uid)
    if encapsulated is not None and pixels.length != 0 and encapsulated != (pixels.length is None):
        form = "encapsulated" if pixels.length is None else "native"
        detail = f"{form} pixel data under transfer syntax {transfer_syntax_uid}"
        policy.refuse(Part10Error(Reason.WRONG_ENCODING, detail))


def _check_written(source: FileSource, pixels: PixelData, window: bytes, policy: ReadPolicy) -> None:
    """Refuse pixel data of nothing but zeros: space that a copy over a share has reserved and not yet filled.

    An honest black image is refused too, and can be released; one byte that is not zero acquits every other one, and
    mostly it is among the first, which are at hand.
    """
    start, length = pixels.start, pixels.length or 0
    if length < _RESERVABLE or window[start : start + _SAMPLE].strip(b"\0"):
        return
    for step in range(1, _SAMPLES):
        if source.read_at(start + length * step // _SAMPLES, _SAMPLE).strip(b"\0"):
            return
    for position in range(start, start + length, _BLOCK):
        if source.read_at(position, min(_BLOCK, start + length - position)).strip(b"\0"):
            return
    detail = f"{length} bytes of pixel data, all zero: reserved, not yet written?"
    policy.refuse(TruncatedError(detail, Reason.BLANK_PIXELS))


def _uid(walk: Walk, encoding: Encoding, tag: int) -> str:
    element = walk.elements.get(tag)
    if element is None:
        raise Part10Error(Reason.BAD_UID, f"the {_UID_NAMES[tag]} is missing")
    text = uids.uid_of(encoding.value(element))
    if text is None:
        raise Part10Error(Reason.BAD_UID, f"the {_UID_NAMES[tag]} is not a UID")
    return text
