"""What the registries say of UIDs."""

from __future__ import annotations

from gurney.dicom.dictionary import named_uid


def test_a_uid_stands_behind_its_name_if_it_has_one() -> None:
    assert named_uid("1.2.840.10008.1.2") == "Implicit VR Little Endian (1.2.840.10008.1.2)"
    assert named_uid("2.25.1") == "2.25.1"
