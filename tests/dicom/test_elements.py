from __future__ import annotations

import struct

import pytest

from gurney.dicom.elements import Element, Fragments, Item, encode_elements, find, integer, parse_elements, text
from gurney.dicom.encodings import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE, encoding_of
from gurney.dicom.errors import TranscodingError
from tests.dicom.files import BE, CT, KINDS, LE
from tests.dicom.files import IMPLICIT_LE as IMPLICIT_LAYOUT
from tests.dicom.images import shipped

# A patient's name in a character set that nobody declared, with a space and a NUL that a writer left.
NAME = b"M\xfcller^\x1b$B;3ED \0"


@pytest.mark.parametrize("kind", ["implicit", "explicit", "encapsulated", "implicit sequences"])
def test_what_is_read_is_written_again_byte_for_byte(kind: str) -> None:
    recipe = KINDS[kind]
    encoded, encoding = recipe.dataset(), encoding_of(recipe.transfer_syntax_uid)
    assert encode_elements(parse_elements(encoded, encoding), explicit=encoding.explicit) == encoded


@pytest.mark.parametrize("kind", ["explicit", "sequences"])
def test_there_and_back_again(kind: str) -> None:
    encoded = KINDS[kind].dataset()
    implicit = encode_elements(parse_elements(encoded, EXPLICIT_LE), explicit=False)
    again = encode_elements(parse_elements(implicit, IMPLICIT_LE), explicit=True)
    assert encode_elements(parse_elements(again, EXPLICIT_LE), explicit=False) == implicit


def test_text_keeps_its_bytes_whatever_it_is_declared_as() -> None:
    encoded = IMPLICIT_LAYOUT.element(0x00080005, "CS", "ISO_IR 192") + IMPLICIT_LAYOUT.element(0x00100010, "PN", NAME)
    explicit = encode_elements(parse_elements(encoded, IMPLICIT_LE), explicit=True)
    assert explicit == LE.element(0x00080005, "CS", "ISO_IR 192") + LE.element(0x00100010, "PN", NAME)


def test_private_elements_keep_their_bytes_and_get_no_vr_that_nobody_knows() -> None:
    encoded = IMPLICIT_LAYOUT.element(0x00090010, "LO", "ACME") + IMPLICIT_LAYOUT.element(0x00091001, "", b"\1\2\3\4")
    explicit = encode_elements(parse_elements(encoded, IMPLICIT_LE), explicit=True)
    assert explicit == LE.element(0x00090010, "LO", "ACME") + LE.element(0x00091001, "UN", b"\1\2\3\4")


def test_a_private_sequence_of_open_length_becomes_unknown_and_stays_implicit() -> None:
    item = IMPLICIT_LAYOUT.item(IMPLICIT_LAYOUT.element(0x00080100, "SH", "A1"), defined=False)
    encoded = IMPLICIT_LAYOUT.sequence(0x00091001, item, defined=False)
    explicit = encode_elements(parse_elements(encoded, IMPLICIT_LE), explicit=True)
    assert explicit == LE.sequence(0x00091001, item, defined=False, vr="UN")
    assert encode_elements(parse_elements(explicit, EXPLICIT_LE), explicit=False) == encoded


@pytest.mark.parametrize(("representation", "vr"), [(0, "US"), (1, "SS")])
def test_pixel_representation_decides_where_the_dictionary_leaves_a_choice(representation: int, vr: str) -> None:
    encoded = IMPLICIT_LAYOUT.element(0x00280103, "US", struct.pack("<H", representation))
    encoded += IMPLICIT_LAYOUT.sequence(
        0x00283000, IMPLICIT_LAYOUT.item(IMPLICIT_LAYOUT.element(0x00283002, "", b"\1\0\2\0\3\0"))
    )
    encoded += IMPLICIT_LAYOUT.element(0x00280106, "", b"\1\0")
    elements = parse_elements(encoded, IMPLICIT_LE)
    assert elements[-1].vr == vr
    nested = elements[1].value
    assert isinstance(nested, list)
    assert nested[0].elements[0].vr == vr


def test_pixels_without_vr_are_words() -> None:
    elements = parse_elements(IMPLICIT_LAYOUT.element(0x7FE00010, "", b"\1\2"), IMPLICIT_LE)
    assert elements[0].vr == "OW"


