"""Which layout a transfer syntax asks for, and which one the bytes show."""

from __future__ import annotations

import pytest
from pydicom.uid import AllTransferSyntaxes

from gurney.dicom.encodings import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    Encoding,
    encoding_of,
    is_deflated,
    is_encapsulated,
    recognise,
)
from tests.dicom.files import BE, LE
from tests.dicom.files import IMPLICIT_LE as IMPLICIT_WRITER

JPIP = [f"1.2.840.10008.1.2.4.{leaf}" for leaf in (94, 95, 204, 205)]
SMPTE = "1.2.840.10008.1.2.7."


@pytest.mark.parametrize("syntax", AllTransferSyntaxes, ids=str)
def test_standard_transfer_syntaxes_are_laid_out_as_pydicom_knows_them(syntax: str) -> None:
    known = next(each for each in AllTransferSyntaxes if each == syntax)
    encoding = encoding_of(syntax)
    assert encoding.explicit is not known.is_implicit_VR
    assert (encoding.byteorder == "little") is known.is_little_endian
    if syntax not in JPIP and not syntax.startswith(SMPTE):
        assert is_encapsulated(syntax) is known.is_encapsulated


def test_where_pixels_lie_elsewhere_or_a_syntax_is_private_nothing_is_presumed() -> None:
    for syntax in (*JPIP, "1.2.3.4"):
        assert is_encapsulated(syntax) is None
    assert [is_deflated(syntax) for syntax in JPIP] == [False, True, False, True]


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (LE.element(0x00080005, "CS", "ISO_IR 100"), EXPLICIT_LE),
        (LE.element(0x00080016, "UI", "1.2"), EXPLICIT_LE),
        (IMPLICIT_WRITER.element(0x00080005, "CS", "ISO_IR 100"), IMPLICIT_LE),
        (BE.element(0x00080005, "CS", "ISO_IR 100"), EXPLICIT_BE),
        (LE.element(0x00100010, "PN", "behind the SOP class"), None),
        (bytes(20), None),
        (b"\x08\0\5\0CS", None),
        (b"", None),
    ],
)
def test_the_first_element_shows_the_layout(data: bytes, encoding: Encoding | None) -> None:
    assert recognise(b"x" + data, 1) is encoding


@pytest.mark.parametrize("encoding", [IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE])
def test_a_tag_turns_into_its_key_and_back(encoding: Encoding) -> None:
    assert encoding.key(encoding.key(0x7FE00010)) == 0x7FE00010
    assert encoding.key(0x00080018) == int.from_bytes(b"\0\x08\0\x18" if encoding is EXPLICIT_BE else b"\0\x18\0\x08")
