from __future__ import annotations

from datetime import date, time

import pytest

from gurney.pacs import Instance, Level, Patient, Series, Study
from gurney.pacs.query.entities import entity_of
from tests.pacs.query.test_keys import of


def test_a_study_is_typed_with_its_patient() -> None:
    study = entity_of(
        of(
            PatientID="P1",
            PatientName="Doe^Jane",
            PatientBirthDate="19800229",
            PatientSex="F",
            StudyInstanceUID="1.2",
            StudyDate="2024.01.02",
            StudyTime="12:30:15.5",
            ModalitiesInStudy=["CT", "SR"],
            SOPClassesInStudy=["1.2.3"],
            NumberOfStudyRelatedInstances="12",
        ),
        Level.STUDY,
    )
    assert isinstance(study, Study)
    assert (study.patient.patient_id, study.patient.birth_date) == ("P1", date(1980, 2, 29))
    assert (study.study_date, study.study_time) == (date(2024, 1, 2), time(12, 30, 15, 500_000))
    assert (study.modalities, study.sop_class_uids) == (("CT", "SR"), ("1.2.3",))
    assert (study.instances, study.series) == (12, None)
    assert "Doe" not in repr(study)


@pytest.mark.parametrize(("level", "kind"), [(Level.PATIENT, Patient), (Level.SERIES, Series), (Level.IMAGE, Instance)])
def test_what_was_not_said_is_empty(level: Level, kind: type) -> None:
    entity = entity_of(of(), level)
    assert isinstance(entity, kind)
    assert {getattr(entity, name) for name in entity.__slots__} <= {"", None}


def test_what_cant_be_read_is_none() -> None:
    study = entity_of(of(StudyDate="20240231", StudyTime="noon", NumberOfStudyRelatedSeries=""), Level.STUDY)
    assert isinstance(study, Study)
    assert (study.study_date, study.study_time, study.series) == (None, None, None)
    leap = Study.of(of(StudyTime="235960"))
    assert leap.study_time == time(23, 59, 59)


def test_a_worklist_has_none_of_them() -> None:
    assert entity_of(of(), None) is None
