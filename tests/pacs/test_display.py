"""Answers as they come off the wire: in any character set, and malformed."""

from __future__ import annotations

import struct

import pytest
from pydicom.dataset import Dataset

from gurney.pacs.display import text_at, texts_at
from gurney.pacs.wire.dataset import decode_dataset

IMPLICIT = "1.2.840.10008.1.2"
CHARACTER_SET, NAME, DATE, NUMBER, ROWS = 0x00080005, 0x00100010, 0x00080020, 0x00200013, 0x00280010
STEPS, MODALITY = 0x00400100, 0x00080060


def encoded(**elements: bytes) -> bytes:
    return b"".join(
        struct.pack("<HHL", int(tag[1:], 16) >> 16, int(tag[1:], 16) & 0xFFFF, len(value)) + value
        for tag, value in sorted(elements.items())
    )


def element(tag: int, value: bytes) -> dict[str, bytes]:
    return {f"x{tag:08X}": value + b" " * (len(value) % 2)}


def came(*elements: dict[str, bytes]) -> Dataset:
    merged: dict[str, bytes] = {}
    for one in elements:
        merged |= one
    return decode_dataset(encoded(**merged), IMPLICIT)


@pytest.mark.parametrize(
    ("character_set", "value", "shown"),
    [
        (b"ISO_IR 192", "Müller^Jürgen".encode(), "Müller^Jürgen"),
        (b"ISO_IR 100", "Müller^Jürgen".encode("latin-1"), "Müller^Jürgen"),
        (b"ISO_IR 144", "Люксембург".encode("iso8859-5"), "Люксембург"),
        (b"\\ISO 2022 IR 87", b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", "Yamada^Tarou=山田^太郎"),
        (b"GB18030", "王^小东".encode("gb18030"), "王^小东"),
        (b"", b"M\xfcller", "Müller"),
        (b"ISO_IR 192", b"M\xfcller", "M\ufffdller"),
        (b"no such term", b"M\xfcller", "Müller"),
        (b"ISO_IR 192", b"\xff\xfe\x1b$", "\ufffd\ufffd$"),
    ],
    ids=["utf-8", "latin-1", "cyrillic", "iso-2022", "gb18030", "none", "malformed", "unknown", "broken-escape"],
)
@pytest.mark.filterwarnings("ignore:Unknown encoding:UserWarning")  # pydicom's word on a term that it does not know
def test_text_is_shown_in_whatever_character_set_it_came(character_set: bytes, value: bytes, shown: str) -> None:
    dataset = came(element(CHARACTER_SET, character_set), element(NAME, value))
    assert text_at(dataset, "PatientName") == shown


def test_what_is_malformed_is_shown_as_it_stands() -> None:
    dataset = came(element(DATE, b"yesterday?"), element(NUMBER, b"one\\2"), element(ROWS, b"\1\2\3\4"))
    assert text_at(dataset, "StudyDate") == "yesterday?"
    assert text_at(dataset, "InstanceNumber") == "one\\2"
    assert text_at(dataset, "Rows") == "513\\1027"
    assert text_at(dataset, "PatientID") == ""


def test_a_sequence_that_is_none_is_empty() -> None:
    dataset = came(element(STEPS, b"no items here"))
    assert text_at(dataset, "ScheduledProcedureStepSequence.Modality") == ""
    assert not any(texts_at(dataset, "ScheduledProcedureStepSequence.Modality"))


def test_items_inherit_the_character_set() -> None:
    physician = element(0x00400006, "Grün".encode())
    inner = encoded(**physician)
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner
    dataset = came(element(CHARACTER_SET, b"ISO_IR 192"), element(STEPS, item + item))
    path = "ScheduledProcedureStepSequence.ScheduledPerformingPhysicianName"
    assert text_at(dataset, path) == "Grün"
    assert texts_at(dataset, path) == ["Grün", "Grün"]


def test_values_set_by_hand_are_shown_as_well() -> None:
    dataset = Dataset()
    dataset.ModalitiesInStudy, dataset.StudyDate = ["CT", "MR"], None
    assert (text_at(dataset, "ModalitiesInStudy"), text_at(dataset, "StudyDate")) == ("CT\\MR", "")
