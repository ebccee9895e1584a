"""Two files of one instance are equal behind group 2."""

from __future__ import annotations

import os

import pytest

from gurney.dicom.content import dataset_digest, same_dataset
from gurney.dicom.part10 import read_part10
from tests.dicom.files import LE, Recipe, file_of

RECIPE = Recipe(early=LE.element(0x00091010, "OB", os.urandom(2 << 20)))


def compare(data: bytes, other: bytes) -> tuple[bool, bool]:
    """Both ways to ask: by bytes, and by digest."""
    with file_of(data) as fd, file_of(other) as other_fd:
        offset, other_offset = read_part10(fd).dataset_offset, read_part10(other_fd).dataset_offset
        by_bytes = same_dataset(fd, offset, other_fd, other_offset)
        return by_bytes, dataset_digest(fd, offset) == dataset_digest(other_fd, other_offset)


def test_another_meta_header_is_no_difference() -> None:
    recipe = RECIPE
    meta = recipe.meta() + LE.element(0x00020102, "OB", b"a private word of whoever wrote the file")
    other = b"II*\0".ljust(128, b"\0") + b"DICM" + meta + recipe.dataset()
    assert compare(recipe.build(), other) == (True, True)


@pytest.mark.parametrize("place", [-1, -300, -(1 << 20), -(2 << 20)])
def test_one_byte_is_a_difference(place: int) -> None:
    other = bytearray(RECIPE.build())
    other[place] ^= 1
    assert compare(RECIPE.build(), bytes(other)) == (False, False)


def test_a_longer_data_set_is_a_difference() -> None:
    padding = LE.element(0xFFFCFFFC, "OB", bytes(8))
    assert compare(RECIPE.build(), RECIPE.build() + padding) == (False, False)
    assert compare(RECIPE.build() + padding, RECIPE.build()) == (False, False)


def test_a_longer_file_is_a_difference_also_where_a_block_ends() -> None:
    with file_of(bytes(1 << 20)) as fd, file_of(bytes(1 << 20) + b"more") as other_fd:
        assert not same_dataset(fd, 0, other_fd, 0)
        assert not same_dataset(other_fd, 0, fd, 0)


def test_a_digest_has_32_bytes() -> None:
    with file_of(RECIPE.build()) as fd:
        assert len(dataset_digest(fd, 132)) == 32
