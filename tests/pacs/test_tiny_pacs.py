"""tiny-pacs: an archive on pynetdicom2, and what it does that one would not expect.

Version 0.4.1 says the first match of a series or an instance as often as there are others, closes the connection in
place of answering A801, and fills AE titles up with NULs where the standard has spaces: our listener takes those.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from gurney.pacs import (
    PATIENT_ROOT,
    STUDY_ROOT,
    AssociationFailure,
    DicomEngine,
    Listener,
    PatientRootQuery,
    Query,
    QueryRetrieveScu,
    Retrieval,
    Verdict,
)
from gurney.pacs.retrieve.inventory import InventorySource
from tests.pacs.archives import Archive, filled
from tests.services.dcmtk import StoreScp
from tests.services.ports import free_port
from tests.services.presence import require

pytestmark = [
    pytest.mark.peer,
    # pydicom's words on what it calls a character set.
    pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR CS:UserWarning"),
]

REPEATS = "says the first series or instance as often as there are others"


@pytest.fixture(scope="module")
def workstation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    require("storescp")
    with StoreScp(tmp_path_factory.mktemp("workstation")) as workstation:
        yield workstation


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, workstation: StoreScp, own_port: int) -> Iterator[Archive]:
    destinations = {"WORKSTATION": workstation.port, "GURNEY_QR": own_port}
    with DicomEngine(), filled("tiny-pacs", tmp_path_factory.mktemp("tiny-pacs"), destinations) as archive:
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", relational=True, fast_path=fast_path)


@pytest.mark.seen("C-ECHO", "Relational queries", at="tiny-pacs")
def test_it_answers_and_agrees_to_relational_queries(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, STUDY_ROOT, PATIENT_ROOT) as association:
        assert association.verify().is_success
        assert association.agreed(STUDY_ROOT.find).relational
        assert association.is_relational(PATIENT_ROOT.find)


@pytest.mark.seen("C-FIND, Study Root", "C-FIND, Patient Root", at="tiny-pacs")
def test_studies_and_patients_are_found_by_what_is_asked(scu: QueryRetrieveScu, archive: Archive) -> None:
    query = Query(study_instance_uid=archive.studies[1])
    (match,) = scu.find(archive.remote, query)
    assert (match.value.patient_id, match.value.patient_name) == ("P1", "Müller^Jürgen")
    (patient,) = scu.find(archive.remote, PatientRootQuery(patient_id="P0"))
    assert patient.value.patient_name == "Doe^Jane"
    assert list(scu.find(archive.remote, Query(patient_id="nobody"))) == []


@pytest.mark.seen("C-STORE", "C-GET", "Role selection", at="tiny-pacs")
@pytest.mark.seen("C-FIND, Study Root", at="tiny-pacs", remark=REPEATS)
def test_an_inventory_that_repeats_itself_proves_nothing(
    scu: QueryRetrieveScu, archive: Archive, tmp_path: Path
) -> None:
    study = archive.studies[0]
    result = scu.retrieve(archive.remote, Retrieval(study_instance_uid=study), tmp_path)
    assert result.inventory.source in {InventorySource.SOP_CLASSES, InventorySource.MODALITIES}
    assert result.reconciliation.arrived == archive.instances[study]
    assert result.verdict is Verdict.UNPROVEN
    assert {path.stem for path in tmp_path.iterdir()} == archive.instances[study]


@pytest.mark.seen("C-MOVE to a third party", at="tiny-pacs")
def test_a_study_goes_to_a_third_party(scu: QueryRetrieveScu, archive: Archive, workstation: StoreScp) -> None:
    study = archive.studies[3]
    *_, last = scu.move(archive.remote, Retrieval(study_instance_uid=study), "WORKSTATION")
    assert (last.status, last.completed, last.failed) == (0, 4, 0)
    uids = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in workstation.files()}
    assert uids == archive.instances[study]


@pytest.mark.seen("C-MOVE to us", at="tiny-pacs")
def test_a_study_comes_to_us(scu: QueryRetrieveScu, archive: Archive, own_port: int, tmp_path: Path) -> None:
    study = archive.studies[2]
    with Listener("GURNEY_QR", tmp_path, port=own_port, calling_ae_titles=["TINY_PACS"]) as listener:
        got = list(scu.move_to_self(archive.remote, Retrieval(study_instance_uid=study), listener))
    assert {received.sop_instance_uid for received in got} == archive.instances[study]
    assert {path.stem for path in tmp_path.iterdir()} == archive.instances[study]


@pytest.mark.seen("C-MOVE to a third party", at="tiny-pacs", remark="closes over an unknown destination")
def test_a_destination_that_it_does_not_know_ends_the_association(scu: QueryRetrieveScu, archive: Archive) -> None:
    with pytest.raises(AssociationFailure):
        list(scu.move(archive.remote, Retrieval(study_instance_uid=archive.studies[0]), "NOBODY"))


def test_another_thread_cancels_a_search(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        search = association.find(PatientRootQuery())
        next(search)
        canceller = threading.Thread(target=association.cancel)
        canceller.start()
        canceller.join()
        assert len(list(search)) <= 1
