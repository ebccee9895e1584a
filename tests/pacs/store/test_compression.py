"""Compression against peers that take some transfer syntaxes only; what they hold is decoded by their own tools."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gurney.dicom import uids
from gurney.dicom.errors import CodecMissing
from gurney.dicom.transcoding import Loss, Transcoded
from gurney.pacs import (
    LOSSLESS,
    LOSSY,
    NATIVE,
    Compression,
    CompressionMode,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreChange,
    StoreScu,
    Timeouts,
)
from gurney.pacs.events import BeforeCStore
from gurney.pacs.store import conversion
from gurney.transfer.outcomes import EventKind
from tests.services.dcmjs_archive import DcmjsArchive
from tests.services.dcmtk import DcmQrScp, StoreScp
from tests.services.orthanc import Orthanc
from tests.services.presence import program, require
from tests.services.tiny_pacs import TinyPacs

EXPLICIT, IMPLICIT, BIG_ENDIAN = (
    uids.EXPLICIT_VR_LITTLE_ENDIAN,
    uids.IMPLICIT_VR_LITTLE_ENDIAN,
    uids.EXPLICIT_VR_BIG_ENDIAN,
)
JPEG_BASELINE, JPEG_LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
# One file of each kind of source: the names are pydicom's, and the modality's syntax is in the comment.
SOURCES = [
    "CT_small.dcm",  # explicit
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",  # deflated
    "MR_small_RLE.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "MR_small_jp2klossless.dcm",
    "SC_rgb_jpeg_gdcm.dcm",  # JPEG Lossless SV1
    "SC_rgb_dcmtk_+eb+cy+np.dcm",  # JPEG baseline
    "SC_rgb_rle_2frame.dcm",
    "JPEG2000.dcm",
    "examples_palette.dcm",
    "test-SR.dcm",
]


def path_of(name: str) -> Path:
    return Path(str(get_testdata_file(name, download=False)))


def syntax_of(name: str) -> str:
    return str(dcmread(path_of(name), stop_before_pixels=True).file_meta.TransferSyntaxUID)


def same_picture(one: Dataset, other: Dataset) -> bool:
    if "PixelData" not in one:
        return one.ContentSequence == other.ContentSequence  # type: ignore[no-any-return]
    return numpy.array_equal(one.pixel_array, other.pixel_array)


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def scu(request: pytest.FixtureRequest) -> StoreScu:
    return StoreScu("GURNEY", fast_path=request.param)


OpenOrthanc = Callable[[str], Orthanc]


@pytest.fixture(scope="module")
def orthanc_taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenOrthanc]:
    """Start an archive that takes these syntaxes only, once for all tests."""
    require("Orthanc")
    started: dict[str, Orthanc] = {}

    def start(syntaxes: str) -> Orthanc:
        if syntaxes not in started:
            accepted = [uids_of[name] for name in syntaxes.split()]
            peer = Orthanc(tmp_path_factory.mktemp("orthanc"), settings={"AcceptedTransferSyntaxes": accepted})
            peer.start()
            started[syntaxes] = peer
        return started[syntaxes]

    uids_of = {
        "explicit": EXPLICIT,
        "implicit": IMPLICIT,
        "jpeg-ls": uids.JPEG_LS_LOSSLESS,
        "jpeg-2000": uids.JPEG_2000_LOSSLESS,
    }
    yield start
    for peer in started.values():
        peer.discard()


@pytest.fixture
def storescp(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[StoreScp]:
    """DCMTK's, with one option that says what it takes."""
    require("storescp")
    (tmp_path / "peer").mkdir()
    with StoreScp(tmp_path / "peer", options=[request.param]) as peer:
        yield peer


def remote(peer: StoreScp | Orthanc | DcmQrScp | DcmjsArchive | TinyPacs) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port, Timeouts(connect=5, acse=10, store=20))


def held(archive: Orthanc, sop_instance_uid: str) -> Dataset:
    return dcmread(io.BytesIO(archive.instance_file(sop_instance_uid)))


