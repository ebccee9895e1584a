from __future__ import annotations

import pytest
from pydicom import config
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gurney.pacs import request_for_file
from gurney.pacs.dataset import decode_dataset, encode_dataset

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
