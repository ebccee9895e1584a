from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from gurney.pacs import InvalidQuery, Level, ModalityWorklistQuery, Query, Range
from gurney.pacs.display import text_at
from gurney.pacs.query.keys import Wanted, identifier

STATION = "ScheduledProcedureStepSequence.ScheduledStationAETitle"
MOMENT = "StudyDate+StudyTime"
NIGHT = Range(datetime(2024, 1, 1, 22), datetime(2024, 1, 2, 6))


def of(**values: object) -> Dataset:
    """A data set with what peers write, valid or not."""
    dataset = Dataset()
    for keyword, value in values.items():
        dataset.add(DataElement(keyword, dictionary_VR(keyword), value, validation_mode=IGNORE))
    return dataset


@pytest.mark.parametrize(
    ("path", "wanted", "written"),
    [
        ("PatientID", "", ""),
        ("PatientID", "12*", "12*"),
        ("StudyDate", Range("20240101", "20240131"), "20240101-20240131"),
        ("StudyDate", Range(date(2024, 1, 1)), "20240101-"),
        ("StudyDate", Range(last=date(2024, 1, 31)), "-20240131"),
        ("StudyDate", Range(), ""),
        ("StudyDate", date(2024, 2, 3), "20240203"),
        ("StudyDate", "20240101-", "20240101-"),
        ("StudyTime", Range(time(8), time(12, 30)), "080000-123000"),
        ("StudyTime", time(8, 0, 0, 500), "080000.000500"),
        ("StudyTime", "0830", "0830"),
        ("AcquisitionDateTime", Range(datetime(2024, 1, 1, 8)), "20240101080000-"),
        ("AcquisitionDateTime", datetime(2024, 1, 1, 8, tzinfo=UTC), "20240101080000+0000"),
        ("AcquisitionDateTime", "20240101080000-0500", "20240101080000-0500"),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.2\\1.3"),
        ("StudyInstanceUID", [], ""),
        ("ModalitiesInStudy", ["CT"], "CT"),
        ("InstanceNumber", "7", "7"),
        ("Rows", "512", "512"),
        (STATION, "CT1", "CT1"),
        ("PatientName", "x" * 64 + "*", "x" * 64 + "*"),
    ],
)
def test_a_key_is_written_as_its_vr_wants_it(path: str, wanted: Wanted, written: str) -> None:
    assert text_at(identifier({path: wanted}), path) == written


@pytest.mark.parametrize(
    ("path", "wanted", "words"),
    [
        ("PatientIdentifier", "1", "no keyword"),
        ("PatientID.StudyDate", "1", "no sequence"),
        ("PatientID", Range("1", "2"), "only dates and times"),
        ("PatientID", "1\\2", "backslash"),
        ("PatientID", "1\n", "control characters"),
        ("PatientID", "x" * 65, "more than the 64 characters"),
        ("PatientID", 4711, "takes no int"),
        ("PatientID", None, "takes no NoneType"),
        ("PatientID", date(2024, 1, 1), "takes no date"),
        ("PatientName", "x" * 65, "no person name"),
        ("PatientName", "a=b=c=d", "no person name"),
        ("Modality", ["CT", "MR"], "one CS at a time"),
        ("Modality", "ct", "capital letters"),
        ("StudyInstanceUID", "1.2.*", "wildcard"),
        ("StudyInstanceUID", "1..2", "no UID"),
        ("StudyInstanceUID", "../../etc/passwd", "no UID"),
        ("StudyInstanceUID", ["1.2", ""], "no text"),
        ("StudyInstanceUID", ["1.2", "x"], "no UID"),
        ("StudyDate", "2024-01-01", "no date"),
        ("StudyDate", "20240230", "no date"),
        ("StudyDate", "20240101*", "wildcard"),
        ("StudyDate", time(8), "takes no time"),
        ("StudyDate", Range("20240201", "20240101"), "ends before"),
        ("StudyDate", Range("20240101-20240102", ""), "range within"),
        ("StudyTime", "25", "no time"),
        ("StudyTime", date(2024, 1, 1), "takes no date"),
        ("AcquisitionDateTime", "yesterday", "no date and time"),
        ("AcquisitionDateTime", "-", "no date and time"),
        ("InstanceNumber", "one", "no integer"),
        ("PatientWeight", "heavy", "no decimal"),
        ("PatientAge", "42", "no age"),
        ("RetrieveAETitle", "x" * 17, "more than the 16"),
        ("ScheduledProcedureStepSequence", "CT1", "nothing is matched"),
        ("PixelData", "x", "nothing is matched"),
        (MOMENT, "20240101", "Range of datetimes"),
        (MOMENT, Range(date(2024, 1, 1)), "Range of datetimes"),
        ("StudyTime+StudyDate", NIGHT, "date first"),
    ],
)
def test_a_key_that_cant_be_asked_is_refused_by_name_and_without_its_value(path: str, wanted: Any, words: str) -> None:
    with pytest.raises(InvalidQuery, match=words) as refused:
        identifier({path: wanted})
    assert refused.value.field == path
    assert isinstance(refused.value, ValueError)
    if isinstance(wanted, str) and len(wanted) > 3:
        assert wanted not in str(refused.value)


