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

from gurney.dicom.leading import HEAD, leading_uids
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
    assert leading_uids(head, request.transfer_syntax_uid) == (request.sop_class_uid, request.sop_instance_uid)


def test_they_are_there_in_every_layout() -> None:
    seen = set()
    for name in NAMES:
        seen.add(
            dcmread(str(get_testdata_file(name, download=False)), stop_before_pixels=True).file_meta.TransferSyntaxUID
        )
    assert set(SYNTAXES) <= seen


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\x08\x00\x16\x00UI\x04\x001.2",
        b"\x08\x00\x16\x00UI\x04\x00../x" + bytes(8),
        b"\x08\x00\x06\x00SQ\0\0\xff\xff\xff\xff" + bytes(40),
        b"\x10\x00\x10\x00PN\x02\x00A^" + bytes(20),
    ],
    ids=["empty", "torn", "no-uid", "undefined", "behind"],
)
def test_what_is_not_told_is_not_guessed(head: bytes) -> None:
    assert leading_uids(head, ExplicitVRLittleEndian) == (None, None)


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
    ),
)
def test_no_bytes_do_harm(head: bytes, syntax: str) -> None:
    leading_uids(head, syntax)


def test_a_bomb_is_not_inflated() -> None:
    bomb = zlib.compress(bytes(1 << 24), wbits=-zlib.MAX_WBITS)
    assert leading_uids(bomb[:HEAD], DeflatedExplicitVRLittleEndian) == (None, None)