# --- Lossless ---------------------------------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.seen("C-STORE, transcoded", at="orthanc")
def test_an_archive_of_implicit_vr_alone_holds_every_picture(
    scu: StoreScu, orthanc_taking: OpenOrthanc, name: str
) -> None:
    archive = orthanc_taking("implicit")
    result = scu.store(remote(archive), path_of(name), compression=LOSSLESS)
    assert result.is_stored, result.event.detail
    assert (result.transfer_syntax_uid, result.is_transcoded) == (IMPLICIT, syntax_of(name) != IMPLICIT)
    source = dcmread(path_of(name))
    arrived = held(archive, str(source.SOPInstanceUID))
    assert arrived.file_meta.TransferSyntaxUID == IMPLICIT
    assert same_picture(arrived, source)


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["dcmqrscp", "dcmjs-dimse", "tiny-pacs"])
@pytest.mark.seen("C-STORE, transcoded")
def test_other_archives_of_one_syntax_alone_give_back_every_picture(tmp_path: Path, kind: str) -> None:
    """What goes into an archive is got from it again."""
    names = ["CT_small.dcm", "MR_small_RLE.dcm", "SC_rgb_jpeg_gdcm.dcm"]
    sources = [dcmread(path_of(name)) for name in names]
    peer: DcmQrScp | DcmjsArchive | TinyPacs
    (tmp_path / "peer").mkdir()
    if kind == "dcmqrscp":
        require("dcmqrscp")
        peer = DcmQrScp(tmp_path / "peer", options=["+xi"])
    elif kind == "dcmjs-dimse":
        peer = DcmjsArchive(tmp_path / "peer", transfer_syntax_uids=[IMPLICIT])
    else:
        peer = TinyPacs(tmp_path / "peer", settings={"supported_ts": [IMPLICIT]})
    with peer:
        results = list(StoreScu(compression=LOSSLESS).store_many(remote(peer), map(path_of, names)))
        assert [(result.is_stored, result.transfer_syntax_uid) for result in results] == [(True, IMPLICIT)] * len(names)
        (tmp_path / "back").mkdir()
        classes = {str(one.SOPClassUID) for one in sources}
        for source in sources:
            what = Retrieval(study_instance_uid=str(source.StudyInstanceUID))
            list(QueryRetrieveScu("GURNEY").get(remote(peer), what, tmp_path / "back", classes))
    for source in sources:
        arrived = dcmread(tmp_path / "back" / f"{source.SOPInstanceUID}.dcm")
        assert arrived.file_meta.TransferSyntaxUID == IMPLICIT
        assert same_picture(arrived, source)


@pytest.mark.peer
@pytest.mark.parametrize("taken", ["jpeg-ls", "jpeg-2000"])
def test_an_archive_that_takes_one_compressed_syntax_alone(
    scu: StoreScu, orthanc_taking: OpenOrthanc, taken: str
) -> None:
    archive = orthanc_taking(taken)
    names = ["CT_small.dcm", "MR_small_implicit.dcm", "SC_rgb_jpeg_gdcm.dcm", "GDCMJ2K_TextGBR.dcm", "test-SR.dcm"]
    *images, report = scu.store_many(remote(archive), map(path_of, names), compression=LOSSLESS)
    for name, result in zip(names, images, strict=False):
        assert result.is_stored, result.event.detail
        source = dcmread(path_of(name))
        assert same_picture(held(archive, str(source.SOPInstanceUID)), source)
    assert report.event.kind is EventKind.NO_CONTEXT
    assert "it has no Pixel Data (7FE0,0010): only a native transfer syntax can hold it" in report.event.detail
    assert "the peer does not take Explicit VR Little Endian" in report.event.detail


