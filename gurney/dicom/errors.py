"""Why a file is refused.

    DicomFileError
    ├── Part10Error          any reason to refuse a file; ``reason`` is what quarantine shows
    │   ├── TruncatedError   the file stops before its data set does: more bytes may still come
    │   └── UnreadableError  the operating system could not give the bytes: the file may be fine
    ├── UnfitInstance        a path or a data set in memory that is no instance to send: what is missing, what to do
    └── TranscodingError     an instance can't be put into another transfer syntax
        └── CodecMissing     a Python package that encodes or decodes its pixel data is not installed

``detail`` names what was found and where (an attribute, an offset, a syntax), never a value: what stands in a broken
file's fields may be a patient's name.
"""

from __future__ import annotations

from enum import StrEnum

from gurney.errors import DicomFileError

__all__ = [
    "FORGIVABLE",
    "CodecMissing",
    "Part10Error",
    "Reason",
    "TranscodingError",
    "TruncatedError",
    "UnfitInstance",
    "UnreadableError",
]


class Reason(StrEnum):
    """What is wrong with a file. The values are stored by the ledger and never change meaning."""

    EMPTY = "empty"
    NOT_DICOM = "not_dicom"
    NO_META = "no_meta"
    MEDIA_DIRECTORY = "media_directory"
    EXECUTABLE_PREAMBLE = "executable_preamble"
    TRUNCATED = "truncated"
    BLANK_PIXELS = "blank_pixels"
    NO_PIXEL_DATA = "no_pixel_data"
    TRAILING_BYTES = "trailing_bytes"
    BAD_LENGTH = "bad_length"
    CORRUPT = "corrupt"
    WRONG_ENCODING = "wrong_encoding"
    TOO_DEEP = "too_deep"
    DEFLATE_BOMB = "deflate_bomb"
    BAD_UID = "bad_uid"
    UID_MISMATCH = "uid_mismatch"
    UNREADABLE = "unreadable"


# What an operator may overrule. The others leave nothing that could be sent truthfully.
FORGIVABLE = frozenset(
    {
        Reason.NO_META,
        Reason.EXECUTABLE_PREAMBLE,
        Reason.BLANK_PIXELS,
        Reason.NO_PIXEL_DATA,
        Reason.TRAILING_BYTES,
        Reason.WRONG_ENCODING,
        Reason.UID_MISMATCH,
    }
)


class Part10Error(DicomFileError):
    """Refuse a file for ``reason``; ``detail`` says what was found and where, without patient data."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


class TruncatedError(Part10Error):
    """Refuse a file that stops too early. Not permanent: whoever writes it may only be slow."""

    permanent = False

    def __init__(self, detail: str, reason: Reason = Reason.TRUNCATED) -> None:
        super().__init__(reason, detail)
        self.args = (detail, reason)


class UnreadableError(Part10Error):
    """Report that the system refused the bytes (EIO, ESTALE). Not permanent: shares come back."""

    permanent = False

    def __init__(self, detail: str) -> None:
        super().__init__(Reason.UNREADABLE, detail)
        self.args = (detail,)


class UnfitInstance(DicomFileError):
    """Report what was given to be sent and can't be: what it lacks, and what to do about it."""


class TranscodingError(DicomFileError):
    """Report an instance that can't be put into another transfer syntax without loss, or not at all."""


class CodecMissing(TranscodingError):
    """Report a codec that is not installed, with what to install."""
