"""Data sets in bytes and back, for whatever transfer syntax a context has."""

from __future__ import annotations

import zlib
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.uid import UID

__all__ = ["decode", "encode"]


def encode(dataset: Dataset | bytes, transfer_syntax_uid: str) -> bytes:
    """Encode a data set; bytes stay what they are, odd or wrong as they may be."""
    if isinstance(dataset, bytes):
        return dataset
    syntax = UID(transfer_syntax_uid)
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax.is_implicit_VR, syntax.is_little_endian
    write_dataset(buffer, dataset)
    encoded = bytes(buffer.getvalue())
    if not syntax.is_deflated:
        return encoded
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    deflated = deflate.compress(encoded) + deflate.flush()
    return deflated + b"\0" * (len(deflated) % 2)


def decode(encoded: bytes, transfer_syntax_uid: str) -> Dataset:
    """Decode a data set."""
    syntax = UID(transfer_syntax_uid)
    plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(encoded) if syntax.is_deflated else encoded
    return read_dataset(BytesIO(plain), syntax.is_implicit_VR, syntax.is_little_endian)
