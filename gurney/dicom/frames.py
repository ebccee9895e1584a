"""The frames of an image: what its pixel data are, decoded and encoded one at a time (PS3.3 C.7.6.3, PS3.5 8.2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from gurney.dicom import uids
from gurney.dicom.codecs import decoder_for, encoder_for, plugin_of
from gurney.dicom.codestreams import declared_size
from gurney.dicom.dictionary import named_uid
from gurney.dicom.elements import Element, Fragments, find, integer, text
from gurney.dicom.errors import CodecMissing, TranscodingError

if TYPE_CHECKING:
    import numpy

    Frame = numpy.ndarray[Any, numpy.dtype[Any]]

__all__ = ["PIXEL_DATA", "ImagePixel", "decode_frames", "encode_frames", "native_frames"]

PIXEL_DATA: Final = 0x7FE00010
_OFFSETS, _OFFSET_LENGTHS = 0x7FE00001, 0x7FE00002
_JPEG_EXTENDED: Final = "1.2.840.10008.1.2.4.51"
_BYTE: Final = 8
_NOT_OURS: Final = (GeneratorExit, KeyboardInterrupt, SystemExit)


@dataclass(frozen=True, slots=True)
class ImagePixel:
    """What the attributes of an image say of its pixel data (PS3.3 C.7.6.3.1)."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    photometric: str
    planar: int

    @classmethod
    def of(cls, elements: Sequence[Element]) -> Self:
        """Read them. Raises TranscodingError where one is missing or makes no sense."""
        numbers = {name: integer(elements, tag) for name, tag in _NUMBERS.items()}
        for name in ("rows", "columns", "allocated", "stored"):
            if not numbers[name]:
                raise TranscodingError(f"the image does not say its {_NAMES[name]}")
        high_bit = numbers.pop("high_bit")
        if high_bit is not None and high_bit != (numbers["stored"] or 0) - 1:
            raise TranscodingError("its High Bit is not the last of its Bits Stored (PS3.5 8.1.1)")
        return cls(
            rows=numbers["rows"] or 0,
            columns=numbers["columns"] or 0,
            frames=numbers["frames"] or 1,
            samples=numbers["samples"] or 1,
            allocated=numbers["allocated"] or 0,
            stored=numbers["stored"] or 0,
            signed=numbers["signed"] == 1,
            photometric=text(elements, 0x00280004),
            planar=numbers["planar"] or 0,
        )

    @property
    def frame_size(self) -> int:
        """Bytes of one frame as native pixel data, at one sample for each pixel and plane."""
        return self.rows * self.columns * self.samples * -(-self.allocated // 8)

    @property
    def size(self) -> int:
        """Bytes of all frames as native pixel data."""
        return self.frame_size * self.frames

    def options(self) -> dict[str, Any]:
        """Say the same as pydicom's coders want it said."""
        return {
            "rows": self.rows,
            "columns": self.columns,
            "number_of_frames": self.frames,
            "samples_per_pixel": self.samples,
            "bits_allocated": self.allocated,
            "bits_stored": self.stored,
            "pixel_representation": int(self.signed),
            "photometric_interpretation": self.photometric,
            "pixel_keyword": "PixelData",
            **({"planar_configuration": self.planar} if self.samples > 1 else {}),
        }


_NUMBERS: Final = {
    "rows": 0x00280010,
    "columns": 0x00280011,
    "frames": 0x00280008,
    "samples": 0x00280002,
    "allocated": 0x00280100,
    "stored": 0x00280101,
    "high_bit": 0x00280102,
    "signed": 0x00280103,
    "planar": 0x00280006,
}
_NAMES: Final = {"rows": "Rows", "columns": "Columns", "allocated": "Bits Allocated", "stored": "Bits Stored"}
_FULL: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})