@pytest.mark.parametrize(
    ("vr", "big", "little"),
    [
        ("US", b"\1\2\3\4", b"\2\1\4\3"),
        ("AT", b"\0\x10\0\x20", b"\x10\0\x20\0"),
        ("FL", b"\1\2\3\4", b"\4\3\2\1"),
        ("FD", bytes(range(8)), bytes(reversed(range(8)))),
        ("OW", b"\1\2\3\4\5\6", b"\2\1\4\3\6\5"),
        ("UL", b"\1\2\3\4\5\6", b"\4\3\2\1\5\6"),
        ("OB", b"\1\2", b"\1\2"),
        ("LO", b"AB", b"AB"),
    ],
)
def test_numbers_are_turned_and_nothing_else(vr: str, big: bytes, little: bytes) -> None:
    encoded = encode_elements(parse_elements(BE.element(0x00091001, vr, big), EXPLICIT_BE), explicit=True)
    assert encoded == LE.element(0x00091001, vr, little)


@pytest.mark.parametrize(
    ("big", "little"), [("MR_small_expb.dcm", "MR_small.dcm"), ("liver_expb_1frame.dcm", "liver_1frame.dcm")]
)
def test_real_pixels_in_big_endian(big: str, little: str) -> None:
    pixels = [
        find(parse_elements(one.encoded, encoding_of(one.transfer_syntax_uid)), 0x7FE00010)
        for one in (shipped(big), shipped(little))
    ]
    assert pixels[0] is not None
    assert pixels[1] is not None
    assert pixels[0].value == pixels[1].value


def test_group_lengths_go_because_they_would_be_wrong() -> None:
    encoded = LE.element(0x00080000, "UL", b"\x10\0\0\0") + LE.element(0x00080016, "UI", CT)
    assert [one.tag for one in parse_elements(encoded, EXPLICIT_LE)] == [0x00080016]


def test_what_is_too_long_for_its_vr_loses_it() -> None:
    encoded = encode_elements([Element(0x00281101, "US", bytes(70000))], explicit=True)
    assert encoded[:12] == struct.pack("<HH2sHI", 0x0028, 0x1101, b"UN", 0, 70000)


def test_items_keep_their_kind_of_length() -> None:
    content = [Element(0x00080100, "SH", b"A1")]
    for undefined in (True, False):
        elements = [Element(0x00081140, "SQ", [Item(content, undefined)], undefined)]
        assert parse_elements(encode_elements(elements, explicit=True), EXPLICIT_LE) == elements


def test_fragments_are_kept_whole() -> None:
    (element,) = parse_elements(LE.fragments(b"", b"ABCD"), EXPLICIT_LE)
    assert isinstance(element.value, Fragments)
    assert encode_elements([element], explicit=True) == LE.fragments(b"", b"ABCD")


@pytest.mark.parametrize(
    ("encoded", "words"),
    [
        (LE.element(0x00100020, "LO", b"ID", length=40), "past its end"),
        (LE.element(0x00081140, "SQ", bytes(12)), "something else than items"),
        (LE.element(0x00081140, "SQ", b"", length=0xFFFFFFFF), "not delimited"),
        (LE.sequence(0x00081140, LE.item(defined=False)[:8]), "not delimited"),
        (LE.fragments(b"", b"AB")[:-8], "do not end as they should"),
        (LE.element(0x00100020, "LO", b"ID")[:6], "ends inside an element"),
        (LE.nested(100, defined=True), "nested more than 64"),
        (LE.nested(5000, defined=False), "nested more than 64"),
    ],
    ids=["length", "items", "open", "item", "fragments", "header", "deep", "deepest"],
)
def test_a_broken_data_set_is_refused(encoded: bytes, words: str) -> None:
    with pytest.raises(TranscodingError, match=words):
        parse_elements(encoded, EXPLICIT_LE)


def test_values_are_read_without_fail() -> None:
    elements = [
        Element(0x00280008, "IS", b"12 "),
        Element(0x00280010, "US", b"\2"),
        Element(0x00280004, "CS", b"RGB "),
        Element(0x00081140, "SQ", []),
    ]
    assert [integer(elements, tag) for tag in (0x00280008, 0x00280010, 0x00081140, 0x00280011)] == [
        12,
        None,
        None,
        None,
    ]
    assert [text(elements, tag) for tag in (0x00280004, 0x00081140, 0x00280011)] == ["RGB", "", ""]
