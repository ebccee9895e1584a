"""What passes as a UID."""

from __future__ import annotations

import pytest
from pydicom.uid import generate_uid

from gurney.dicom.uids import is_valid_uid, uid_of


@pytest.mark.parametrize("text", ["1.2.840.10008.1.2", "0", "2.25.0", "1." + "2" * 62, "1.02.003"])
def test_uids_pass_even_with_leading_zeros(text: str) -> None:
    assert is_valid_uid(text)


def test_uids_that_pydicom_makes_pass() -> None:
    assert is_valid_uid(str(generate_uid()))


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "1.",
        ".1",
        "1..2",
        "1.2a",
        "1.2 ",
        " 1.2",
        "1.2\n",
        "1.2\0",
        "1/2",
        "1\\2",
        "../1",
        "१.२",
        "²",
        "1." + "2" * 63,
    ],
)
def test_what_could_do_harm_in_a_path_or_a_message_is_none(text: str) -> None:
    assert not is_valid_uid(text)


@pytest.mark.parametrize(
    ("raw", "text"), [(b"1.2.3\0", "1.2.3"), (b"1.2.3 ", "1.2.3"), (b"1.2", "1.2"), (b"", None), (b"1\0.2", None)]
)
def test_a_raw_uid_loses_its_padding(raw: bytes, text: str | None) -> None:
    assert uid_of(raw) == text
