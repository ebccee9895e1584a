from __future__ import annotations

import subprocess
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
import pytest
from pydicom.dataset import Dataset

from gurney.dicom import uids
from gurney.dicom.elements import Element, Fragments, Item, encode_elements, find, parse_elements
from gurney.dicom.encodings import EXPLICIT_LE, encoding_of
from gurney.dicom.errors import CodecMissing, TranscodingError

if TYPE_CHECKING:
    from gurney.dicom.frames import Frame
from gurney.dicom.transcoding import Loss, transcode
from gurney.pacs.wire.dataset import decode_dataset
from tests.dicom.files import BASIC_TEXT_SR, DEFLATED, EXPLICIT, IMPLICIT, LE, Recipe, deflate
from tests.dicom.images import Shipped, shipped
from tests.services.presence import program, require

NATIVE = [uids.EXPLICIT_VR_LITTLE_ENDIAN, uids.IMPLICIT_VR_LITTLE_ENDIAN, uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN]
LOSSLESS = [*NATIVE, uids.RLE_LOSSLESS, uids.JPEG_LS_LOSSLESS, uids.JPEG_2000_LOSSLESS]
NAMES = {
    uids.EXPLICIT_VR_LITTLE_ENDIAN: "explicit",
    uids.IMPLICIT_VR_LITTLE_ENDIAN: "implicit",
    uids.DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN: "deflated",
    uids.RLE_LOSSLESS: "rle",
    uids.JPEG_LS_LOSSLESS: "jpeg-ls",
    uids.JPEG_2000_LOSSLESS: "jpeg-2000",
    uids.JPEG_LS_NEAR_LOSSLESS: "jpeg-ls-near",
    uids.JPEG_2000: "jpeg-2000-lossy",
}
IMAGES = [
    "CT_small.dcm",  # explicit, signed
    "MR_small_implicit.dcm",
    "MR_small_expb.dcm",  # big endian
    "image_dfl.dcm",  # deflated
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG Lossless SV1
    "GDCMJ2K_TextGBR.dcm",  # YBR_RCT
    "SC_rgb_rle_16bit_2frame.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "examples_palette.dcm",
    "examples_overlay.dcm",  # 12 of 16 bits
    "SC_rgb_dcmtk_+eb+cy+np.dcm",  # JPEG baseline, YBR_FULL_422
    "SC_rgb_dcmtk_+eb+cr.dcm",  # JPEG baseline, RGB
    "JPEG2000.dcm",  # lossy
    "JPEGLSNearLossless_08.dcm",
]


def load(name: str) -> Shipped:
    if name.startswith("JPEGLS"):
        # It has neither study nor series, which pixels do not need.
        from pydicom import dcmread
        from pydicom.data import get_testdata_file

        from gurney.pacs.wire.dataset import encode_dataset

        path = Path(str(get_testdata_file(name, download=False)))
        dataset = dcmread(path)
        syntax = str(dataset.file_meta.TransferSyntaxUID)
        return Shipped(path, encode_dataset(dataset, syntax), syntax, str(dataset.SOPInstanceUID))
    return shipped(name)


def pixels(encoded: bytes, syntax: str) -> numpy.ndarray:
    """What pydicom makes of it, by itself: colours as RGB."""
    return decode_dataset(encoded, syntax).pixel_array


def rest(encoded: bytes, syntax: str) -> dict[int, object]:
    """Everything but what pixel data may change."""
    dataset = decode_dataset(encoded, syntax)
    touched = {0x00280004, 0x00280006, 0x00282110, 0x7FE00001, 0x7FE00002, 0x7FE00010}
    return {
        int(one.tag): one.value
        for one in dataset
        if one.tag.element and int(one.tag) not in touched and not one.tag.is_private
    }