def decode_frames(
    elements: Sequence[Element], image: ImagePixel, transfer_syntax_uid: str
) -> Iterator[tuple[Frame, str]]:
    """Yield each frame as an array of rows, columns and samples, and the photometric interpretation of its values.

    Colours are not converted: subsampled ones are brought to full size, nothing else. Raises TranscodingError for what
    a decoder can't read, and for fewer or more frames than the image has; CodecMissing.
    """
    pixels = find(elements, PIXEL_DATA)
    if pixels is None or isinstance(pixels.value, list):
        raise TranscodingError("there is no pixel data")
    native = not isinstance(pixels.value, Fragments)
    decoder = decoder_for(uids.EXPLICIT_VR_LITTLE_ENDIAN if native else transfer_syntax_uid)
    options = image.options()
    source: bytes | memoryview
    if isinstance(pixels.value, Fragments):
        source = pixels.value.encoded
        offsets = [find(elements, tag) for tag in (_OFFSETS, _OFFSET_LENGTHS)]
        values = [one.value for one in offsets if one is not None and isinstance(one.value, bytes | memoryview)]
        if len(values) == len(offsets):
            options["extended_offsets"] = tuple(bytes(value) for value in values)
        _check_sizes(source, image, options.get("extended_offsets"))
        options["decoding_plugin"] = plugin = plugin_of(decoder)
        if transfer_syntax_uid == _JPEG_EXTENDED and image.stored > _BYTE and plugin in ("gdcm", "pillow"):
            raise CodecMissing(
                f"no codec installed to decode {named_uid(transfer_syntax_uid)} of more than 8 bits: "
                "pylibjpeg-libjpeg can; its licence is the GPL, so it is yours to choose"
            )
    else:
        source = pixels.value
        options["pixel_vr"] = "OB" if image.allocated <= _BYTE else "OW"
    count = 0
    try:
        for array, properties in decoder.iter_array(source, as_rgb=False, **options):
            count += 1
            photometric = str(properties["photometric_interpretation"])
            yield array, "YBR_FULL" if photometric in _FULL else photometric
    except (TranscodingError, *_NOT_OURS):
        raise
    except BaseException as error:  # a decoder's, of whatever kind; those written in Rust panic past Exception
        raise _failed("decode", transfer_syntax_uid, error) from error
    if count != image.frames:
        raise TranscodingError(f"{count} frames could be decoded where there should be {image.frames}")


def encode_frames(frames: Iterator[tuple[Frame, str]], image: ImagePixel, target: str, **options: Any) -> Fragments:
    """Encode frames as encapsulated pixel data, one fragment each, with an offset table.

    ``options`` are the codec's: ``j2k_cr`` or ``jls_error``. Raises TranscodingError; CodecMissing.
    """
    from pydicom.encaps import encapsulate

    encoder = encoder_for(target)
    plugin = plugin_of(encoder)
    encoded = []
    for frame, photometric in frames:
        said = replace(image, frames=1, photometric=photometric, planar=0).options()
        del said["pixel_keyword"]
        try:
            encoded.append(bytes(encoder.encode(_fitted(frame, image), encoding_plugin=plugin, **said, **options)))
        except _NOT_OURS:
            raise
        except BaseException as error:  # an encoder's, as above
            raise _failed("encode", target, error) from error
    return Fragments(encapsulate(encoded))


def native_frames(frames: Iterator[tuple[Frame, str]], image: ImagePixel) -> bytes:
    """Write frames as native pixel data in little endian, colour by pixel, padded to an even length (PS3.5 8.1)."""
    native = bytearray()
    for frame, _ in frames:
        native += _fitted(frame, image).tobytes()
    if len(native) % 2:
        native += b"\0"
    return bytes(native)


def _fitted(frame: Frame, image: ImagePixel) -> Frame:
    """Give a frame the width of Bits Allocated: decoders use the narrowest."""
    kind = f"<{'i' if image.signed else 'u'}{-(-image.allocated // 8)}"
    return frame.astype(kind, copy=False)


def _check_sizes(source: bytes, image: ImagePixel, offsets: tuple[bytes, bytes] | None) -> None:
    """Refuse a frame that declares another size than its image: a decoder would reserve what it declares."""
    from pydicom.encaps import generate_frames

    try:
        frames = generate_frames(source, number_of_frames=image.frames, extended_offsets=offsets)
        for frame in frames:
            declared = declared_size(frame)
            if declared is not None and declared != (image.rows, image.columns):
                raise TranscodingError(
                    f"a frame says that it has {declared[0]} rows and {declared[1]} columns, "
                    f"its image has {image.rows} and {image.columns}"
                )
    except TranscodingError:
        raise
    except Exception as error:  # whatever the offset table makes of it
        raise _failed("take apart", "", error) from error


def _failed(what: str, transfer_syntax_uid: str, error: BaseException) -> TranscodingError:
    # Only the type, as everywhere: a message may quote the data set.
    where = f" {named_uid(transfer_syntax_uid)}" if transfer_syntax_uid else " the pixel data"
    return TranscodingError(f"a codec could not {what}{where}: {type(error).__name__}")
