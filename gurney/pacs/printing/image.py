"""An image as an image box takes it: ready to print, 8 or 12 bits gray or 8 bits a colour (PS3.3 C.13.5)."""

from __future__ import annotations

from typing import Final

from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRBigEndian

from gurney.pacs.errors import InvalidAttributes
from gurney.pacs.normalized.attributes import attribute_list

__all__ = ["printable"]

_IMAGE: Final = "an image to print"
_GRAYS: Final = {8: 8, 12: 16}
"""Bits Allocated that the standard wants for each number of Bits Stored."""


def printable(image: Dataset, *, color: bool, frame: int = 1) -> Dataset:
    """Return the item of the Basic Grayscale, or Basic Color, Image Sequence with one frame of an image.

    The pixels are printed as they are: what a modality's values mean (Modality LUT, window) must be applied, and
    graphics burnt in, before (PS3.4 H.2.1.2). ``image`` has native pixel data, unsigned: MONOCHROME1 or MONOCHROME2
    with 8 or 12 Bits Stored, or RGB with 8. ``frame`` counts from 1.

    Raises InvalidAttributes that says what no printer takes, and what to do.
    """
    _check(image, color=color)
    samples, bits = image.SamplesPerPixel, image.BitsStored
    allocated = image.BitsAllocated // 8
    length = image.Rows * image.Columns * samples * allocated
    pixels = bytes(image.PixelData)
    if len(pixels) < length * frame or frame < 1:
        raise InvalidAttributes(_IMAGE, [f"PixelData holds no whole frame {frame}"])
    pixels = pixels[length * (frame - 1) : length * frame]
    if color and image.get("PlanarConfiguration", 0) == 0:
        pixels = b"".join(pixels[sample::samples] for sample in range(samples))
    if not color and bits == 8 and allocated == 2:
        pixels = pixels[::2]  # little endian: the byte with the value comes first
    item = attribute_list(
        _IMAGE,
        SamplesPerPixel=samples,
        PhotometricInterpretation=image.PhotometricInterpretation,
        PlanarConfiguration=1 if color else None,
        Rows=image.Rows,
        Columns=image.Columns,
        PixelAspectRatio=image.get("PixelAspectRatio"),
        BitsAllocated=_GRAYS[bits],
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=0,
    )
    # OW in every transfer syntax that we propose (PS3.5 8.1.1, annex A).
    item.add_new("PixelData", "OW", pixels + b"\0" * (len(pixels) % 2))
    return item


def _check(image: Dataset, *, color: bool) -> None:
    problems = [
        f"{keyword} has no value"
        for keyword in ("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelData")
        if not image.get(keyword)
    ]
    if not problems:
        wanted = ("RGB",) if color else ("MONOCHROME1", "MONOCHROME2")
        if image.get("PhotometricInterpretation") not in wanted:
            problems.append(f"PhotometricInterpretation is not {' or '.join(wanted)}")
        if image.SamplesPerPixel != (3 if color else 1):
            problems.append(f"SamplesPerPixel is {image.SamplesPerPixel}, not {3 if color else 1}")
        if image.BitsStored not in ((8,) if color else _GRAYS) or image.get("HighBit") != image.BitsStored - 1:
            takes = "8" if color else "8 or 12"
            problems.append(
                f"BitsStored is {image.BitsStored}, and a printer takes {takes} with HighBit below: render it"
            )
        if image.BitsAllocated not in ((8,) if color else (8, 16)):
            problems.append(f"BitsAllocated is {image.BitsAllocated}")
        if image.get("PixelRepresentation"):
            problems.append("PixelRepresentation is signed: render it")
        syntax = UID(getattr(image, "file_meta", Dataset()).get("TransferSyntaxUID", ""))
        if syntax and (syntax == ExplicitVRBigEndian or (syntax.is_transfer_syntax and syntax.is_compressed)):
            problems.append(f"its pixel data are in {syntax.name}: decode them")
    if problems:
        raise InvalidAttributes(_IMAGE, problems)
