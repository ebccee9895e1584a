"""An archive on dcmjs-dimse: what is found, moved, got and cancelled there, and what it does not take as it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from gurney.pacs import (
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    DicomEngine,
    Level,
    Listener,
    OperationFailed,
    PatientRootQuery,
    PatientStudyOnlyQuery,
    Query,
    QueryOptions,
    QueryRetrieveScu,
    Retrieval,
    SubOperations,
)
from gurney.pacs.events import AfterCGet, AfterCMove
from tests.pacs.archives import Archive, filled
from tests.pacs.conftest import CT
from tests.services.dcmtk import StoreScp
from tests.services.ports import free_port
from tests.services.presence import require

pytestmark = pytest.mark.peer

CANCELLED = 0xFE00
OURS, CANCELLER, WORKSTATION = "GURNEY_QR", "CANCELLER", "WORKSTATION"


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
    destinations = {WORKSTATION: workstation.port, OURS: own_port}
    with DicomEngine(), filled("dcmjs-dimse", tmp_path_factory.mktemp("dcmjs"), destinations) as archive:
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


@pytest.fixture
def canceller(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu(CANCELLER, fast_path=fast_path)


@pytest.mark.seen("C-STORE", "C-FIND, Study Root", at="dcmjs-dimse")
def test_studies_are_found_with_what_is_below_them(scu: QueryRetrieveScu, archive: Archive) -> None:
    study = archive.studies[1]
    with scu.associate_for(archive.remote) as association:
        assert {match.value.study_instance_uid for match in association.find(Query())} == {*archive.studies}
        (match,) = association.find(Query(study_instance_uid=study))
        assert (match.value.patient_id, match.value.patient_name) == ("P1", "Müller^Jürgen")
        series = list(association.find(Query(level=Level.SERIES, study_instance_uid=study)))
    assert {one.value.modality for one in series} == {"CT", "SR"}


@pytest.mark.seen("C-FIND, Patient Root", "C-FIND, Patient/Study Only", at="dcmjs-dimse")
def test_patients_are_found_in_their_models(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, PATIENT_ROOT, PATIENT_STUDY_ONLY) as association:
        for query in (PatientRootQuery(), PatientStudyOnlyQuery()):
            assert {match.value.patient_id for match in association.find(query)} == {"P0", "P1"}


@pytest.mark.seen("C-GET", "Role selection", at="dcmjs-dimse")
def test_a_study_is_got_in_the_role_that_was_asked_for(scu: QueryRetrieveScu, archive: Archive, tmp_path: Path) -> None:
    study = archive.studies[0]
    with scu.associate_to_get(archive.remote, [CT]) as association:
        assert association.roles[CT].scp
        received = list(association.get(Retrieval(study_instance_uid=study), tmp_path))
        assert association.verify().is_success
    assert {one.sop_instance_uid for one in received} == archive.instances[study]
    assert all(dcmread(one.path).pixel_array.shape == (128, 128) for one in received)


@pytest.mark.seen("C-MOVE to a third party", at="dcmjs-dimse")
def test_a_study_goes_to_a_third_party_that_it_knows(
    scu: QueryRetrieveScu, archive: Archive, workstation: StoreScp
) -> None:
    study = archive.studies[2]
    before = {*workstation.files()}
    *_, last = scu.move(archive.remote, Retrieval(study_instance_uid=study), WORKSTATION)
    assert (last.status, last.completed, last.failed) == (0, 4, 0)
    arrived = {dcmread(path).SOPInstanceUID for path in workstation.files() if path not in before}
    assert arrived == archive.instances[study]
    with pytest.raises(OperationFailed, match="move destination unknown to the peer"):
        list(scu.move(archive.remote, Retrieval(study_instance_uid=study), "NOBODY"))


@pytest.mark.seen("C-MOVE to us", at="dcmjs-dimse")
def test_a_study_is_moved_to_us(scu: QueryRetrieveScu, archive: Archive, tmp_path: Path, own_port: int) -> None:
    study = archive.studies[3]
    with Listener(OURS, tmp_path, port=own_port) as listener:
        received = list(scu.move_to_self(archive.remote, Retrieval(study_instance_uid=study), listener))
    assert {one.sop_instance_uid for one in received} == archive.instances[study]


@pytest.mark.seen("C-CANCEL of a C-FIND", at="dcmjs-dimse")
def test_a_search_is_cancelled(canceller: QueryRetrieveScu, archive: Archive) -> None:
    with canceller.associate_for(archive.remote) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        assert (list(search), search.status) == ([], CANCELLED)
        assert association.verify().is_success


@pytest.mark.seen("C-CANCEL of a C-GET", at="dcmjs-dimse")
def test_a_get_is_cancelled(canceller: QueryRetrieveScu, archive: Archive, tmp_path: Path) -> None:
    reports: list[SubOperations] = []
    with canceller.associate_to_get(archive.remote, [CT]) as association:

        @canceller.events.after_c_get
        def one_is_enough(event: AfterCGet) -> None:
            reports.append(event.progress)
            association.cancel()

        got = list(association.get(Retrieval(study_instance_uid=archive.studies[0]), tmp_path))
        assert association.verify().is_success
    assert (len(got), reports[-1].status, reports[-1].completed) == (1, CANCELLED, 1)


@pytest.mark.seen("C-CANCEL of a C-MOVE", at="dcmjs-dimse")
def test_a_move_is_cancelled(canceller: QueryRetrieveScu, archive: Archive, tmp_path: Path, own_port: int) -> None:
    reports: list[SubOperations] = []
    what = Retrieval(study_instance_uid=archive.studies[0])
    with Listener(OURS, tmp_path, port=own_port) as listener, canceller.associate_for(archive.remote) as association:

        @canceller.events.after_c_move
        def one_is_enough(event: AfterCMove) -> None:
            reports.append(event.progress)
            association.cancel()

        got = list(association.move_to_self(what, listener))
        assert association.verify().is_success
    assert (len(got), reports[-1].status, reports[-1].completed) == (1, CANCELLED, 1)


@pytest.mark.lacks("Relational queries", at="dcmjs-dimse")
def test_it_passes_over_what_is_asked_of_queries(archive: Archive) -> None:
    scu = QueryRetrieveScu("GURNEY", options=QueryOptions(relational=True))
    with scu.associate_for(archive.remote) as association:
        assert association.agreed(STUDY_ROOT.find) == QueryOptions()
        assert len(list(association.find(Query()))) == len(archive.studies)