@pytest.mark.parametrize("target", LOSSLESS, ids=NAMES.get)
@pytest.mark.parametrize("name", IMAGES)
def test_every_kind_of_image_into_every_lossless_syntax(name: str, target: str) -> None:
    source = load(name)
    if name.startswith("JPEGLS") and target == uids.JPEG_2000_LOSSLESS:
        # Its ten columns are too few for the six resolutions that the encoder makes.
        with pytest.raises(TranscodingError, match="could not encode"):
            transcode(source.encoded, source.transfer_syntax_uid, target)
        return
    result = transcode(source.encoded, source.transfer_syntax_uid, target)
    assert result.sop_instance_uid == source.sop_instance_uid
    before = pixels(source.encoded, source.transfer_syntax_uid)
    numpy.testing.assert_array_equal(pixels(result.encoded, target), before)
    assert rest(result.encoded, target) == rest(source.encoded, source.transfer_syntax_uid)
    assert len(result.encoded) % 2 == 0


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI:UserWarning")
@pytest.mark.parametrize("target", NATIVE, ids=NAMES.get)
@pytest.mark.parametrize("name", ["test-SR.dcm", "rtplan.dcm", "waveform_ecg.dcm", "rtdose.dcm", "liver_1frame.dcm"])
def test_what_can_only_be_native(name: str, target: str) -> None:
    source = shipped(name)
    result = transcode(source.encoded, source.transfer_syntax_uid, target)
    assert rest(result.encoded, target) == rest(source.encoded, source.transfer_syntax_uid)
    with pytest.raises(TranscodingError):
        transcode(source.encoded, source.transfer_syntax_uid, uids.JPEG_LS_LOSSLESS)


@pytest.mark.peer
@pytest.mark.parametrize(
    ("target", "tool"), [(uids.RLE_LOSSLESS, "dcmdrle"), (uids.JPEG_LS_LOSSLESS, "dcmdjpls")], ids=["rle", "jpeg-ls"]
)
@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "SC_rgb_rle_16bit_2frame.dcm", "examples_rgb_color.dcm", "examples_palette.dcm"]
)
def test_dcmtk_decodes_the_same(name: str, target: str, tool: str, tmp_path: Path) -> None:
    require(tool)
    source = shipped(name)
    dataset = decode_dataset(transcode(source.encoded, source.transfer_syntax_uid, target).encoded, target)
    dataset.save_as(tmp_path / "packed.dcm", enforce_file_format=True)
    subprocess.run([program(tool), tmp_path / "packed.dcm", tmp_path / "open.dcm"], check=True, timeout=30)
    opened = shipped_file(tmp_path / "open.dcm")
    numpy.testing.assert_array_equal(opened.pixel_array, pixels(source.encoded, source.transfer_syntax_uid))


def shipped_file(path: Path) -> Dataset:
    from pydicom import dcmread

    return dcmread(path)


# --- Loss -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "loss", "method"),
    [
        (uids.JPEG_2000, Loss(ratio=8), "ISO_15444_1"),
        (uids.JPEG_LS_NEAR_LOSSLESS, Loss(near=3), "ISO_14495_1"),
    ],
    ids=["jpeg-2000", "jpeg-ls"],
)
def test_a_lossy_compression_makes_another_instance_that_says_so(target: str, loss: Loss, method: str) -> None:
    source = shipped("CT_small.dcm")
    result = transcode(source.encoded, source.transfer_syntax_uid, target, loss=loss)
    before, after = decode_dataset(source.encoded, EXPLICIT), decode_dataset(result.encoded, target)
    assert result.sop_instance_uid == after.SOPInstanceUID != before.SOPInstanceUID
    assert uids.is_valid_uid(result.sop_instance_uid)
    assert after.ImageType == ["DERIVED", *before.ImageType[1:]]
    assert after.LossyImageCompression == "01"
    assert after.LossyImageCompressionMethod == method
    assert float(after.LossyImageCompressionRatio) == pytest.approx(32768 / len(after.PixelData), rel=0.02)
    assert after.DerivationCodeSequence[0].CodeValue == "113040"
    (predecessor,) = after.SourceImageSequence
    assert predecessor.ReferencedSOPInstanceUID == before.SOPInstanceUID
    assert predecessor.ReferencedSOPClassUID == before.SOPClassUID
    assert predecessor.PurposeOfReferenceCodeSequence[0].CodeValue == "121320"
    assert "Lossy compression" in after.DerivationDescription
    off = numpy.abs(after.pixel_array.astype(int) - before.pixel_array.astype(int)).max()
    assert 0 < off <= (3 if target == uids.JPEG_LS_NEAR_LOSSLESS else 200)
    assert after.PatientName == before.PatientName


