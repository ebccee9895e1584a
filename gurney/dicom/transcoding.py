"""Put an instance into another transfer syntax (PS3.5 A), and prove that nothing was lost on the way.

What is not pixel data keeps its bytes. Pixel data are decoded and encoded frame by frame; afterwards the result is
taken apart anew, and each of its frames compared with the source's. An instance keeps its SOP Instance UID unless it
was compressed with loss.

A lossy source that is decoded keeps its UID and what it says of its compression (PS3.3 C.7.6.1.1.5); its colours are
brought from subsampled to full size and not converted, so that YBR_FULL_422 becomes YBR_FULL.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gurney.dicom import uids
from gurney.dicom.codecs import LOSSY_METHODS, NATIVE_SYNTAXES, TARGETS
from gurney.dicom.derivation import mark_lossy, mark_lost, put
from gurney.dicom.dictionary import named_uid
from gurney.dicom.elements import Element, Fragments, encode_elements, find, integer, parse_elements, text
from gurney.dicom.encodings import EXPLICIT_LE, IMPLICIT_LE, encoding_of, is_deflated
from gurney.dicom.errors import TranscodingError
from gurney.dicom.frames import PIXEL_DATA, ImagePixel, decode_frames, encode_frames, native_frames
from gurney.dicom.policy import STRICT, ReadPolicy

if TYPE_CHECKING:
    from gurney.dicom.frames import Frame

__all__ = ["LARGEST", "Loss", "Transcoded", "transcode"]

LARGEST: Final = 2 << 30
"""Bytes of pixel data, decoded, that are transcoded at most."""

_OFFSETS: Final = (0x7FE00001, 0x7FE00002)
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_PHOTOMETRIC, _PLANAR, _ALLOCATED, _LOSSY = 0x00280004, 0x00280006, 0x00280100, 0x00282110
_OVERLAY_BIT: Final = 0x60000102
_WIDTHS: Final = (8, 16, 32)
_WORD: Final = 16
# Their pixels are data, not pictures: RT Dose, Segmentation, Label Map Segmentation.
_NEVER_LOSSY: Final = frozenset("1.2.840.10008.5.1.4.1.1." + leaf for leaf in ("481.2", "66.4", "66.7"))
_LOSSY_NAMES: Final = {
    uids.JPEG_LS_NEAR_LOSSLESS: "Lossy compression by JPEG-LS",
    uids.JPEG_2000: "Lossy compression by JPEG 2000",
}
# JPEG's lossy processes, baseline and extended: there is no lossless image in them.
_ALWAYS_LOSSY: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})

Frames = Iterator[tuple["Frame", str]]


class Loss(NamedTuple):
    """How much a lossy compression may lose.

    ``ratio`` is JPEG 2000's: native bytes to compressed ones. ``near`` is JPEG-LS's: by how much a pixel's value may
    be off at most.
    """

    ratio: float = 10.0
    near: int = 2


class Transcoded(NamedTuple):
    """An encoded data set in its new syntax, and its SOP Instance UID, which is new after a lossy compression."""

    encoded: bytes
    sop_instance_uid: str

    def __repr__(self) -> str:
        # The data set itself is long, and a patient's.
        return f"Transcoded({len(self.encoded)} bytes, sop_instance_uid={self.sop_instance_uid!r})"


def transcode(
    encoded: bytes,
    source: str,
    target: str,
    *,
    loss: Loss | None = None,
    largest: int = LARGEST,
    policy: ReadPolicy = STRICT,
) -> Transcoded:
    """Put an encoded data set from one transfer syntax into another.

    A lossy ``target`` needs ``loss``. ``largest`` bounds the pixel data, decoded, in bytes; ``policy`` what a deflated
    data set may inflate to.

    Raises TranscodingError where it can't be done or would lose something; CodecMissing.
    """
    if target not in TARGETS:
        raise TranscodingError(f"nothing here writes {named_uid(target)}")
    if (target in LOSSY_METHODS) != (loss is not None):
        raise TranscodingError(f"{named_uid(target)}: a loss must be asked for where there is one, and only there")
    encoding = encoding_of(source)
    original = parse_elements(_inflated(encoded, policy) if is_deflated(source) else encoded, encoding)
    pixels = find(original, PIXEL_DATA)
    is_compressed = pixels is not None and isinstance(pixels.value, Fragments)
    elements = list(original)
    image = None
    if is_compressed or target not in NATIVE_SYNTAXES:
        image = _image(original, largest)
        _convert(elements, image, source, target, loss)
    if pixels is not None and not is_compressed:
        _check_native(pixels, original, source)
    if source not in NATIVE_SYNTAXES:
        _open_nested(elements, source, largest)
    result = encode_elements(elements, explicit=target != uids.IMPLICIT_VR_LITTLE_ENDIAN)
    again = parse_elements(result, IMPLICIT_LE if target == uids.IMPLICIT_VR_LITTLE_ENDIAN else EXPLICIT_LE)
    if not _same_elements(elements, again):
        raise TranscodingError("what was written is not what was read: it is not sent")
    if image is not None:
        _compare(
            decode_frames(original, image, source), decode_frames(again, ImagePixel.of(again), target), loss, target
        )
    return Transcoded(_deflated(result) if is_deflated(target) else result, text(elements, _SOP_INSTANCE))


# --- Pixel data -------------------------------------------------------------------------------------------------------


def _image(elements: list[Element], largest: int) -> ImagePixel:
    """Give what the pixel data are, if they can be transcoded at all."""
    if find(elements, PIXEL_DATA) is None:
        raise TranscodingError("it has no Pixel Data (7FE0,0010): only a native transfer syntax can hold it")
    image = ImagePixel.of(elements)
    if image.allocated not in _WIDTHS:
        raise TranscodingError(f"pixels of {image.allocated} bits can't be compressed")
    if image.size > largest:
        raise TranscodingError(f"{image.size} bytes of pixel data are more than the {largest} that are transcoded")
    for group in range(0, 0x20, 2):
        if integer(elements, _OVERLAY_BIT + (group << 16)):
            raise TranscodingError("an overlay lies in the unused bits of its pixel data, and would be lost")
    return image


def _convert(elements: list[Element], image: ImagePixel, source: str, target: str, loss: Loss | None) -> None:
    """Put the pixel data of a data set into the target, and say of them what is true then."""
    if loss is not None:
        _check_losable(elements, image)
    seen: list[str] = []
    frames = _noting(decode_frames(list(elements), image, source), seen)
    if target in NATIVE_SYNTAXES:
        native = native_frames(frames, image)
        put(elements, PIXEL_DATA, _native_vr(image), native)
    else:
        options = _options(target, loss)
        encapsulated = encode_frames(frames, image, target, **options)
        elements[:] = [
            replace(one, vr="OB", value=encapsulated, undefined=True) if one.tag == PIXEL_DATA else one
            for one in elements
        ]
        if loss is not None:
            ratio = image.size / len(encapsulated.encoded)
            how = f"{_LOSSY_NAMES[target]} ({', '.join(f'{key} {value}' for key, value in options.items())})"
            mark_lossy(elements, LOSSY_METHODS[target], ratio, how)
    elements[:] = [one for one in elements if one.tag not in _OFFSETS]
    put(elements, _PHOTOMETRIC, "CS", seen[0].encode())
    if image.samples > 1:
        put(elements, _PLANAR, "US", b"\0\0")
    if source in _ALWAYS_LOSSY and text(elements, _LOSSY) != "01":
        mark_lost(elements)


def _check_losable(elements: list[Element], image: ImagePixel) -> None:
    """Refuse to lose what is no picture: indices of a palette, doses, labels."""
    if image.photometric == "PALETTE COLOR" or text(elements, _SOP_CLASS) in _NEVER_LOSSY:
        raise TranscodingError("its pixels are indices, labels or doses: they must not be compressed with loss")


def _options(target: str, loss: Loss | None) -> dict[str, Any]:
    if loss is None:
        return {}
    return {"jls_error": loss.near} if target == uids.JPEG_LS_NEAR_LOSSLESS else {"j2k_cr": [loss.ratio]}


def _noting(frames: Frames, seen: list[str]) -> Frames:
    """Pass frames on, and note what they mean; a change of mind in the middle of an image can't be said."""
    for frame, photometric in frames:
        if seen and photometric != seen[0]:
            raise TranscodingError("its frames are of different photometric interpretations")
        seen[:] = [photometric]
        yield frame, photometric