def test_keys_of_one_sequence_share_its_item() -> None:
    made = identifier({STATION: "CT1", "ScheduledProcedureStepSequence.Modality": "CT"})
    (item,) = made.ScheduledProcedureStepSequence
    assert (item.ScheduledStationAETitle, item.Modality) == ("CT1", "CT")


def test_a_sequence_is_asked_for_as_a_whole() -> None:
    assert len(identifier({"ProcedureCodeSequence": ""}).ProcedureCodeSequence) == 0


def test_a_template_gives_way_to_keys_with_a_value() -> None:
    made = identifier({"PatientID": "2", "AccessionNumber": ""}, of(PatientID="1", StudyID="7", AccessionNumber="3"))
    assert (made.PatientID, made.StudyID, made.AccessionNumber) == ("2", "7", "3")


def test_a_template_stays_as_it_is() -> None:
    template = of(ScheduledProcedureStepSequence=[of(Modality="MR")])
    made = identifier({STATION: "CT1"}, template)
    assert text_at(made, "ScheduledProcedureStepSequence.Modality") == "MR"
    assert template == of(ScheduledProcedureStepSequence=[of(Modality="MR")])


@pytest.mark.parametrize(
    ("name", "preferred", "chosen"),
    [
        ("Doe^Jane", "ISO_IR 192", None),
        ("Müller", "ISO_IR 192", "ISO_IR 192"),
        ("Müller", "ISO_IR 100", "ISO_IR 100"),
        ("Łukasz", "ISO_IR 100", "ISO_IR 192"),
        ("Łukasz", "no such term", "ISO_IR 192"),
    ],
)
def test_only_what_is_not_ascii_names_a_character_set_that_holds_it(
    name: str, preferred: str, chosen: str | None
) -> None:
    assert identifier({"PatientName": name}, character_set=preferred).get("SpecificCharacterSet") == chosen


def test_a_template_says_in_which_character_set_to_ask() -> None:
    template = of(SpecificCharacterSet="ISO_IR 101")
    assert identifier({"PatientName": "Łukasz"}, template).SpecificCharacterSet == "ISO_IR 101"


@pytest.mark.parametrize(("combined", "hours"), [(True, "220000-060000"), (False, "")])
def test_a_moment_is_asked_for_by_its_date_unless_the_peer_knows_better(combined: bool, hours: str) -> None:
    made = identifier({MOMENT: NIGHT}, combined=combined)
    assert (made.StudyDate, made.StudyTime) == ("20240101-20240102", hours)


def test_an_empty_moment_leaves_what_is_asked_of_its_date() -> None:
    assert Query(study_date="20240101").identifier().StudyDate == "20240101"


@pytest.mark.parametrize("level", ["PATIENT", "STUDIES", None])
def test_a_level_that_a_model_does_not_have_is_refused(level: Any) -> None:
    with pytest.raises(InvalidQuery, match="its levels are STUDY, SERIES, IMAGE"):
        Query(level=level).identifier()


def test_a_worklist_has_no_level() -> None:
    class Levelled(ModalityWorklistQuery):
        level: Level = Level.STUDY

    with pytest.raises(InvalidQuery, match="worklist"):
        Levelled().identifier()
    assert "QueryRetrieveLevel" not in ModalityWorklistQuery().identifier()
