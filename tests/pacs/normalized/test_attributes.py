"""Attribute lists: made by keyword, and held to what must be in them."""

from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import InvalidAttributes
from gurney.pacs.normalized.attributes import attribute_list, references, require

UID = "1.2.840.10008.5.1.4.1.1.2"


def test_a_list_is_made_by_keyword() -> None:
    made = attribute_list("x", PatientID="P", AccessionNumber="", StudyID=None, ReferencedStudySequence=())
    assert (made.PatientID, made.AccessionNumber) == ("P", "")
    assert made.ReferencedStudySequence == []
    assert "StudyID" not in made


def test_a_uid_with_leading_zeros_is_in_service() -> None:
    assert attribute_list("x", StudyInstanceUID="1.02.003").StudyInstanceUID == "1.02.003"


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("StudyDate", "yesterday"), ("NumberOfCopies", "Doe"), ("StudyInstanceUID", "1..2"), ("RetrieveAETitle", "a\\b")],
)
def test_a_value_that_is_none_of_its_vr_is_refused_by_name(keyword: str, value: str) -> None:
    with pytest.raises(InvalidAttributes, match=f"a thing can't be sent like this: {keyword} is no valid") as refused:
        attribute_list("a thing", **{keyword: value})
    assert value not in str(refused.value)
    assert refused.value.__suppress_context__
    assert refused.value.permanent


def test_a_reference_needs_both_of_its_uids() -> None:
    (item,) = references("x", [(UID, "1.2")])
    assert (item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID) == (UID, "1.2")
    with pytest.raises(InvalidAttributes, match="ReferencedSOPClassUID has no value"):
        references("x", [("", "1.2")])


@pytest.mark.parametrize(
    ("made", "path", "lacking"),
    [
        (attribute_list("x"), "StudyID", True),
        (attribute_list("x", StudyID=""), "StudyID", True),
        (attribute_list("x", StudyID="1"), "StudyID", False),
        (attribute_list("x", NumberOfCopies=0), "NumberOfCopies", False),
        (attribute_list("x", ReferencedSOPSequence=[]), "ReferencedSOPSequence", True),
        (attribute_list("x", ReferencedSOPSequence=[Dataset()]), "ReferencedSOPSequence", False),
        (attribute_list("x", ReferencedSOPSequence=[Dataset()]), "ReferencedSOPSequence.StudyID", True),
        (
            attribute_list("x", ReferencedSOPSequence=[attribute_list("x", StudyID="1"), Dataset()]),
            "ReferencedSOPSequence.StudyID",
            True,
        ),
    ],
    ids=["none", "empty", "there", "zero", "no item", "an item", "an empty item", "one of two items"],
)
def test_what_must_be_there_is_looked_for_in_every_item(made: Dataset, path: str, lacking: bool) -> None:
    if not lacking:
        require("x", made, [path])
        return
    with pytest.raises(InvalidAttributes) as refused:
        require("x", made, [path])
    assert refused.value.problems == (f"{path} has no value",)
