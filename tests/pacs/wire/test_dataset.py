from __future__ import annotations

import zlib

import pytest
from pydicom import config
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from gurney.pacs import request_for_file
from gurney.pacs.errors import BadResponse
from gurney.pacs.wire.dataset import decode_dataset, decode_identifier, encode_dataset

FILES = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "image_dfl.dcm",
    "JPEG2000.dcm",
    "SC_rgb_jpeg_gdcm.dcm",
    "nested_priv_SQ.dcm",
]


def encoded(name: str) -> tuple[bytes, str]:
    path = str(get_testdata_file(name))
    if name == "nested_priv_SQ.dcm":
        pytest.skip("it has no SOP Class UID")
    request = request_for_file(path)
    with open(path, "rb") as file:
        file.seek(request.dataset_offset)
        return file.read(), request.transfer_syntax_uid


@pytest.mark.parametrize("name", FILES[:-1])
def test_what_is_not_changed_stays_the_same(name: str) -> None:
    original, syntax = encoded(name)
    first = decode_dataset(original, syntax)
    assert first.file_meta.TransferSyntaxUID == syntax
    again = decode_dataset(encode_dataset(first, syntax), syntax)
    assert again == first


def test_bytes_in_another_character_set_pass_untouched() -> None:
    dataset = decode_dataset(*encoded("CT_small.dcm"))
    assert b"CompressedSamples^CT1" in encode_dataset(dataset, "1.2.840.10008.1.2.1")


def test_what_cannot_be_encoded_is_refused_without_its_contents() -> None:
    dataset = Dataset()
    with config.disable_value_validation():
        dataset.add_new(0x00280010, "US", "Planted^Patient")
    with pytest.raises(ValueError, match="can't be encoded") as caught:
        encode_dataset(dataset, "1.2.840.10008.1.2.1")
    assert "Planted" not in str(caught.value)


# --- Identifiers ------------------------------------------------------------------------------------------------------


def identifier() -> Dataset:
    made, item = Dataset(), Dataset()
    item.Modality = "CT"
    made.QueryRetrieveLevel, made.PatientName = "STUDY", "Müller^Jürgen"
    made.SpecificCharacterSet = "ISO_IR 100"
    made.ScheduledProcedureStepSequence = [item]
    return made


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian])
def test_an_identifier_comes_back(syntax: str) -> None:
    assert decode_identifier(encode_dataset(identifier(), syntax), syntax) == identifier()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_a_torn_identifier_is_none_wherever_it_is_torn(syntax: str) -> None:
    encoded, whole = encode_dataset(identifier(), syntax), 0
    for length in range(1, len(encoded)):
        try:
            decode_identifier(encoded[:length], syntax)
        except BadResponse as error:
            assert "ller" not in str(error)  # noqa: PT017  (each length, not the first that raises)
        else:
            whole += 1
    assert whole == len(identifier()) - 1  # between two elements nobody can tell


@pytest.mark.parametrize("encoded", [b"\xff" * 40, b"garbage that is no data set", b"\x08\0\x52\0CS"])
def test_garbage_is_no_identifier(encoded: bytes) -> None:
    for syntax in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian):
        with pytest.raises(BadResponse):
            decode_identifier(encoded, syntax)


def test_a_bomb_is_inflated_no_further_than_any_identifier_goes() -> None:
    bomb = zlib.compress(encode_dataset(identifier(), ExplicitVRLittleEndian) + bytes(1 << 26), wbits=-zlib.MAX_WBITS)
    with pytest.raises(BadResponse):
        decode_identifier(bomb, DeflatedExplicitVRLittleEndian)
