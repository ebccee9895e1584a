"""What of an image goes to a printer, and what never does."""

from __future__ import annotations

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import JPEGBaseline8Bit

from gurney.pacs import InvalidAttributes
from gurney.pacs.printing.image import printable


def image(**values: object) -> Dataset:
    """Two rows of three pixels, 8 bits."""
    made = Dataset()
    given: dict[str, object] = {
        "Rows": 2,
        "Columns": 3,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "PixelRepresentation": 0,
        "PixelData": b"\1\2\3\4\5\6",
    }
    for keyword, value in (given | values).items():
        setattr(made, keyword, value)
    return made


TWELVE = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11, "PixelData": bytes(range(12))}
RGB = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PixelData": b"RGBrgb" * 3}


def test_eight_bits_go_as_they_are() -> None:
    item = printable(image(), color=False)
    assert item.PixelData == b"\1\2\3\4\5\6"
    assert (item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation) == (8, 8, 7, 0)
    assert "PlanarConfiguration" not in item
    assert "PixelAspectRatio" not in item


def test_twelve_bits_go_as_they_are() -> None:
    item = printable(image(**TWELVE), color=False)
    assert item.PixelData == bytes(range(12))
    assert (item.BitsAllocated, item.BitsStored, item.HighBit) == (16, 12, 11)


def test_eight_bits_in_sixteen_are_packed() -> None:
    wide = image(BitsAllocated=16, PixelData=b"\1\0\2\0\3\0\4\0\5\0\6\0")
    assert printable(wide, color=False).PixelData == b"\1\2\3\4\5\6"


@pytest.mark.parametrize(("planar", "pixels"), [(0, b"RGBrgb" * 3), (1, b"Rr" * 3 + b"Gg" * 3 + b"Bb" * 3)])
def test_colours_go_by_plane(planar: int, pixels: bytes) -> None:
    item = printable(image(**RGB | {"PlanarConfiguration": planar, "PixelData": pixels}), color=True)
    assert item.PixelData == b"Rr" * 3 + b"Gg" * 3 + b"Bb" * 3
    assert item.PlanarConfiguration == 1


def test_one_frame_of_many_goes() -> None:
    frames = image(PixelData=bytes(range(18)))
    assert printable(frames, color=False, frame=2).PixelData == bytes(range(6, 12))
    for frame in (0, 4):
        with pytest.raises(InvalidAttributes, match=f"no whole frame {frame}"):
            printable(frames, color=False, frame=frame)


def test_an_odd_length_is_padded() -> None:
    assert printable(image(Rows=1, PixelData=b"\1\2\3\0"), color=False).PixelData == b"\1\2\3\0"


def test_the_aspect_ratio_goes_along() -> None:
    assert list(printable(image(PixelAspectRatio=[1, 2]), color=False).PixelAspectRatio) == [1, 2]


@pytest.mark.parametrize(
    ("values", "color", "problem"),
    [
        ({"BitsStored": 10, "HighBit": 9}, False, "BitsStored is 10"),
        ({"HighBit": 6}, False, "HighBit below"),
        ({"PixelRepresentation": 1}, False, "PixelRepresentation is signed"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, False, "not MONOCHROME1 or MONOCHROME2"),
        ({}, True, "PhotometricInterpretation is not RGB"),
        (RGB, False, "SamplesPerPixel is 3, not 1"),
        (RGB | TWELVE, True, "BitsStored is 12, and a printer takes 8"),
        ({"BitsAllocated": 32}, False, "BitsAllocated is 32"),
        ({"PixelData": b"\1\2\3\4"}, False, "no whole frame 1"),
        ({"PixelData": None, "Rows": 0}, False, "Rows has no value; PixelData has no value"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)
def test_what_no_printer_takes_is_refused(values: dict[str, object], color: bool, problem: str) -> None:
    with pytest.raises(InvalidAttributes) as refused:
        printable(image(**values), color=color)
    assert problem in str(refused.value)


def test_what_is_compressed_is_to_be_decoded_before() -> None:
    compressed = image()
    compressed.file_meta = FileMetaDataset()
    compressed.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    with pytest.raises(InvalidAttributes, match=r"JPEG Baseline .*: decode them"):
        printable(compressed, color=False)


def test_a_ct_is_to_be_rendered_before() -> None:
    with pytest.raises(InvalidAttributes, match=r"BitsStored is 16, .*: render it; PixelRepresentation is signed"):
        printable(dcmread(str(get_testdata_file("CT_small.dcm"))), color=False)