def test_the_same_loss_makes_the_same_instance_and_another_another() -> None:
    source = shipped("MR_small.dcm")
    made = [
        transcode(source.encoded, source.transfer_syntax_uid, uids.JPEG_2000, loss=Loss(ratio)).sop_instance_uid
        for ratio in (8, 8, 9)
    ]
    assert made[0] == made[1] != made[2]


def test_a_second_loss_is_added_to_the_first() -> None:
    source = shipped("MR_small.dcm")
    once = transcode(source.encoded, EXPLICIT, uids.JPEG_2000, loss=Loss(4)).encoded
    opened = transcode(once, uids.JPEG_2000, EXPLICIT)
    first = decode_dataset(opened.encoded, EXPLICIT)
    assert first.LossyImageCompression == "01"
    assert first.SOPInstanceUID == opened.sop_instance_uid == decode_dataset(once, uids.JPEG_2000).SOPInstanceUID
    twice = transcode(opened.encoded, EXPLICIT, uids.JPEG_LS_NEAR_LOSSLESS, loss=Loss(near=1)).encoded
    second = decode_dataset(twice, uids.JPEG_LS_NEAR_LOSSLESS)
    assert second.LossyImageCompressionMethod == ["ISO_15444_1", "ISO_14495_1"]
    assert len(second.LossyImageCompressionRatio) == 2
    assert len(second.SourceImageSequence) == 2
    assert second.DerivationDescription.count("Lossy compression") == 2


def test_what_was_lost_stays_said_and_is_said_where_it_was_not() -> None:
    source = shipped("SC_rgb_dcmtk_+eb+cy+np.dcm")
    opened = decode_dataset(transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT).encoded, EXPLICIT)
    assert opened.LossyImageCompression == "01"
    assert opened.PhotometricInterpretation == "YBR_FULL"
    dataset = decode_dataset(source.encoded, source.transfer_syntax_uid)
    dataset.pop("LossyImageCompression", None)
    elements = [one for one in parse_elements(source.encoded, EXPLICIT_LE) if one.tag != 0x00282110]
    silent = transcode(encode_elements(elements, explicit=True), source.transfer_syntax_uid, EXPLICIT)
    assert decode_dataset(silent.encoded, EXPLICIT).LossyImageCompression == "01"


def test_nothing_is_lost_that_was_not_asked_for() -> None:
    source = shipped("CT_small.dcm")
    for target, loss in [(uids.JPEG_2000, None), (uids.JPEG_2000_LOSSLESS, Loss())]:
        with pytest.raises(TranscodingError, match="asked for"):
            transcode(source.encoded, EXPLICIT, target, loss=loss)


@pytest.mark.parametrize("name", ["examples_palette.dcm", "rtdose.dcm"])
def test_what_is_no_picture_is_never_lost(name: str) -> None:
    source = shipped(name)
    with pytest.raises(TranscodingError, match="must not be compressed with loss"):
        transcode(source.encoded, source.transfer_syntax_uid, uids.JPEG_2000, loss=Loss())


# --- What can't be done, or must not ----------------------------------------------------------------------------------


def test_a_codec_that_changes_a_pixel_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from gurney.dicom import transcoding

    def spoil(frames: Iterator[tuple[Frame, str]], *rest: object, **options: object) -> Fragments:
        def spoiled() -> Iterator[tuple[Frame, str]]:
            for frame, photometric in frames:
                changed = frame.copy()
                changed[-1, -1] ^= 1
                yield changed, photometric

        return honest(spoiled(), *rest, **options)  # type: ignore[arg-type]

    honest = transcoding.encode_frames
    monkeypatch.setattr(transcoding, "encode_frames", spoil)
    source = shipped("SC_rgb_rle_16bit_2frame.dcm")
    with pytest.raises(TranscodingError, match="pixels of frame 1 are not what they were"):
        transcode(source.encoded, source.transfer_syntax_uid, uids.JPEG_LS_LOSSLESS)


