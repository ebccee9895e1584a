from __future__ import annotations

from datetime import date, time

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import Range
from gurney.pacs.keys import Wanted, answers, identifier, value_at

STATION = "ScheduledProcedureStepSequence.ScheduledStationAETitle"


def of(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
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
        ("StudyTime", Range(time(8), time(12, 30)), "080000-123000"),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.2\\1.3"),
        ("ModalitiesInStudy", ["CT"], "CT"),
        (STATION, "CT1", "CT1"),
    ],
)
def test_a_key_is_written_as_its_vr_wants_it(path: str, wanted: Wanted, written: str) -> None:
    assert value_at(identifier({path: wanted}), path) == written


@pytest.mark.parametrize(
    ("path", "wanted", "words"),
    [
        ("PatientIdentifier", "1", "no keyword"),
        ("PatientID.StudyDate", "1", "no sequence"),
        ("PatientID", Range("1", "2"), "only dates and times"),
        ("Modality", ["CT", "MR"], "one CS at a time"),
    ],
)
def test_a_key_that_cant_be_asked_is_refused_by_name(path: str, wanted: Wanted, words: str) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        identifier({path: wanted})
    assert path in str(refused.value)


def test_keys_of_one_sequence_share_its_item() -> None:
    made = identifier({STATION: "CT1", "ScheduledProcedureStepSequence.Modality": "CT"})
    (item,) = made.ScheduledProcedureStepSequence
    assert (item.ScheduledStationAETitle, item.Modality) == ("CT1", "CT")


def test_a_template_gives_way_to_keys() -> None:
    made = identifier({"PatientID": "2"}, of(PatientID="1", StudyID="7"))
    assert (made.PatientID, made.StudyID) == ("2", "7")


def test_a_template_stays_as_it_is() -> None:
    template = of(ScheduledProcedureStepSequence=[of(Modality="MR")])
    made = identifier({STATION: "CT1"}, template)
    assert value_at(made, "ScheduledProcedureStepSequence.Modality") == "MR"
    assert template == of(ScheduledProcedureStepSequence=[of(Modality="MR")])


def test_only_what_is_not_ascii_names_a_character_set() -> None:
    assert "SpecificCharacterSet" not in identifier({"PatientName": "Doe^Jane"})
    assert identifier({"PatientName": "Müller"}).SpecificCharacterSet == "ISO_IR 192"


@pytest.mark.parametrize(
    ("keyword", "wanted", "found", "is_answer"),
    [
        ("PatientID", "P1", "P1", True),
        ("PatientID", "P1", "p1 ", True),
        ("PatientID", "P1", "P10", False),
        ("PatientID", "P*", "P10", True),
        ("PatientID", "P?", "P10", False),
        ("PatientID", "[P]*", "P10", False),
        ("PatientID", "", "P10", True),
        ("PatientID", "P1", "", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.3", True),
        ("StudyInstanceUID", ["1.2", "1.3"], "1.4", False),
        ("StudyInstanceUID", "1.2", "1.20", False),
        ("StudyDate", Range("20240101", "20240131"), "20240131", True),
        ("StudyDate", Range("20240101", "20240131"), "20240201", False),
        ("StudyDate", Range("20240101"), "20231231", False),
        ("StudyDate", "20240101-20240131", "20240115", True),
        ("StudyDate", "20240101-20240131", "20240215", False),
        ("StudyDate", date(2024, 1, 15), "20240115", True),
        ("ModalitiesInStudy", "CT", ["MR", "CT"], True),
        ("ModalitiesInStudy", "CT", ["MR", "US"], False),
        ("PatientName", "Doe*", "DÖ^JANE", True),  # names match as the archive sees fit
    ],
)
def test_an_answer_is_held_to_its_question(keyword: str, wanted: Wanted, found: object, is_answer: bool) -> None:
    assert answers(of(**{keyword: found}), {keyword: wanted}) is is_answer