def _native_vr(image: ImagePixel) -> str:
    return "OB" if image.allocated <= _WIDTHS[0] else "OW"


def _check_native(pixels: Element, elements: list[Element], source: str) -> None:
    """Refuse 32-bit pixels in big endian: the standard turns words of 16 bits (PS3.5 8.1.1), many writers do not."""
    if source == uids.EXPLICIT_VR_BIG_ENDIAN and pixels.vr == "OW" and (integer(elements, _ALLOCATED) or 0) > _WORD:
        raise TranscodingError("the order of bytes in big endian pixels of 32 bits is not certain")


def _open_nested(elements: list[Element], source: str, largest: int) -> None:
    """Decode the compressed images inside sequences, such as icons: a native syntax can't hold them, nor another."""
    for element in elements:
        for item in element.value if isinstance(element.value, list) else ():
            pixels = find(item.elements, PIXEL_DATA)
            if pixels is not None and isinstance(pixels.value, Fragments):
                _convert(item.elements, _image(item.elements, largest), source, uids.EXPLICIT_VR_LITTLE_ENDIAN, None)
            _open_nested(item.elements, source, largest)


# --- Proof ------------------------------------------------------------------------------------------------------------


def _same_elements(made: list[Element], read: list[Element]) -> bool:
    """Tell whether what was read back is what was meant, VRs aside."""
    if [one.tag for one in made] != [one.tag for one in read]:
        return False
    return all(_same_value(one, other) for one, other in zip(made, read, strict=True))


