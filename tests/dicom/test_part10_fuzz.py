"""Whatever the bytes are, the answer is a header or a reason, in bounded memory."""

from __future__ import annotations

import contextlib
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason
from gurney.dicom.part10 import IDENTITY_TAGS, Part10, read_part10
from gurney.dicom.policy import ReadPolicy
from tests.dicom.files import CT, DEFLATED, JPEG_BASELINE, KINDS, LE, UNDEFINED, Recipe, read

MIB = 1 << 20
WHOLE = {kind: recipe.build() for kind, recipe in KINDS.items()}
EVERYTHING = ReadPolicy(FORGIVABLE)


def look_at(data: bytes) -> None:
    """Read strictly and leniently, and interpret every value: nothing but a Part10Error may come out."""
    for policy in (ReadPolicy(), EVERYTHING):
        with contextlib.suppress(Part10Error):
            part10 = read(data, policy=policy)
            for tag in IDENTITY_TAGS:
                part10.value(tag)


changes = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=6)), max_size=8)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), changes, st.booleans())
def test_changed_bytes_give_a_header_or_a_reason(kind: str, changes: list[tuple[float, bytes]], insert: bool) -> None:
    data = bytearray(WHOLE[kind])
    for place, replacement in changes:
        # The meta header and the first elements are where a change tells most.
        at = 128 + int((len(data) - 128) * place**2)
        data[at : at if insert else at + len(replacement)] = replacement
    look_at(bytes(data))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.binary(max_size=400))
def test_any_data_set_gives_a_header_or_a_reason(kind: str, dataset: bytes) -> None:
    look_at(bytes(128) + b"DICM" + KINDS[kind].meta() + dataset)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_give_a_header_or_a_reason(data: bytes) -> None:
    look_at(data)
    look_at(bytes(128) + b"DICM" + data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_deflated_give_a_header_or_a_reason(dataset: bytes) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    start = Recipe(transfer_syntax_uid=DEFLATED)
    packed = packer.compress(start.dataset() + dataset) + packer.flush()
    look_at(bytes(128) + b"DICM" + start.meta() + packed)


@contextmanager
def big_file(parts: Callable[[int], None]) -> Iterator[int]:
    fd = os.memfd_create("big")
    try:
        parts(fd)
        yield fd
    finally:
        os.close(fd)


def peak_of(fd: int, policy: ReadPolicy | None = None) -> tuple[int, Part10 | Part10Error]:
    """Read a file, and tell how much memory it took at most. Twice: what other threads take meanwhile counts too."""
    (first, _), (second, result) = _peak_of(fd, policy), _peak_of(fd, policy)
    return min(first, second), result


def _peak_of(fd: int, policy: ReadPolicy | None) -> tuple[int, Part10 | Part10Error]:
    result: Part10 | Part10Error
    tracemalloc.start()
    try:
        result = read_part10(fd, policy=policy or ReadPolicy())
    except Part10Error as error:
        result = error
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak, result


def test_a_deflate_bomb_is_refused_in_little_memory() -> None:
    def bomb(fd: int) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        recipe = Recipe(transfer_syntax_uid=DEFLATED, pixels=LE.element(0x00091010, "OB", b"", 2000 * MIB))
        os.write(fd, bytes(128) + b"DICM" + recipe.meta() + packer.compress(recipe.dataset()))
        for _ in range(300):
            os.write(fd, packer.compress(bytes(MIB)))
        os.write(fd, packer.flush())

    with big_file(bomb) as fd:
        assert os.fstat(fd).st_size < MIB
        peak, result = peak_of(fd)
    assert isinstance(result, Part10Error)
    assert result.reason is Reason.DEFLATE_BOMB
    assert peak < 2 * MIB


def test_an_honest_deflated_image_of_black_is_no_bomb() -> None:
    pixels = LE.element(0x7FE00010, "OW", bytes(32 * MIB))
    assert read(Recipe(transfer_syntax_uid=DEFLATED, pixels=pixels).build())


def test_a_large_multi_frame_image_is_read_in_little_memory() -> None:
    length = 250 * MIB

    def image(fd: int) -> None:
        os.write(fd, Recipe(pixels=LE.element(0x7FE00010, "OW", b"\1\2", length)).build())
        size = os.fstat(fd).st_size
        os.ftruncate(fd, size - 2 + length)

    with big_file(image) as fd:
        peak, result = peak_of(fd)
        assert isinstance(result, Part10)
        assert peak < MIB // 4
        os.ftruncate(fd, result.size - 2)
        assert isinstance(peak_of(fd)[1], Part10Error)


def test_large_pixel_data_of_zeros_are_looked_through_in_little_memory() -> None:
    def image(fd: int) -> None:
        os.write(fd, Recipe(pixels=LE.element(0x7FE00010, "OW", b"", 64 * MIB)).build())
        os.ftruncate(fd, os.fstat(fd).st_size + 64 * MIB)

    with big_file(image) as fd:
        peak, result = peak_of(fd)
    assert isinstance(result, Part10Error)
    assert result.reason is Reason.BLANK_PIXELS
    assert peak < 4 * MIB


@pytest.mark.parametrize("frames", [500, 5_000])
def test_a_large_encapsulated_image_is_read_in_little_memory(frames: int) -> None:
    frame = 250 * MIB // frames // 2 * 2

    def image(fd: int) -> None:
        pixels = LE.element(0x7FE00010, "OB", b"", UNDEFINED) + LE.item()
        os.write(fd, Recipe(transfer_syntax_uid=JPEG_BASELINE, pixels=pixels).build())
        for _ in range(frames):
            os.write(fd, struct.pack("<HHI", 0xFFFE, 0xE000, frame))
            os.lseek(fd, frame, os.SEEK_CUR)
        os.write(fd, LE.end())

    with big_file(image) as fd:
        peak, result = peak_of(fd)
    assert isinstance(result, Part10)
    assert result.sop_class_uid == CT
    assert peak < MIB // 4


def test_a_long_sequence_is_walked_in_little_memory() -> None:
    items = (LE.item(LE.element(0x00081150, "UI", CT) * 20), LE.item(LE.element(0x00081150, "UI", CT), defined=False))
    early = LE.sequence(0x52009230, *(items * 5_000), defined=False)

    def structure(fd: int) -> None:
        os.write(fd, Recipe(early=early).build())

    with big_file(structure) as fd:
        peak, result = peak_of(fd)
    assert isinstance(result, Part10)
    assert peak < MIB // 2
