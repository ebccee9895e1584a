from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from gurney.pacs.wire.dataset import encode_dataset
from gurney.pacs.wire_log.association_words import association_lines, proposals_of
from gurney.pacs.wire_log.command_words import command_words
from gurney.pacs.wire_log.element_words import element_lines
from gurney.pacs.wire_log.overheard import Kept
from tests.pacs.conftest import CT, EXPLICIT
from tests.pacs.planted import IDENTIFYING, TELLTALE, identifying

IMPLICIT = "1.2.840.10008.1.2"
SYNTAXES = (IMPLICIT, EXPLICIT, "1.2.840.10008.1.2.2")


def kept(dataset: Dataset, transfer_syntax_uid: str) -> Kept:
    encoded = encode_dataset(dataset, transfer_syntax_uid)
    return Kept(encoded, len(encoded))


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_nothing_that_identifies_is_shown(syntax: str) -> None:
    lines = list(element_lines(kept(identifying(), syntax), syntax))
    assert not TELLTALE.search("\n".join(lines))
    assert len(lines) > len(IDENTIFYING), "every element is told of, all the same"
    assert not any("can't be followed" in line for line in lines)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_text_and_numbers_are_shown_where_that_is_asked_for(syntax: str) -> None:
    text = "\n".join(element_lines(kept(identifying(), syntax), syntax, reveal=True))
    for value in IDENTIFYING.values():
        assert str(value) in text
    assert "PLANTED^INNER" in text
    assert "DOCUMENT" not in text
    assert "LUT DATA" not in text


def test_what_identifies_nobody_is_shown() -> None:
    dataset = Dataset()
    dataset.Modality, dataset.Rows, dataset.NumberOfStudyRelatedInstances = "CT", 512, "17"
    dataset.SOPClassUID, dataset.StudyInstanceUID = CT, "1.2.3"
    dataset.RetrieveAETitle = ["ARCHIVE", "OTHER"]
    assert list(element_lines(kept(dataset, EXPLICIT), EXPLICIT)) == [
        "(0008,0016) UI SOPClassUID, 26 bytes: CT Image Storage (1.2.840.10008.5.1.4.1.1.2)",
        "(0008,0054) AE RetrieveAETitle, 14 bytes: ARCHIVE\\OTHER",
        "(0008,0060) CS Modality, 2 bytes: CT",
        "(0020,000D) UI StudyInstanceUID, 6 bytes: 1.2.3",
        "(0020,1208) IS NumberOfStudyRelatedInstances, 2 bytes: 17",
        "(0028,0010) US Rows, 2 bytes: 512",
    ]


@pytest.mark.parametrize(
    ("tag", "vr", "value"),
    [
        ((0x0008, 0x0060), b"CS", b"Planted^Anna"),
        ((0x0008, 0x0060), b"LO", b"\x1b[2Jplanted\r\n"),
        ((0x0020, 0x000D), b"UI", b"PLANTED^ANNA"),
        ((0x0020, 0x000D), b"UI", b"1.2.3\\PLANTED "),
        ((0x0008, 0x0054), b"AE", b"planted anna"),
        ((0x0008, 0x0060), b"PN", b"DOE JANE"),
    ],
    ids=[
        "a name as a modality",
        "a terminal's codes",
        "a name as a UID",
        "a name behind a UID",
        "a name as a title",
        "a name in capitals",
    ],
)
def test_what_is_not_what_its_tag_says_is_not_shown(tag: tuple[int, int], vr: bytes, value: bytes) -> None:
    encoded = struct.pack("<HH2sH", *tag, vr, len(value)) + value
    (line,) = element_lines(Kept(encoded, len(encoded)), EXPLICIT)
    assert line.endswith(f"{len(value)} bytes [redacted]")


def test_hostile_text_is_escaped_where_it_is_shown() -> None:
    value = b"\x1b[2J\r\nfaked line\x00\xff"
    encoded = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", len(value)) + value
    (line,) = element_lines(Kept(encoded, len(encoded)), EXPLICIT, reveal=True)
    assert line.isprintable()
    assert "[2J\\r\\nfaked line\\x00" in line


def test_an_end_that_is_missing_is_said() -> None:
    whole = encode_dataset(identifying(), EXPLICIT)
    lines = list(element_lines(Kept(whole[:200], len(whole)), EXPLICIT))
    assert lines[-1].startswith("... and what can't be followed, from byte ")
    assert lines[-1].endswith(f" of {len(whole)} of which only the beginning is kept")


def test_depth_and_number_are_bounded() -> None:
    deep = struct.pack("<HH2sHIHHI", 0x0040, 0xA730, b"SQ", 0, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 1_000
    assert len(list(element_lines(Kept(deep, len(deep)), EXPLICIT))) < 40
    many = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 0) * 8_000
    assert len(list(element_lines(Kept(many, len(many)), EXPLICIT))) < 500


def test_pixels_are_passed_over() -> None:
    dataset = Dataset()
    dataset.Rows = 1
    dataset.add_new(0x7FE00010, "OW", b"PLANTED " * 1_000)
    lines = list(element_lines(kept(dataset, EXPLICIT), EXPLICIT, reveal=True))
    assert lines[-1] == "(7FE0,0010) OW PixelData, 8000 bytes"


@given(st.binary(max_size=300), st.sampled_from(SYNTAXES), st.booleans())
def test_nothing_makes_it_raise(data: bytes, syntax: str, reveal: bool) -> None:
    for line in element_lines(Kept(data, len(data) + 7), syntax, reveal=reveal):
        assert line.isprintable()


@given(st.binary(max_size=300), st.sampled_from([1, 2, 3, 7]))
def test_nor_do_associations_and_commands(data: bytes, kind: int) -> None:
    proposals_of(data)
    for line in [*association_lines(kind, data, {}), command_words(data), command_words(data, reveal=True)]:
        assert line.isprintable()
