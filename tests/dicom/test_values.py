"""Values as a rule or the ledger sees them; nothing that stands in a header may raise."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gurney.dicom.values import Value, interpret

PRIVATE = 0x00091010


def of(vr: str, raw: bytes, tag: int = PRIVATE, character_set: bytes = b"") -> Value:
    return interpret(tag, vr, raw, "little", character_set)


@pytest.mark.parametrize(
    ("vr", "raw", "value"),
    [
        ("IS", b"12", 12),
        ("IS", b" -3\\+4 ", [-3, 4]),
        ("IS", b"12a\\1.0", ["12a", "1.0"]),
        ("IS", b"9" * 5000, "9" * 5000),
        ("IS", b"", None),
        ("DS", b"1.50 ", 1.5),
        ("DS", b"1e3\\-.5", [1000.0, -0.5]),
        ("DS", b"1,5", "1,5"),
        ("DS", b"nan\\1e999", ["nan", "1e999"]),
        ("US", struct.pack("<H", 7), 7),
        ("US", struct.pack("<HH", 7, 8), [7, 8]),
        ("US", b"\1", None),
        ("US", b"", None),
        ("SS", struct.pack("<h", -7), -7),
        ("UL", struct.pack("<I", 1 << 31), 1 << 31),
        ("SL", struct.pack("<i", -9), -9),
        ("UV", struct.pack("<Q", 1 << 63), 1 << 63),
        ("SV", struct.pack("<q", -1), -1),
        ("FL", struct.pack("<f", 0.5), 0.5),
        ("FD", struct.pack("<d", 0.1), 0.1),
        ("AT", struct.pack("<HH", 0x0008, 0x0018), "00080018"),
        ("LO", b" Head \\ Neck\0", ["Head", "Neck"]),
        ("LO", b"  ", None),
        ("CS", b"ORIGINAL\\\\AXIAL", ["ORIGINAL", "", "AXIAL"]),
        ("DA", b"not a date", "not a date"),
        ("TM", b"120000.5 ", "120000.5"),
        ("AS", b"007Y", "007Y"),
        ("UI", b"1.2.3\0", "1.2.3"),
        ("LT", b"  a\\b  ", "  a\\b"),
        ("UR", b"http://a/b\\c ", "http://a/b\\c"),
        ("PN", b"Doe^J\xe4n", "Doe^Jän"),
        ("CS", b"\xe4", "\ufffd"),
        ("OB", b"\1\2", None),
        ("SQ", b"", None),
        ("ZZ", b"what is this", None),
        ("", b"private, without VR", None),
        ("UN", b"private", None),
    ],
)
def test_a_value_is_a_scalar_or_a_list_or_nothing(vr: str, raw: bytes, value: Value) -> None:
    assert of(vr, raw) == value


@pytest.mark.parametrize("vr", ["", "UN"])
def test_where_the_file_gives_no_vr_the_dictionary_does(vr: str) -> None:
    assert of(vr, b"12 ", tag=0x00200013) == 12
    assert of(vr, struct.pack("<H", 512), tag=0x00280010) == 512
    assert of(vr, struct.pack("<H", 512), tag=0x00280106) == 512  # US or SS


def test_numbers_come_in_the_files_byte_order() -> None:
    assert interpret(PRIVATE, "US", b"\1\0", "big", b"") == 256
    assert interpret(PRIVATE, "AT", b"\0\x08\0\x18", "big", b"") == "00080018"


@given(
    st.sampled_from(["", "UN", "PN", "IS", "DS", "US", "FD", "AT", "DA", "UI", "LT", "OB", "??"]),
    st.binary(),
    st.binary(),
)
def test_no_value_raises(vr: str, raw: bytes, character_set: bytes) -> None:
    for tag in (PRIVATE, 0x00100010, 0x00280010):
        of(vr, raw, tag, character_set)
