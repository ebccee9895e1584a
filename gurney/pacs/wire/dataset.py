"""Data sets to bytes and back: identifiers, and instances of the rare store that changes one on its way."""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom import dsutils

from gurney.dicom.elements import parse_elements
from gurney.dicom.encodings import encoding_of
from gurney.pacs.errors import BadResponse

__all__ = ["decode_dataset", "decode_identifier", "encode_dataset"]

_LONGEST_INFLATED = 1 << 24


def decode_identifier(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode the identifier of a query or retrieve; an element is converted only when it is looked at.

    Raises :class:`BadResponse` for bytes that are not a data set, or one cut off, of which pydicom would take what
    there is.
    """
    syntax = UID(transfer_syntax_uid)
    try:
        if syntax.is_deflated:
            # No further than any identifier goes: a few deflated bytes may stand for gigabytes.
            encoded = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded, _LONGEST_INFLATED)
        parse_elements(encoded, encoding_of(transfer_syntax_uid))
        return read_dataset(BytesIO(encoded), syntax.is_implicit_VR, syntax.is_little_endian)
    except Exception as error:  # noqa: BLE001  (pydicom raises whatever it likes at bytes that are no data set)
        # Only its type: a message may quote the bytes.
        raise BadResponse(f"an identifier that is no data set ({type(error).__name__})") from None


def decode_dataset(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode a data set; its ``file_meta`` then names the transfer syntax."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    part10 = DicomBytesIO()
    part10.is_implicit_VR, part10.is_little_endian = False, True
    part10.write(b"\0" * 128 + b"DICM")
    write_file_meta_info(part10, meta, enforce_standard=False)
    part10.write(encoded)
    part10.seek(0)
    return dcmread(part10)


def encode_dataset(dataset: Dataset, transfer_syntax_uid: str) -> bytes:
    """Encode a data set in a transfer syntax that its pixel data are already in.

    Raises ValueError, without a word of the data set's contents, if it can't be encoded.
    """
    syntax = UID(transfer_syntax_uid)
    encoded = dsutils.encode(dataset, syntax.is_implicit_VR, syntax.is_little_endian, syntax.is_deflated)
    if encoded is None:
        raise ValueError("the data set can't be encoded")
    return encoded