def _same_value(one: Element, other: Element) -> bool:
    if isinstance(one.value, list) or isinstance(other.value, list):
        # A private sequence comes back as bytes, without its VR.
        return encode_elements([one], explicit=False) == encode_elements([other], explicit=False)
    return one.value == other.value


def _compare(sources: Frames, results: Frames, loss: Loss | None, target: str) -> None:
    """Compare all frames, one at a time. Raises TranscodingError at the first that differs by more than it may."""
    import numpy

    for number, (source, result) in enumerate(zip_longest(sources, results), 1):
        if source is None or result is None or source[0].shape != result[0].shape or source[1] != result[1]:
            raise TranscodingError(f"frame {number} is not what it was: it is not sent")
        if loss is None and not numpy.array_equal(source[0], result[0]):
            raise TranscodingError(f"the pixels of frame {number} are not what they were: it is not sent")
        if loss is not None and target == uids.JPEG_LS_NEAR_LOSSLESS:
            off = numpy.abs(source[0].astype("int64") - result[0].astype("int64")).max()
            if off > loss.near:
                raise TranscodingError(f"pixels of frame {number} are off by {off}, which is more than {loss.near}")


# --- Deflate (PS3.5 A.5) ----------------------------------------------------------------------------------------------


def _inflated(encoded: bytes, policy: ReadPolicy) -> bytes:
    limit = policy.inflated_size(len(encoded))
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflater.decompress(encoded, limit)
    except zlib.error as error:
        raise TranscodingError("the deflated data set is broken") from error
    if not inflater.eof:
        raise TranscodingError(f"the deflated data set is cut short, or inflates to more than {limit} bytes")
    return inflated


def _deflated(encoded: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(encoded) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)
