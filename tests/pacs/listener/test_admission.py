"""What a listener takes for a storage class and for a transfer syntax."""

from __future__ import annotations

import pytest
from pynetdicom import AllStoragePresentationContexts

from gurney.pacs.listener.admission import is_storage_class, is_transfer_syntax
from tests.pacs.conftest import CT


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.5.1.4.1.2.2.1",
        "1.2.840.10008.1.3.10",
        "1.2.840.10008.1.20.2",
        "1.2.840.10008.5.1.1.9",
        "1.2.840.10008.1.2.1",
        "../1",
    ],
    ids=["find", "dicomdir", "pull", "meta", "syntax", "path"],
)
def test_what_is_known_for_something_else_is_not(uid: str) -> None:
    assert not is_storage_class(uid)


def test_all_storage_classes_that_pynetdicom_knows_are() -> None:
    assert all(is_storage_class(str(context.abstract_syntax)) for context in AllStoragePresentationContexts)


def test_live_video_is_no_transfer_syntax_of_a_data_set() -> None:
    assert is_transfer_syntax("1.2.840.10008.1.2.4.201")
    assert not is_transfer_syntax("1.2.840.10008.1.2.7.1")
    assert not is_transfer_syntax(CT)