@pytest.mark.peer
@pytest.mark.parametrize(
    ("storescp", "target", "tool"),
    [
        ("+xt", uids.JPEG_LS_LOSSLESS, "dcmdjpls"),
        ("+xr", uids.RLE_LOSSLESS, "dcmdrle"),
    ],
    indirect=["storescp"],
    ids=["jpeg-ls", "rle"],
)
@pytest.mark.seen("C-STORE, transcoded", at="storescp")
def test_what_is_wanted_compressed_is_compressed_where_the_peer_takes_it(
    scu: StoreScu, storescp: StoreScp, target: str, tool: str, tmp_path: Path
) -> None:
    compression = Compression.lossless(prefer=target)
    names = ["CT_small.dcm", "MR_small_bigendian.dcm", "examples_palette.dcm", "test-SR.dcm"]
    storing = scu.store_many(remote(storescp), map(path_of, names), compression=compression)
    results = list(storing)
    assert [result.transfer_syntax_uid for result in results] == [target, target, target, EXPLICIT]
    assert all(result.is_stored for result in results)
    assert storing.tally.transcoded == 3
    sources = {str(one.SOPInstanceUID): one for one in (dcmread(path_of(name)) for name in names)}
    for packed in storescp.files():
        subprocess.run([program(tool), packed, tmp_path / "open.dcm"], check=True, timeout=30)
        opened = dcmread(tmp_path / "open.dcm")
        assert same_picture(opened, sources.pop(str(opened.SOPInstanceUID)))
    assert sources == {}


@pytest.mark.peer
@pytest.mark.parametrize("storescp", ["+xa"], indirect=True, ids=["all"])
def test_what_the_peer_takes_as_it_is_goes_as_it_is(
    scu: StoreScu, storescp: StoreScp, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("transcoded")

    monkeypatch.setattr("gurney.pacs.store.conversion.transcode_apart", never)
    names = [name for name in SOURCES if name != "JPEG2000.dcm"]
    for compression in (NATIVE, LOSSLESS):
        for result in scu.store_many(remote(storescp), map(path_of, names), compression=compression):
            assert result.is_stored
            assert not result.is_transcoded


@pytest.mark.peer
@pytest.mark.parametrize("storescp", ["+xi"], indirect=True, ids=["implicit"])
def test_natively_what_is_refused_is_not_sent(scu: StoreScu, storescp: StoreScp) -> None:
    names = ["MR_small_implicit.dcm", "SC_rgb_jpeg_gdcm.dcm"]
    results = list(scu.store_many(remote(storescp), map(path_of, names)))
    assert [result.is_stored for result in results] == [True, False]
    assert (results[1].event.kind, results[1].event.result) == (EventKind.NO_CONTEXT, 4)


@pytest.mark.peer
@pytest.mark.parametrize("storescp", ["+xi"], indirect=True, ids=["implicit"])
def test_data_sets_the_default_of_an_scu_and_text_that_nobody_declared(storescp: StoreScp) -> None:
    dataset = dcmread(path_of("MR_small_RLE.dcm"))
    dataset[0x00100010] = dataset.get_item(0x00100010)._replace(value=b"M\xfcller^J\xfcrgen ")  # type: ignore[union-attr]
    result = StoreScu(compression=LOSSLESS).store(remote(storescp), dataset)
    assert (result.is_stored, result.transfer_syntax_uid) == (True, IMPLICIT)
    (arrived,) = storescp.files()
    assert b"M\xfcller^J\xfcrgen " in arrived.read_bytes()
    refused = StoreScu(compression=LOSSLESS).store(remote(storescp), dataset, compression=NATIVE)
    assert refused.event.kind is EventKind.NO_CONTEXT


# --- Lossy ------------------------------------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize(
    ("storescp", "compression", "target", "method"),
    [
        ("+xw", Compression.lossy(ratio=8), uids.JPEG_2000, "ISO_15444_1"),
        ("+xu", Compression.lossy(near=2), uids.JPEG_LS_NEAR_LOSSLESS, "ISO_14495_1"),
    ],
    indirect=["storescp"],
    ids=["jpeg-2000", "jpeg-ls"],
)
def test_with_loss_another_instance_arrives_that_says_so(
    scu: StoreScu, storescp: StoreScp, compression: Compression, target: str, method: str
) -> None:
    results = list(
        scu.store_many(
            remote(storescp), [path_of("CT_small.dcm"), path_of("examples_palette.dcm")], compression=compression
        )
    )
    assert [result.transfer_syntax_uid for result in results] == [target, EXPLICIT]
    assert all(result.is_stored for result in results)
    arrived = {str(one.SOPInstanceUID): one for one in map(dcmread, storescp.files())}
    assert arrived.keys() == {result.sop_instance_uid for result in results}
    source, derived = dcmread(path_of("CT_small.dcm")), arrived[results[0].sop_instance_uid]
    assert derived.SOPInstanceUID != source.SOPInstanceUID == results[0].request.sop_instance_uid
    assert (derived.LossyImageCompression, derived.LossyImageCompressionMethod) == ("01", method)
    assert derived.SourceImageSequence[0].ReferencedSOPInstanceUID == source.SOPInstanceUID
    if method == "ISO_14495_1":
        off = derived.pixel_array.astype(int) - source.pixel_array.astype(int)
        assert 0 < numpy.abs(off).max() <= 2
    assert arrived[results[1].sop_instance_uid].get("LossyImageCompression", "00") == "00"