def test_a_codec_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        is_available = False

    monkeypatch.setattr("pydicom.pixels.encoders.base.get_encoder", lambda _: Absent)
    monkeypatch.setattr("pydicom.pixels.decoders.base.get_decoder", lambda _: Absent)
    source = shipped("CT_small.dcm")
    with pytest.raises(CodecMissing, match=r'encode JPEG-LS Lossless.*pyjpegls; pip install "gurney\[codecs\]"'):
        transcode(source.encoded, EXPLICIT, uids.JPEG_LS_LOSSLESS)
    assert transcode(source.encoded, EXPLICIT, IMPLICIT).encoded
    compressed = shipped("SC_rgb_jpeg_gdcm.dcm")
    with pytest.raises(CodecMissing, match=r"decode JPEG Lossless.*python-gdcm"):
        transcode(compressed.encoded, compressed.transfer_syntax_uid, EXPLICIT)


@pytest.mark.parametrize("kind", ["encoders", "decoders"])
def test_a_codec_that_panics_fails_its_instance_alone(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Codecs in Rust raise what is no Exception; pylibjpeg-rle does so over a broken segment."""

    class Panic(BaseException):
        pass

    class Panicking:
        is_available = True
        available_plugins = ("pylibjpeg",)

        def encode(self, *_: object, **__: object) -> bytes:
            raise Panic

        iter_array = encode

    monkeypatch.setattr(f"pydicom.pixels.{kind}.base.get_{kind[:-1]}", lambda _: Panicking())
    source = shipped("MR_small_RLE.dcm")
    with pytest.raises(TranscodingError, match="Panic"):
        transcode(source.encoded, source.transfer_syntax_uid, uids.JPEG_LS_LOSSLESS)


def test_twelve_bits_of_jpeg_need_a_codec_of_ones_own_choice() -> None:
    source = shipped("JPGExtended.dcm")
    with pytest.raises(CodecMissing, match="GPL"):
        transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT)


def test_a_frame_that_declares_more_than_its_image_never_meets_a_decoder() -> None:
    source = shipped("MR_small_jp2klossless.dcm")
    start = source.encoded.index(b"\xff\x4f\xff\x51")
    encoded = bytearray(source.encoded)
    encoded[start + 8 : start + 16] = b"\x7f\xff\xff\xff" * 2
    with pytest.raises(TranscodingError, match="2147483647 rows"):
        transcode(bytes(encoded), source.transfer_syntax_uid, EXPLICIT)


def test_pixel_data_past_the_bound() -> None:
    source = shipped("MR_small_RLE.dcm")
    with pytest.raises(TranscodingError, match="8192 bytes of pixel data are more than the 8191"):
        transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT, largest=8191)


def test_a_frame_that_is_not_there() -> None:
    source = shipped("SC_rgb_rle_16bit_2frame.dcm")
    elements = parse_elements(source.encoded, EXPLICIT_LE)
    for count, words in [
        (b"1 ", "2 frames could be decoded where there should be 1"),
        (b"3 ", "2 frames could be decoded where there should be 3"),
    ]:
        changed = [replace(one, value=count) if one.tag == 0x00280008 else one for one in elements]
        with pytest.raises(TranscodingError, match=words):
            transcode(encode_elements(changed, explicit=True), source.transfer_syntax_uid, EXPLICIT)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0x60000102: ("US", b"\x0c\0")}, "overlay lies in the unused bits"),
        ({0x00280102: ("US", b"\x0b\0")}, "High Bit"),
        ({0x00280100: ("US", b"\x0c\0")}, "12 bits"),
        ({0x00280010: ("US", b"\0\0")}, "does not say its Rows"),
    ],
    ids=["overlay", "high bit", "packed", "rows"],
)
def test_pixels_that_would_lose_something(changes: dict[int, tuple[str, bytes]], words: str) -> None:
    elements = {one.tag: one for one in parse_elements(shipped("CT_small.dcm").encoded, EXPLICIT_LE)}
    elements |= {tag: Element(tag, vr, value) for tag, (vr, value) in changes.items()}
    encoded = encode_elements([elements[tag] for tag in sorted(elements)], explicit=True)
    with pytest.raises(TranscodingError, match=words):
        transcode(encoded, EXPLICIT, uids.RLE_LOSSLESS)
    assert transcode(encoded, EXPLICIT, IMPLICIT).encoded


def test_big_endian_pixels_of_32_bits_are_left_alone() -> None:
    source = shipped("rtdose_expb_1frame.dcm")
    with pytest.raises(TranscodingError, match="order of bytes"):
        transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT)


@pytest.mark.parametrize("target", ["1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.70", "1.2.3"])
def test_a_syntax_that_is_not_written_here(target: str) -> None:
    with pytest.raises(TranscodingError, match="nothing here writes"):
        transcode(shipped("CT_small.dcm").encoded, EXPLICIT, target)


def test_video_is_left_alone() -> None:
    dataset = Recipe(transfer_syntax_uid="1.2.840.10008.1.2.4.102", pixels=LE.fragments(b"", b"film")).dataset()
    image = [Element(tag, "US", value) for tag, value in ((0x00280100, b"\x08\0"), (0x00280101, b"\x08\0"))]
    elements = sorted([*parse_elements(dataset, EXPLICIT_LE), *image], key=lambda one: one.tag)
    with pytest.raises(TranscodingError, match=r"nothing here decodes MPEG-4"):
        transcode(encode_elements(elements, explicit=True), "1.2.840.10008.1.2.4.102", EXPLICIT)


def test_floating_point_pixels_and_reports_can_only_be_native() -> None:
    floats = Recipe(pixels=LE.element(0x7FE00008, "OF", bytes(64))).dataset()
    report = Recipe(sop_class_uid=BASIC_TEXT_SR, image=False).dataset()
    for dataset in (floats, report):
        with pytest.raises(TranscodingError, match="no Pixel Data"):
            transcode(dataset, EXPLICIT, uids.JPEG_2000_LOSSLESS)
        implicit = transcode(dataset, EXPLICIT, IMPLICIT).encoded
        assert transcode(implicit, IMPLICIT, EXPLICIT).encoded == dataset


def test_a_compressed_icon_is_opened_with_its_image() -> None:
    source = shipped("MR_small_RLE.dcm")
    elements = parse_elements(source.encoded, EXPLICIT_LE)
    icon = Item([one for one in elements if one.tag >> 16 in (0x0028, 0x7FE0)])
    both = sorted([*elements, Element(0x00880200, "SQ", [icon])], key=lambda one: one.tag)
    for target in (EXPLICIT, uids.JPEG_LS_LOSSLESS):
        result = transcode(encode_elements(both, explicit=True), source.transfer_syntax_uid, target)
        found = find(parse_elements(result.encoded, encoding_of(target)), 0x00880200)
        assert found is not None
        assert isinstance(found.value, list)
        opened, plain = (
            find(found.value[0].elements, 0x7FE00010),
            find(
                parse_elements(transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT).encoded, EXPLICIT_LE),
                0x7FE00010,
            ),
        )
        assert opened is not None
        assert plain is not None
        assert opened.value == plain.value


def test_deflated_data_sets_are_bounded() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = bomb.compress(bytes(80 << 20)) + bomb.flush()
    with pytest.raises(TranscodingError, match="more than"):
        transcode(packed, DEFLATED, EXPLICIT)
    whole = deflate(Recipe().dataset())
    assert transcode(whole, DEFLATED, EXPLICIT).encoded == Recipe().dataset()
    for broken in (whole[:20], b"\xff" * 40):
        with pytest.raises(TranscodingError, match=r"cut short|broken"):
            transcode(broken, DEFLATED, EXPLICIT)


def test_an_odd_number_of_bytes_is_padded() -> None:
    source = shipped("SC_rgb_small_odd_jpeg.dcm")
    result = transcode(source.encoded, source.transfer_syntax_uid, EXPLICIT)
    found = find(parse_elements(result.encoded, EXPLICIT_LE), 0x7FE00010)
    assert found is not None
    assert not isinstance(found.value, Fragments)
    assert len(found.value) == 28
