"""Queries against archives that we did not write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    DicomEngine,
    InformationModel,
    Instance,
    InvalidQuery,
    Level,
    Patient,
    PatientRootQuery,
    PatientStudyOnlyQuery,
    Query,
    Queryable,
    QueryOptions,
    QueryRetrieveScu,
    Range,
    Series,
    Study,
    key,
)
from gurney.pacs.events import AfterCFind, BeforeCFind, FindChange, MatchFound
from gurney.pacs.query.keys import Wanted
from tests.pacs.archives import STUDIES, Archive, filled

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with DicomEngine(), filled(request.param, tmp_path_factory.mktemp(request.param), {}) as archive:
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


def found(scu: QueryRetrieveScu, archive: Archive, query: Query) -> set[str]:
    return {str(match.value.study_instance_uid) for match in scu.find(archive.remote, query)}


@pytest.mark.seen("C-FIND, Study Root")
def test_studies_are_found_by_what_is_asked(scu: QueryRetrieveScu, archive: Archive) -> None:
    studies = archive.studies
    assert found(scu, archive, Query()) == set(studies)
    assert found(scu, archive, Query(patient_id="P1")) == {studies[1], studies[3]}
    assert found(scu, archive, Query(accession_number="A2")) == {studies[2]}
    assert found(scu, archive, Query(patient_name="Doe*")) == {studies[0], studies[2]}
    assert found(scu, archive, Query(study_date=Range("20240102", "20240103"))) == {studies[1], studies[2]}
    assert found(scu, archive, Query(study_date=Range(last="20240102"))) == {studies[0], studies[1]}
    assert found(scu, archive, Query(study_instance_uid=[studies[0], studies[3]])) == {studies[0], studies[3]}
    assert found(scu, archive, Query(patient_id="nobody")) == set()


def test_a_study_is_described(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.find(archive.remote, Query(study_instance_uid=archive.studies[1])) as search:
        (match,) = search
        assert search.is_complete
    assert match.level is Level.STUDY
    assert match.value.patient_name == "Müller^Jürgen"
    assert (match.value.study_date, match.value.accession_number) == ("20240102", "A1")
    assert match.dataset.StudyInstanceUID == archive.studies[1]
    assert search.status == 0


@pytest.mark.seen("C-ECHO", "C-FIND, Study Root")
def test_series_and_images_are_found_below_their_study(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote) as association:
        series = list(association.find(Query(level=Level.SERIES, study_instance_uid=archive.studies[0])))
        assert {match.value.modality for match in series} == {"CT", "SR"}
        images = Query(
            level=Level.IMAGE,
            study_instance_uid=archive.studies[0],
            series_instance_uid=series[0].value.series_instance_uid,
        )
        assert {match.value.instance_number for match in association.find(images)} == {"1", "2"}
        assert association.verify().is_success


@pytest.mark.seen("C-FIND, Patient Root")
def test_patients_are_found_in_their_model(scu: QueryRetrieveScu, archive: Archive) -> None:
    matches = list(scu.find(archive.remote, PatientRootQuery()))
    assert {match.value.patient_id for match in matches} == {"P0", "P1"}
    assert all(match.level is Level.PATIENT for match in matches)


def test_a_name_beyond_ascii_is_asked_for_in_utf8(scu: QueryRetrieveScu, archive: Archive) -> None:
    query = Query(patient_name="Müller*", patient_id="P1")
    assert query.identifier().SpecificCharacterSet == "ISO_IR 192"
    if archive.remote.ae_title == "ORTHANC":  # dcmqrscp compares bytes
        assert found(scu, archive, query) == {archive.studies[1], archive.studies[3]}


def test_a_limit_ends_the_search_and_the_association_goes_on(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote) as association:
        with association.find(Query(), limit=2) as search:
            assert len(list(search)) == 2
        assert not search.is_complete
        assert association.is_usable
        assert len(list(association.find(Query()))) == STUDIES


def test_a_listener_may_ask_another_model_and_end_the_search(scu: QueryRetrieveScu, archive: Archive) -> None:
    ended: list[AfterCFind] = []
    scu.events.after_c_find(ended.append)

    @scu.events.before_c_find
    def of_one_patient(event: BeforeCFind) -> FindChange:
        identifier = event.identifier
        identifier.PatientID = "P0"
        return FindChange(sop_class_uid=PATIENT_ROOT.find, identifier=identifier)

    @scu.events.match_study
    def one_is_enough(event: MatchFound) -> MatchFound:
        return event.enough()

    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        (match,) = association.find(Query())
    assert match.value.patient_id == "P0"
    assert [event.matches for event in ended] == [1]


def test_answers_to_another_question_are_left_out_and_counted(scu: QueryRetrieveScu, archive: Archive) -> None:
    @scu.events.before_c_find
    def ask_for_all(event: BeforeCFind) -> FindChange:
        identifier = event.identifier
        identifier.PatientID = ""
        return FindChange(identifier=identifier)

    with scu.find(archive.remote, Query(patient_id="P0")) as search:
        assert len(list(search)) == 2
    assert search.filtered == 2


def test_users_write_their_own_queries(scu: QueryRetrieveScu, archive: Archive) -> None:
    @dataclass(frozen=True, kw_only=True)
    class Birthday(Queryable):
        model: ClassVar[InformationModel] = PATIENT_ROOT
        level: Level = Level.PATIENT
        patient_id: Wanted = key("PatientID")
        birth_date: Wanted = key("PatientBirthDate")

    matches = [match.value for match in scu.find(archive.remote, Birthday(patient_id="P1"))]
    assert matches == [Birthday(patient_id="P1", birth_date=matches[0].birth_date)]


def test_another_thread_may_cancel(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote) as association:
        search = association.find(Query())
        next(search)
        canceller = threading.Thread(target=association.cancel)
        canceller.start()
        canceller.join()
        rest = list(search)
        assert len(rest) < STUDIES
        assert search.status in {0x0000, 0xFE00, None}


@pytest.mark.lacks("Relational queries")
def test_relational_queries_are_proposed_and_the_answer_is_told(archive: Archive) -> None:
    scu = QueryRetrieveScu("GURNEY", options=QueryOptions(relational=True, combined=True))
    with scu.associate_for(archive.remote) as association:
        # Neither of the two agrees to anything: Orthanc answers with zeros, dcmqrscp not at all.
        assert association.agreed(STUDY_ROOT.find) == QueryOptions()
        assert not association.is_relational(STUDY_ROOT.find)
        assert len(list(association.find(Query()))) == STUDIES


def test_matches_are_typed_at_each_level(scu: QueryRetrieveScu, archive: Archive) -> None:
    study = archive.studies[0]
    kinds: dict[Level, type] = {Level.PATIENT: Patient, Level.STUDY: Study, Level.SERIES: Series, Level.IMAGE: Instance}
    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        series, *_ = association.find(PatientRootQuery(level=Level.SERIES, patient_id="P0", study_instance_uid=study))
        for level, kind in kinds.items():
            below = level in {Level.SERIES, Level.IMAGE}
            query = PatientRootQuery(
                level=level,
                patient_id="P0",
                study_instance_uid=study if below else "",
                series_instance_uid=series.value.series_instance_uid if level is Level.IMAGE else "",
            )
            matches = list(association.find(query))
            assert matches
            assert all(type(match.info) is kind for match in matches)
    assert isinstance(series.info, Series)
    assert series.info.modality in {"CT", "SR"}


def test_a_moment_is_found_as_one_though_the_peer_matches_date_and_time_apart(
    scu: QueryRetrieveScu, archive: Archive
) -> None:
    # All studies have the time of one file, 15:16:34 or so, on four days.
    (day,) = (match.info for match in scu.find(archive.remote, Query(study_instance_uid=archive.studies[1])))
    assert isinstance(day, Study)
    assert day.study_date is not None
    assert day.study_time is not None
    moment = datetime.combine(day.study_date, day.study_time)
    assert found(scu, archive, Query(study_moment=Range(moment, moment.replace(hour=23)))) == {archive.studies[1]}
    late = moment.replace(hour=23)
    with scu.find(archive.remote, Query(study_moment=Range(late, late.replace(day=3, hour=0)))) as search:
        assert list(search) == []
    assert search.filtered == 2


def test_a_template_asks_for_more(scu: QueryRetrieveScu, archive: Archive) -> None:
    template = Dataset()
    template.StudyID, template.InstitutionName = "2", ""
    (match,) = scu.find(archive.remote, Query(), template=template)
    assert match.value.study_instance_uid == archive.studies[2]


@pytest.mark.parametrize("wanted", ["P?", "?0", "*", ""])
def test_wildcards_match_as_the_standard_has_it(scu: QueryRetrieveScu, archive: Archive, wanted: str) -> None:
    expected = {study for number, study in enumerate(archive.studies) if wanted != "?0" or number % 2 == 0}
    assert found(scu, archive, Query(patient_id=wanted)) == expected


def test_a_character_set_of_the_peers_own_is_asked_in(archive: Archive) -> None:
    scu = QueryRetrieveScu("GURNEY", character_set="ISO_IR 100")
    assert Query(patient_name="Müller*").identifier(character_set="ISO_IR 100").SpecificCharacterSet == "ISO_IR 100"
    # dcmqrscp compares bytes: it finds what is asked in the character set of its files, and nothing in UTF-8.
    assert found(scu, archive, Query(patient_name="Müller*")) == {archive.studies[1], archive.studies[3]}


@pytest.mark.seen("C-FIND, Patient/Study Only", at="dcmqrscp")
@pytest.mark.lacks("C-FIND, Patient/Study Only", at="orthanc")
def test_patient_study_only_is_asked_of_who_has_it(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, PATIENT_STUDY_ONLY, PATIENT_ROOT) as association:
        is_offered = association.contexts.of_class(PATIENT_STUDY_ONLY.find) is not None
        assert is_offered == (archive.remote.ae_title != "ORTHANC")  # it has never had it
        if not is_offered:
            return
        matches = list(association.find(PatientStudyOnlyQuery()))
    assert {match.value.patient_id for match in matches} == {"P0", "P1"}


def test_a_query_that_cant_be_asked_is_refused_before_anything_is_sent(scu: QueryRetrieveScu, archive: Archive) -> None:
    nowhere = replace(archive.remote, port=1)
    with pytest.raises(InvalidQuery, match="one CS at a time"):
        scu.find(nowhere, Query(modalities=["CT", "MR"]))
    with pytest.raises(InvalidQuery, match="no UID"):
        scu.find(nowhere, Query(study_instance_uid="../../etc/passwd"))