@pytest.mark.peer
def test_where_no_loss_is_taken_nothing_is_lost(scu: StoreScu, orthanc_taking: OpenOrthanc) -> None:
    archive = orthanc_taking("implicit")
    result = scu.store(remote(archive), path_of("CT_small.dcm"), compression=LOSSY)
    assert result.is_stored
    source = dcmread(path_of("CT_small.dcm"))
    assert result.sop_instance_uid == source.SOPInstanceUID
    assert same_picture(held(archive, result.sop_instance_uid), source)


@pytest.mark.peer
@pytest.mark.parametrize("storescp", ["+xa"], indirect=True, ids=["all"])
def test_what_has_lost_already_is_left_alone(scu: StoreScu, storescp: StoreScp) -> None:
    result = scu.store(remote(storescp), path_of("SC_rgb_dcmtk_+eb+cr.dcm"), compression=LOSSY)
    assert (result.is_stored, result.transfer_syntax_uid) == (True, JPEG_BASELINE)


# --- What goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.peer
def test_a_codec_that_is_not_there_fails_its_instance_alone(
    scu: StoreScu, orthanc_taking: OpenOrthanc, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = conversion.transcode_apart

    def without_gdcm(encoded: bytes, source: str, target: str, **options: Any) -> Transcoded:
        if source == JPEG_LOSSLESS:
            raise CodecMissing('it needs python-gdcm; pip install "gurney[codecs]"')
        return real(encoded, source, target, **options)

    monkeypatch.setattr(conversion, "transcode_apart", without_gdcm)
    names = ["CT_small.dcm", "SC_rgb_jpeg_gdcm.dcm", "MR_small_RLE.dcm"]
    results = list(scu.store_many(remote(orthanc_taking("implicit")), map(path_of, names), compression=LOSSLESS))
    assert [result.is_stored for result in results] == [True, False, True]
    assert results[1].event.kind is EventKind.NO_CONTEXT
    assert 'it needs python-gdcm; pip install "gurney[codecs]"' in results[1].event.detail


@pytest.mark.peer
def test_pixels_past_the_bound_are_not_decoded(scu: StoreScu, orthanc_taking: OpenOrthanc) -> None:
    compression = Compression.lossless(largest=8191)
    result = scu.store(remote(orthanc_taking("implicit")), path_of("MR_small_RLE.dcm"), compression=compression)
    assert "8192 bytes of pixel data are more than the 8191" in result.event.detail


@pytest.mark.peer
def test_a_file_that_vanishes_is_no_matter_of_codecs(
    scu: StoreScu, orthanc_taking: OpenOrthanc, tmp_path: Path
) -> None:
    path = tmp_path / "one.dcm"
    path.write_bytes(path_of("MR_small_RLE.dcm").read_bytes())

    def paths() -> Iterator[Path]:
        yield path
        path.unlink()

    (result,) = scu.store_many(remote(orthanc_taking("implicit")), paths(), compression=LOSSLESS)
    assert result.event.kind is EventKind.FILE_MISSING


@pytest.mark.peer
def test_a_listener_sees_and_changes_what_would_be_sent(scu: StoreScu, orthanc_taking: OpenOrthanc) -> None:
    archive = orthanc_taking("implicit")

    @scu.events.before_c_store
    def coerce(event: BeforeCStore) -> StoreChange:
        dataset = event.decode()
        assert dataset.file_meta.TransferSyntaxUID == IMPLICIT
        dataset.PatientID, dataset.SOPInstanceUID = "COERCED", "1.2.3.4711"
        return StoreChange(dataset=dataset)

    result = scu.store(remote(archive), path_of("MR_small_RLE.dcm"), compression=LOSSLESS)
    arrived = held(archive, "1.2.3.4711")
    assert (result.sop_instance_uid, arrived.PatientID) == ("1.2.3.4711", "COERCED")
    assert same_picture(arrived, dcmread(path_of("MR_small_RLE.dcm")))


# --- The value --------------------------------------------------------------------------------------------------------


def test_what_is_wished_for_in_which_order() -> None:
    assert NATIVE.wishes(JPEG_LOSSLESS) == (JPEG_LOSSLESS,)
    assert LOSSLESS.wishes(JPEG_LOSSLESS)[:3] == (JPEG_LOSSLESS, EXPLICIT, IMPLICIT)
    assert len(LOSSLESS.wishes(IMPLICIT)) == len(set(LOSSLESS.wishes(IMPLICIT))) == 6
    preferring = Compression.lossless(prefer=uids.JPEG_LS_LOSSLESS)
    assert preferring.wishes(BIG_ENDIAN)[:2] == (uids.JPEG_LS_LOSSLESS, BIG_ENDIAN)
    assert preferring.wishes(JPEG_LOSSLESS)[0] == JPEG_LOSSLESS
    assert LOSSY.wishes(JPEG_LOSSLESS)[:2] == (uids.JPEG_2000, JPEG_LOSSLESS)
    assert LOSSY.wishes(JPEG_BASELINE)[0] == JPEG_BASELINE
    lossy = {uids.JPEG_2000, uids.JPEG_LS_NEAR_LOSSLESS}
    assert not lossy & {wish for mode in (NATIVE, LOSSLESS, preferring) for wish in mode.wishes(EXPLICIT)}
    assert [mode.mode for mode in (NATIVE, LOSSLESS, LOSSY)] == list(CompressionMode)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Compression.lossless(prefer=uids.JPEG_2000), "lossy"),
        (lambda: Compression.lossless(prefer=JPEG_LOSSLESS), "nothing here compresses to"),
        (lambda: Compression.lossy(ratio=1), "more than 1"),
        (lambda: Compression.lossy(ratio=float("nan")), "more than 1"),
        (lambda: Compression.lossy(near=0), "1-255"),
        (lambda: Compression.lossy(near=256), "1-255"),
        (lambda: Compression.lossy(ratio=10, near=2), "one of them"),
        (lambda: Compression(CompressionMode.LOSSY), r"use Compression\.lossy\(\)"),
        (lambda: Compression(CompressionMode.LOSSLESS, uids.JPEG_2000, Loss()), r"use Compression\.lossless\(\)"),
        (lambda: Compression(CompressionMode.NATIVE, uids.JPEG_LS_LOSSLESS), "prefers nothing"),
    ],
    ids=["lossy", "unknown", "ratio", "nan", "exact", "far", "both", "no-loss", "loss", "native"],
)
def test_a_compression_is_checked_when_it_is_made(make: Callable[[], Compression], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
