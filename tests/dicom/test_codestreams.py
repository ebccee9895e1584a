from __future__ import annotations

import struct

import pytest

from gurney.dicom.codestreams import declared_size
from tests.dicom.images import shipped


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("SC_rgb_dcmtk_+eb+cr.dcm", (100, 100)),
        ("SC_rgb_jpeg_gdcm.dcm", (100, 100)),
        ("MR_small_jpeg_ls_lossless.dcm", (64, 64)),
        ("MR_small_jp2klossless.dcm", (64, 64)),
        ("JPEG2000.dcm", (1024, 256)),
    ],
)
def test_the_size_that_a_frame_declares(name: str, size: tuple[int, int]) -> None:
    encoded = shipped(name).encoded
    start = max(encoded.find(b"\xff\xd8\xff"), encoded.find(b"\xff\x4f\xff\x51"))
    assert declared_size(encoded[start:]) == size


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xda\0\4\0\0\0\0\0",
        b"\xff\xd8\xff\xe0\xff\xff" + bytes(20),
        b"\xff\x4f\xff\x51" + bytes(8),
        b"no image" * 9,
    ],
)
def test_what_declares_none(frame: bytes) -> None:
    assert declared_size(frame) is None


def test_jpeg_2000_counts_from_its_offset() -> None:
    head = b"\xff\x4f\xff\x51" + struct.pack(">HH4I", 47, 0, 300, 200, 44, 100)
    assert declared_size(b"JP2 box" + head) == (100, 256)


def test_fill_bytes_between_markers() -> None:
    assert declared_size(b"\xff\xd8\xff\xff\xc0\0\x11\x08\0\2\0\3" + bytes(8)) == (2, 3)
