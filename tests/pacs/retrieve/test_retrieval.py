from __future__ import annotations

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    PATIENT_ROOT,
    STUDY_ROOT,
    InvalidQuery,
    Level,
    Match,
    ModalityWorklistQuery,
    PatientRootQuery,
    Query,
    Retrieval,
)

INSTANCE = {
    "patient_id": "P1",
    "study_instance_uid": "1.2",
    "series_instance_uid": "1.2.3",
    "sop_instance_uid": "1.2.3.4",
}


@pytest.mark.parametrize(
    ("what", "is_covered"),
    [
        (Retrieval(patient_id="P1"), True),
        (Retrieval(patient_id="P2"), False),
        (Retrieval(patient_id="p1"), False),
        (Retrieval(study_instance_uid="1.2"), True),
        (Retrieval(study_instance_uid="1"), False),
        (Retrieval(study_instance_uid="1.2.3"), False),
        (Retrieval(study_instance_uid=["9", "1.2"]), True),
        (Retrieval(study_instance_uid=["9", "8"]), False),
        (Retrieval(patient_id="P2", study_instance_uid="1.2"), False),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.3"), True),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.9"), False),
        (Retrieval(study_instance_uid="9", series_instance_uid="1.2.3"), False),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.3", sop_instance_uid=["1", "1.2.3.4"]), True),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.3", sop_instance_uid=["1", "2"]), False),
    ],
)
def test_what_is_covered_has_every_key_that_is_named(what: Retrieval, is_covered: bool) -> None:
    assert what.covers(**INSTANCE) == is_covered


@pytest.mark.parametrize("missing", INSTANCE)
def test_what_an_instance_does_not_say_covers_nothing_that_is_named(missing: str) -> None:
    what = Retrieval(**INSTANCE)
    assert what.covers(**INSTANCE)
    assert not what.covers(**{**INSTANCE, missing: ""})


@pytest.mark.parametrize(
    ("what", "level"),
    [
        (Retrieval(patient_id="P1"), Level.PATIENT),
        (Retrieval(patient_id="P1", study_instance_uid="1.2"), Level.STUDY),
        (Retrieval(study_instance_uid=["1.2", "1.3"]), Level.STUDY),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.3"), Level.SERIES),
        (Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.3", sop_instance_uid="1"), Level.IMAGE),
    ],
)
def test_the_lowest_key_is_the_level(what: Retrieval, level: Level) -> None:
    assert what.level is level


def test_nothing_to_retrieve_is_said_so() -> None:
    with pytest.raises(ValueError, match="name a patient"):
        _ = Retrieval().level


def test_the_identifier_has_the_keys_of_its_model_down_to_its_level() -> None:
    in_study_root = Retrieval(**INSTANCE).identifier(STUDY_ROOT)
    assert "PatientID" not in in_study_root
    assert (in_study_root.QueryRetrieveLevel, in_study_root.SOPInstanceUID) == ("IMAGE", "1.2.3.4")
    in_patient_root = Retrieval(patient_id="P1").identifier(PATIENT_ROOT)
    assert [element.keyword for element in in_patient_root] == ["QueryRetrieveLevel", "PatientID"]


@pytest.mark.parametrize(
    "what",
    [
        Retrieval(series_instance_uid="1.2.3"),
        Retrieval(study_instance_uid=["1.2", "1.3"], series_instance_uid="1.2.3"),
        Retrieval(patient_id="P1"),
    ],
    ids=["no-study", "two-studies-above-a-series", "a-patient"],
)
def test_what_study_root_can_not_ask_is_refused(what: Retrieval) -> None:
    with pytest.raises(ValueError):
        what.identifier(STUDY_ROOT)


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidQuery, match="no text but of type int"):
        Retrieval(study_instance_uid=12).identifier(STUDY_ROOT)  # type: ignore[arg-type]


def match_of(query: type[Query], level: Level | None, **values: str) -> Match[Query]:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return Match(query, dataset, level)


KEYS = {"PatientID": "P1", "StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.4"}


@pytest.mark.parametrize(
    ("query", "level", "named"),
    [
        (Query, Level.STUDY, {"study_instance_uid"}),
        (Query, Level.SERIES, {"study_instance_uid", "series_instance_uid"}),
        (Query, Level.IMAGE, {"study_instance_uid", "series_instance_uid", "sop_instance_uid"}),
        (PatientRootQuery, Level.PATIENT, {"patient_id"}),
        (PatientRootQuery, Level.STUDY, {"patient_id", "study_instance_uid"}),
        (PatientRootQuery, Level.IMAGE, set(INSTANCE)),
    ],
)
def test_a_match_names_what_to_retrieve_in_its_model(query: type[Query], level: Level, named: set[str]) -> None:
    what = Retrieval.of(match_of(query, level, **KEYS))
    assert what == Retrieval(**{name: value for name, value in INSTANCE.items() if name in named})
    assert what.identifier(query.model).QueryRetrieveLevel == level


def test_a_match_that_lacks_a_key_names_nothing() -> None:
    with pytest.raises(InvalidQuery, match="'StudyInstanceUID' is missing in the match"):
        Retrieval.of(match_of(Query, Level.SERIES, SeriesInstanceUID="1.2.3"))


def test_a_match_of_a_worklist_is_nothing_to_retrieve() -> None:
    with pytest.raises(InvalidQuery, match="'match' is of a worklist"):
        Retrieval.of(Match(ModalityWorklistQuery, Dataset(), None))
