"""Every reason to refuse a file, and every shape of file that must pass."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace

import pytest

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason, TruncatedError, UnreadableError
from gurney.dicom.part10 import IDENTITY_TAGS, read_part10
from gurney.dicom.policy import ReadPolicy
from tests.dicom.files import (
    BASIC_TEXT_SR,
    BE,
    BIG_ENDIAN,
    CT,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    IMPLICIT_LE,
    JPEG_BASELINE,
    KINDS,
    LE,
    UNDEFINED,
    Recipe,
    deflate,
    file_of,
    read,
)


def reason_of(data: bytes, policy: ReadPolicy | None = None) -> Reason:
    with pytest.raises(Part10Error) as caught:
        read(data, policy=policy or ReadPolicy())
    return caught.value.reason


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_file_of_each_encoding_is_read(kind: str) -> None:
    recipe = KINDS[kind]
    data = recipe.build()
    part10 = read(data)
    assert (part10.sop_class_uid, part10.sop_instance_uid) == (CT, "1.2.3.4")
    assert (part10.study_instance_uid, part10.series_instance_uid) == ("1.2.3", "1.2.3.1")
    assert part10.transfer_syntax_uid == recipe.transfer_syntax_uid
    assert part10.dataset_offset == 132 + len(recipe.meta())
    assert part10.size == len(data)
    assert part10.value(0x00100020) == "ID1"
    assert not part10.executable_preamble


@pytest.mark.parametrize("kind", KINDS)
def test_cut_anywhere_behind_the_preamble_a_file_is_truncated(kind: str) -> None:
    recipe = KINDS[kind]
    data = recipe.build()
    cuts = {*range(132, len(data) - 1, 7), *range(132, 500), *range(len(data) - 300, len(data) - 1)}
    for cut in sorted(cut for cut in cuts if cut < len(data) - (kind == "deflated")):
        with pytest.raises(TruncatedError) as caught:
            read(data[:cut])
        assert not caught.value.permanent


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("written", [0.0, 0.3, 0.6, 0.9, 0.999])
def test_space_reserved_but_not_yet_written_is_truncated(kind: str, written: float) -> None:
    recipe = KINDS[kind]
    whole = recipe.build()
    header = len(whole) - len(recipe.pixels or bytes(524))
    done = int(header * written)
    with pytest.raises(TruncatedError):
        read(whole[:done] + bytes(20_000 - done))


def test_pixel_data_of_nothing_but_zeros_wait_and_can_be_released() -> None:
    data = Recipe(pixels=LE.element(0x7FE00010, "OW", bytes(100_000))).build()
    with pytest.raises(TruncatedError) as caught:
        read(data)
    assert caught.value.reason is Reason.BLANK_PIXELS
    assert read(data, policy=ReadPolicy(frozenset({Reason.BLANK_PIXELS}))).sop_class_uid == CT


@pytest.mark.parametrize("place", [0, 5_000, 50_000, 77_777, 99_999])
def test_one_byte_that_is_not_zero_acquits_a_black_image(place: int) -> None:
    pixels = bytearray(100_000)
    pixels[place] = 1
    assert read(Recipe(pixels=LE.element(0x7FE00010, "OW", bytes(pixels))).build())


def test_an_image_without_pixel_data_waits_and_can_be_released() -> None:
    for recipe in (Recipe(pixels=b""), Recipe(image=False), Recipe(pixels=b"", sop_class_uid="1.2.3.99")):
        data = recipe.build()
        with pytest.raises(TruncatedError) as caught:
            read(data)
        assert caught.value.reason is Reason.NO_PIXEL_DATA
        assert read(data, policy=ReadPolicy(frozenset({Reason.NO_PIXEL_DATA})))


def test_pixels_behind_a_url_are_not_missed() -> None:
    jpip = "1.2.840.10008.1.2.4.94"
    url = LE.element(0x00287FE0, "UR", "http://pixels.example/1")
    assert read(Recipe(transfer_syntax_uid=jpip, pixels=url).build())


def test_an_object_that_is_no_image_needs_no_pixels() -> None:
    assert read(Recipe(sop_class_uid=BASIC_TEXT_SR, image=False).build())


NO_DICOM = {
    "131 bytes": bytes(131),
    "text": b"It is a truth universally acknowledged, that a single man\n" * 9,
    "ZIP": b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(range(1, 250)),
    "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01" + bytes(range(1, 250)),
    "a picture as PNG": b"\x89PNG\r\n\x1a\n" + bytes(300),
}


@pytest.mark.parametrize("kind", NO_DICOM)
def test_what_is_no_dicom_is_named_so(kind: str) -> None:
    assert reason_of(NO_DICOM[kind]) is Reason.NOT_DICOM


def test_an_empty_file_is_named_so() -> None:
    assert reason_of(b"") is Reason.EMPTY


def test_an_index_of_media_is_never_an_instance() -> None:
    data = Recipe(sop_class_uid="1.2.840.10008.1.3.10").build()
    assert reason_of(data) is Reason.MEDIA_DIRECTORY
    assert reason_of(data, ReadPolicy(FORGIVABLE)) is Reason.MEDIA_DIRECTORY


@pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF\2\1\1", b"\xcf\xfa\xed\xfe", b"#!/bin/sh\n"])
def test_a_preamble_that_is_a_program_is_refused_or_flagged(start: bytes) -> None:
    data = Recipe(preamble=start.ljust(128, b"\0")).build()
    assert reason_of(data) is Reason.EXECUTABLE_PREAMBLE
    part10 = read(data, policy=ReadPolicy(frozenset({Reason.EXECUTABLE_PREAMBLE})))
    assert part10.executable_preamble


def test_a_preamble_of_a_tiff_is_none_of_our_business() -> None:
    assert not read(Recipe(preamble=b"II*\0".ljust(128, b"\0")).build()).executable_preamble


@pytest.mark.parametrize("transfer_syntax_uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN])
def test_a_data_set_without_meta_header_passes_only_if_allowed(transfer_syntax_uid: str) -> None:
    recipe = Recipe(transfer_syntax_uid=transfer_syntax_uid)
    allowed = ReadPolicy(frozenset({Reason.NO_META}))
    bare = recipe.dataset()
    assert reason_of(bare) is Reason.NO_META
    part10 = read(bare, policy=allowed)
    assert (part10.dataset_offset, part10.transfer_syntax_uid) == (0, transfer_syntax_uid)
    without_preamble = recipe.meta() + recipe.dataset()
    assert reason_of(without_preamble) is Reason.NO_META
    assert read(without_preamble, policy=allowed).dataset_offset == len(recipe.meta())
    without_syntax = replace(recipe, transfer_syntax_uid="", layout=recipe.writer).build()
    assert reason_of(without_syntax) is Reason.NO_META
    assert read(without_syntax, policy=allowed).transfer_syntax_uid == transfer_syntax_uid


def test_compressed_pixels_whose_syntax_nobody_names_stay_out() -> None:
    recipe = Recipe(transfer_syntax_uid=JPEG_BASELINE, pixels=LE.fragments(b"", b"\xff\xd8"))
    assert reason_of(recipe.dataset(), ReadPolicy(frozenset({Reason.NO_META}))) is Reason.WRONG_ENCODING


@pytest.mark.parametrize("group_length", [0, 1, 50, 9_999, UNDEFINED])
def test_a_wrong_group_length_is_overlooked(group_length: int) -> None:
    recipe = Recipe(group_length=group_length)
    assert read(recipe.build()).dataset_offset == 132 + len(recipe.meta())


def test_a_missing_group_length_and_empty_media_uids_are_overlooked() -> None:
    syntax = LE.element(0x00020010, "UI", EXPLICIT)
    empty = LE.element(0x00020002, "UI") + LE.element(0x00020003, "UI")
    for meta in (syntax, empty + syntax):
        assert read(bytes(128) + b"DICM" + meta + Recipe().dataset()).dataset_offset == 132 + len(meta)


@pytest.mark.parametrize("length", [20_000, 2 << 20])
def test_private_information_in_the_meta_header_may_be_long_but_not_endless(length: int) -> None:
    recipe = Recipe()
    meta = recipe.meta() + LE.element(0x00020102, "OB", bytes(length))
    data = bytes(128) + b"DICM" + meta + recipe.dataset()
    if length < 1 << 20:
        assert read(data).dataset_offset == 132 + len(meta)
    else:
        assert reason_of(data) is Reason.BAD_LENGTH


DISGUISES = {
    "implicit said explicit": Recipe(layout=IMPLICIT_LE),
    "big endian said little": Recipe(layout=BE),
    "explicit said implicit": Recipe(transfer_syntax_uid=IMPLICIT, layout=LE),
    "explicit said big endian": Recipe(transfer_syntax_uid=BIG_ENDIAN, layout=LE),
    "implicit said compressed": Recipe(
        transfer_syntax_uid=JPEG_BASELINE,
        layout=IMPLICIT_LE,
        pixels=IMPLICIT_LE.element(0x7FE00010, "OB", b"", UNDEFINED) + IMPLICIT_LE.item(b"\xff\xd8") + LE.end(),
    ),
    "native said compressed": Recipe(transfer_syntax_uid=JPEG_BASELINE),
    "compressed said native": Recipe(pixels=LE.fragments(b"", b"\xff\xd8")),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_a_transfer_syntax_that_is_not_the_encoding_is_refused(disguise: str) -> None:
    data = DISGUISES[disguise].build()
    assert reason_of(data) is Reason.WRONG_ENCODING
    assert read(data, policy=ReadPolicy(frozenset({Reason.WRONG_ENCODING}))).sop_class_uid == CT


def test_deflated_that_is_not_and_plain_that_is_are_refused() -> None:
    meta = Recipe(transfer_syntax_uid=DEFLATED).meta()
    data = bytes(128) + b"DICM" + meta + Recipe().dataset()
    assert reason_of(data) is Reason.WRONG_ENCODING
    assert read(data, policy=ReadPolicy(frozenset({Reason.WRONG_ENCODING}))).sop_class_uid == CT
    data = bytes(128) + b"DICM" + Recipe().meta() + deflate(Recipe().dataset())
    assert reason_of(data) is Reason.WRONG_ENCODING


def test_a_private_or_future_transfer_syntax_is_explicit_unless_it_shows_otherwise() -> None:
    for pixels in (None, LE.fragments(b"", b"anything")):
        assert read(Recipe(transfer_syntax_uid="1.2.3.4.5", pixels=pixels).build())
    part10 = read(Recipe(transfer_syntax_uid="1.2.3.4.5", layout=IMPLICIT_LE).build())
    assert part10.transfer_syntax_uid == "1.2.3.4.5"
    assert part10.value(0x00100020) == "ID1"


@pytest.mark.parametrize(
    "uid", ["", "../../x", "/etc/passwd", "1.2.\x003", "1." * 32 + "1", "1..2", ".1", "1.", "1.2\\1.3", "1.2 3", "१.२"]
)
@pytest.mark.parametrize("name", ["sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid"])
def test_a_uid_that_is_none_is_refused_and_can_never_be_released(name: str, uid: str) -> None:
    data = replace(Recipe(pixels=None), **{name: uid}).build()
    with pytest.raises(Part10Error) as caught:
        read(data, policy=ReadPolicy(FORGIVABLE))
    assert caught.value.reason is Reason.BAD_UID
    assert not uid or uid not in str(caught.value)


def test_a_missing_uid_is_refused() -> None:
    for name in ("sop_class_uid", "sop_instance_uid", "study_instance_uid", "series_instance_uid"):
        assert reason_of(replace(Recipe(), **{name: None}).build()) is Reason.BAD_UID


def test_a_transfer_syntax_that_is_no_uid_is_refused() -> None:
    assert reason_of(Recipe(transfer_syntax_uid="../../x").build()) is Reason.BAD_UID


@pytest.mark.parametrize("name", ["meta_sop_class_uid", "meta_sop_instance_uid"])
def test_a_meta_header_of_another_instance_is_refused_or_overruled(name: str) -> None:
    data = replace(Recipe(), **{name: "1.2.9"}).build()
    assert reason_of(data) is Reason.UID_MISMATCH
    part10 = read(data, policy=ReadPolicy(frozenset({Reason.UID_MISMATCH})))
    assert (part10.sop_class_uid, part10.sop_instance_uid) == (CT, "1.2.3.4")


@pytest.mark.parametrize("depth", [200, 5_000])
@pytest.mark.parametrize("defined", [False, True])
@pytest.mark.parametrize("transfer_syntax_uid", [IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED])
def test_deep_nesting_is_refused_without_recursion(depth: int, defined: bool, transfer_syntax_uid: str) -> None:
    recipe = Recipe(transfer_syntax_uid=transfer_syntax_uid)
    recipe.early = recipe.writer.nested(depth, defined=defined)
    assert reason_of(recipe.build()) is Reason.TOO_DEEP


def test_a_length_that_lies_by_four_gigabytes_is_refused() -> None:
    lie = LE.element(0x00091010, "OB", b"abcd", 0xFFFFFFFE)
    assert reason_of(Recipe(early=lie).build()) is Reason.BAD_LENGTH
    with pytest.raises(TruncatedError):
        read(Recipe(pixels=LE.element(0x7FE00010, "OW", b"abcd", 0xFFFFFFFE)).build())


def test_a_value_that_needs_a_length_and_has_none_is_refused() -> None:
    assert reason_of(Recipe(early=LE.element(0x00091010, "UT", b"abcd", UNDEFINED)).build()) is Reason.BAD_LENGTH
    endless = LE.element(0x7FE00010, "OB", b"", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    assert reason_of(Recipe(transfer_syntax_uid=JPEG_BASELINE, pixels=endless).build()) is Reason.BAD_LENGTH


@pytest.mark.parametrize("rest", [bytes(2), bytes(700), b"\xde\xad\xbe\xef" * 9])
def test_what_follows_the_pixel_data_and_is_no_element_is_refused_or_let_pass(rest: bytes) -> None:
    data = Recipe(late=rest).build()
    assert reason_of(data) is Reason.TRAILING_BYTES
    assert read(data, policy=ReadPolicy(frozenset({Reason.TRAILING_BYTES}))).size == len(data)


def test_data_set_trailing_padding_is_an_element_like_others() -> None:
    assert read(Recipe(late=LE.element(0xFFFCFFFC, "OB", bytes(500))).build())


@pytest.mark.parametrize("rest", [0, 1, 7])
def test_a_deflate_stream_may_be_followed_by_its_pad_or_a_trailer(rest: int) -> None:
    assert read(Recipe(transfer_syntax_uid=DEFLATED).build() + bytes(rest))


def test_more_than_that_behind_a_deflate_stream_is_refused() -> None:
    data = Recipe(transfer_syntax_uid=DEFLATED).build() + b"another" * 9
    assert reason_of(data) is Reason.TRAILING_BYTES
    assert read(data, policy=ReadPolicy(frozenset({Reason.TRAILING_BYTES})))


def test_garbage_between_elements_is_corrupt() -> None:
    assert reason_of(Recipe(early=b"\x09\x00\x10\x10!!" + bytes(range(40))).build()) is Reason.CORRUPT


def test_a_broken_deflate_stream_is_corrupt() -> None:
    recipe = Recipe(transfer_syntax_uid=DEFLATED)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # A third kind of block does not exist (RFC 1951 3.2.3).
    broken = packer.compress(recipe.dataset()) + packer.flush(zlib.Z_SYNC_FLUSH) + b"\xff" * 50
    assert reason_of(bytes(128) + b"DICM" + recipe.meta() + broken) is Reason.CORRUPT


def test_nonsense_inside_a_defined_length_harms_nobody() -> None:
    endless = LE.element(0x00091001, "UT", b"", UNDEFINED)
    lying = LE.element(0x00091001, "OB", b"", 0xFFFFFFFE)
    for content in (b"not an item at all", LE.item(b"neither an element"), LE.item(endless), LE.item(lying)):
        assert read(Recipe(early=LE.sequence(0x00091010, content)).build())
    # Implicit items in an explicit sequence: some vendors' private sequences are written so.
    foreign = IMPLICIT_LE.item(IMPLICIT_LE.element(0x00081150, "UI", CT))
    assert read(Recipe(early=LE.sequence(0x00091010, foreign)).build())


def test_an_unknown_vr_is_read_by_what_follows_it() -> None:
    tag = struct.pack("<HH", 0x0009, 0x1010)
    future = tag + b"ZZ\0\0" + struct.pack("<I", 6) + b"abcdef"
    invented = tag + b"??" + struct.pack("<H", 6) + b"abcdef"
    omitted = tag + struct.pack("<I", 6) + b"abcdef"
    for element in (future, invented, omitted):
        # Behind 8 KiB the first block ends: what follows the element must be looked at all the same.
        for padding in (0, *range(7_600, 7_900, 2)):
            early = LE.element(0x00091000, "OB", bytes(padding)) + element + LE.element(0x00180015, "CS", "HEAD")
            assert read(Recipe(early=early).build()).value(0x00180015) == "HEAD"


def test_an_item_without_its_end_ends_with_the_sequence_that_encloses_it() -> None:
    open_item = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + LE.element(0x00081150, "UI", CT)
    # More than a window of items that an item still open would swallow.
    behind = LE.sequence(0x00091010, *[LE.item(defined=False)] * 9_000, defined=False)
    early = LE.sequence(0x00081115, open_item) + behind + LE.element(0x00180015, "CS", "HEAD")
    assert read(Recipe(early=early).build()).value(0x00180015) == "HEAD"


def test_what_is_longer_than_the_rest_of_the_file_is_named() -> None:
    lie = struct.pack("<HHI", 0xFFFE, 0xE000, 90_000)
    item = LE.element(0x00081115, "SQ", b"", UNDEFINED) + lie
    with pytest.raises(TruncatedError, match=r"\(FFFE,E000\) at byte \d+ with 90000 bytes"):
        read(Recipe(early=item).build())
    fragment = LE.element(0x7FE00010, "OB", b"", UNDEFINED) + lie
    with pytest.raises(TruncatedError, match=r"\(FFFE,E000\) at byte \d+ with 90000 bytes"):
        read(Recipe(transfer_syntax_uid=JPEG_BASELINE, pixels=fragment).build())


def test_a_whole_deflate_stream_may_hold_a_data_set_that_is_not() -> None:
    for pixels in (None, LE.element(0x7FE00010, "OW", bytes(range(256)) * 1_000)):
        recipe = Recipe(transfer_syntax_uid=DEFLATED, pixels=pixels)
        for cut in (1, 10, 520):
            with pytest.raises(TruncatedError):
                read(bytes(128) + b"DICM" + recipe.meta() + deflate(recipe.dataset()[:-cut]))


@pytest.mark.parametrize("length", [6, 5_000, 20_000])
def test_values_are_kept_where_they_were_asked_for_and_only_there(length: int) -> None:
    inner = LE.sequence(0x00081140, LE.item(LE.element(0x00100020, "UT", "i" * length)))
    for recipe in (Recipe(early=inner), Recipe(late=LE.sequence(0x7FE10010, inner))):
        part10 = read(recipe.build(), wanted=frozenset({0x00100020, 0x00091010}))
        assert part10.value(0x00100020) == "ID1"
        assert part10.value(0x00091010) is None
        assert 0x00080060 not in part10.elements


@pytest.mark.parametrize("length", [5_000, 20_000])
def test_a_long_value_is_kept_cut_and_those_behind_it_are_found(length: int) -> None:
    text = LE.element(0x00104000, "LT", "x" * length)
    for padding in (0, 8_000, 16_000, 70_000):
        early = text + LE.element(0x00180010, "LO", "late") + LE.element(0x00191010, "OB", bytes(padding))
        part10 = read(Recipe(early=early).build(), wanted=frozenset({0x00104000, 0x00180010}))
        assert part10.value(0x00104000) == "x" * 4096
        assert part10.value(0x00180010) == "late"


def test_a_descriptor_that_can_not_be_read_is_not_the_files_fault() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(UnreadableError) as caught:
            read_part10(reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert caught.value.reason is Reason.UNREADABLE
    assert not caught.value.permanent


def test_the_descriptors_offset_stays_where_it_was() -> None:
    with file_of(Recipe().build()) as fd:
        os.lseek(fd, 77, os.SEEK_SET)
        read_part10(fd, wanted=IDENTITY_TAGS)
        assert os.lseek(fd, 0, os.SEEK_CUR) == 77
