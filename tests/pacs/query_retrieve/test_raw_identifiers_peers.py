"""Identifiers that the caller makes, asked of archives that we did not write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import PATIENT_ROOT, DicomEngine, QueryRetrieveScu, Study
from gurney.pacs.testing import FakePacs
from tests.pacs.archives import Archive, filled
from tests.pacs.conftest import CT

pytestmark = pytest.mark.peer

TO = "WORKSTATION"


@pytest.fixture(scope="module")
def workstation() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def archive(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, workstation: FakePacs
) -> Iterator[Archive]:
    place = tmp_path_factory.mktemp(request.param)
    with DicomEngine(), filled(request.param, place, {TO: workstation.port}) as archive:
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


def study(uid: str) -> Dataset:
    made = Dataset()
    made.QueryRetrieveLevel, made.StudyInstanceUID = "STUDY", uid
    return made


@pytest.mark.seen("C-FIND, Study Root")
def test_a_study_is_found(scu: QueryRetrieveScu, archive: Archive) -> None:
    raw = study("")
    raw.AccessionNumber = "A2"
    with scu.find(archive.remote, raw) as search:
        (match,) = search
        assert search.is_complete
    assert isinstance(match.info, Study)
    assert match.dataset.StudyInstanceUID == archive.studies[2]


@pytest.mark.seen("C-FIND, Patient Root")
def test_it_asks_in_the_model_that_is_named(scu: QueryRetrieveScu, archive: Archive) -> None:
    raw = Dataset()
    raw.QueryRetrieveLevel, raw.PatientID = "PATIENT", "P1"
    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        (match,) = association.find(raw, model=PATIENT_ROOT)
    assert match.dataset.PatientID == "P1"


@pytest.mark.seen("C-MOVE to a third party")
def test_a_study_is_moved(scu: QueryRetrieveScu, archive: Archive, workstation: FakePacs) -> None:
    with scu.move(archive.remote, study(archive.studies[1]), TO) as moving:
        for _ in moving:
            pass
    assert moving.progress is not None
    assert moving.progress.completed == 4
    assert archive.instances[archive.studies[1]] <= {stored.sop_instance_uid for stored in workstation.stored}


@pytest.mark.seen("C-GET")
def test_a_study_is_got(scu: QueryRetrieveScu, archive: Archive, tmp_path: Path) -> None:
    with scu.get(archive.remote, study(archive.studies[3]), tmp_path, [CT]) as getting:
        assert {received.sop_instance_uid for received in getting} == archive.instances[archive.studies[3]]
