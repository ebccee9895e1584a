from __future__ import annotations

import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from gurney.dicom.leading import HEAD, Leading, read_leading
from gurney.pacs import request_for_file

NAMES = [
    "CT_small.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "JPEG2000.dcm",
    "MR_small_implicit.dcm",
    "reportsi.dcm",
]
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


@pytest.mark.parametrize("name", NAMES)
def test_what_files_say(name: str) -> None:
    request = request_for_file(str(get_testdata_file(name, download=False)))
    head = Path(request.path).read_bytes()[request.dataset_offset :][:HEAD]
    leading = read_leading(head, request.transfer_syntax_uid)
    assert leading == Leading(request.sop_class_uid, request.sop_instance_uid, is_instance=True)


def test_they_are_there_in_every_layout() -> None:
    seen = set()
    for name in NAMES:
        seen.add(
            dcmread(str(get_testdata_file(name, download=False)), stop_before_pixels=True).file_meta.TransferSyntaxUID
        )
    assert set(SYNTAXES) <= seen


# Its UIDs, and before them an element that takes more room than we look at.
LANGUAGE = b"\x08\x00\x06\x00SQ\0\0"


@pytest.mark.parametrize(
    ("head", "is_instance"),
    [
        (b"", False),
        (b"\x08\x00\x16\x00UI\x04\x001.2", False),
        (b"\x08\x00\x16\x00UI\x04\x00../x" + bytes(8), False),
        (b"\xff" * 100, False),
        (b"\xff" * HEAD, False),
        (b"Hello, this is no DICOM at all", False),
        (b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\x10\x00\x10\x00PN\x02\x00A^" + bytes(20), False),
        (b"\x08\x00\x01\x00UL\x04\x00\0\0\0\0" * (HEAD // 12 + 1), True),
        (LANGUAGE + b"\xff\xff\xff\xff" + bytes(40), True),
        (LANGUAGE + b"\x00\x10\x00\x00" + bytes(HEAD), True),
        (LANGUAGE + b"\x00\x10\x00\x00" + bytes(40), False),
    ],
    ids=["empty", "torn", "no-uid", "ones", "many-ones", "text", "without", "long", "undefined", "behind", "cut-short"],
)
def test_what_is_not_told_is_not_guessed(head: bytes, is_instance: bool) -> None:
    assert read_leading(head[:HEAD], ExplicitVRLittleEndian) == Leading(None, None, is_instance=is_instance)


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
    ),
)
def test_no_bytes_do_harm(head: bytes, syntax: str) -> None:
    read_leading(head, syntax)


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(1 << 24), wbits=-zlib.MAX_WBITS)
    assert read_leading(bomb[:HEAD], DeflatedExplicitVRLittleEndian).sop_instance_uid is None
