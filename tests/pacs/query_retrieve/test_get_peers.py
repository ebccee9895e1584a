"""C-GET from archives that we did not write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pydicom import dcmread

from gurney.pacs import (
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    ContextProposal,
    DicomEngine,
    InvalidQuery,
    OperationFailed,
    Query,
    QueryRetrieveScu,
    Retrieval,
    RetrieveChange,
)
from gurney.pacs.events import BeforeCGet, InstanceReceived
from tests.pacs.archives import Archive, filled

pytestmark = pytest.mark.peer

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with DicomEngine(), filled(request.param, tmp_path_factory.mktemp(request.param), {}) as archive:
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "got"
    folder.mkdir()
    return folder


@pytest.mark.seen("C-GET")
def test_a_study_arrives_as_files(scu: QueryRetrieveScu, archive: Archive, folder: Path) -> None:
    told: list[InstanceReceived] = []
    scu.events.received(told.append)
    study = archive.studies[2]
    with scu.get(archive.remote, Retrieval(study_instance_uid=study), folder, [CT]) as arrivals:
        received = list(arrivals)
        assert arrivals.progress is not None
        assert (arrivals.progress.status, arrivals.progress.completed) == (0, 4)
    assert {one.sop_instance_uid for one in received} == archive.instances[study]
    assert [event.received for event in told] == received
    assert sorted(folder.iterdir()) == sorted(one.path for one in received)
    for one in received:
        dataset = dcmread(one.path)
        assert dataset.SOPInstanceUID == one.sop_instance_uid
        assert dataset.file_meta.TransferSyntaxUID == one.transfer_syntax_uid
        assert dataset.pixel_array.shape == (128, 128)


@pytest.mark.seen("C-GET", "Role selection")
def test_queries_and_gets_share_an_association(scu: QueryRetrieveScu, archive: Archive, folder: Path) -> None:
    with scu.associate_to_get(archive.remote, [CT], model=PATIENT_ROOT) as association:
        assert association.roles[CT].scp
        received = list(association.get(Retrieval(patient_id="P0"), folder, model=PATIENT_ROOT))
        assert association.verify().is_success
    assert len(received) == 8


def test_a_class_without_a_context_does_not_arrive_and_the_peer_says_so(
    scu: QueryRetrieveScu, archive: Archive, folder: Path
) -> None:
    with scu.associate_to_get(archive.remote, [MR]) as association:
        study, *_ = association.find(Query(accession_number="A0"))
        uid = str(study.value.study_instance_uid)
        arrivals = association.get(Retrieval(study_instance_uid=uid), folder)
        with suppress(OperationFailed):  # Orthanc ends it at the first, dcmqrscp goes on and warns
            assert list(arrivals) == []
    assert arrivals.progress is not None
    assert arrivals.progress.status != 0
    assert arrivals.progress.failed
    assert list(folder.iterdir()) == []


def test_a_listener_has_instances_come_in_other_contexts(scu: QueryRetrieveScu, archive: Archive, folder: Path) -> None:
    proposed: list[set[tuple[str, str]]] = []

    @scu.events.before_c_get
    def in_implicit_vr(event: BeforeCGet) -> RetrieveChange:
        proposed.append({(one.sop_class_uid, one.transfer_syntax_uid) for one in event.contexts})
        return RetrieveChange(contexts=[ContextProposal(CT, IMPLICIT)])

    what = Retrieval(study_instance_uid=archive.studies[2])
    for arrivals in (scu.get(archive.remote, what, folder, [MR]), scu.get(archive.remote, what, folder)):
        received = list(arrivals)
        assert {one.sop_instance_uid for one in received} == archive.instances[archive.studies[2]]
        assert {one.transfer_syntax_uid for one in received} == {IMPLICIT}
    assert (MR, EXPLICIT) in proposed[0]
    # What the archive was asked for first: Orthanc tells of the SOP classes, dcmqrscp of the modality.
    assert (CT, EXPLICIT) in proposed[1]


def test_the_contexts_of_an_association_that_stands_are_shown_and_not_changed(
    scu: QueryRetrieveScu, archive: Archive, folder: Path
) -> None:
    shown: list[set[str]] = []

    @scu.events.before_c_get
    def change(event: BeforeCGet) -> RetrieveChange:
        shown.append({one.sop_class_uid for one in event.contexts})
        return RetrieveChange(contexts=[ContextProposal(MR, IMPLICIT)])

    with scu.associate_to_get(archive.remote, [CT]) as association:
        with pytest.raises(InvalidQuery, match="'contexts' are those of an association that stands"):
            list(association.get(Retrieval(study_instance_uid=archive.studies[2]), folder))
        assert association.verify().is_success
    assert shown == [{CT}]


def test_what_no_association_can_get_is_refused_before_one_is_made(scu: QueryRetrieveScu, archive: Archive) -> None:
    with pytest.raises(InvalidQuery, match="too many for one association"):
        scu.associate_to_get(archive.remote, [f"1.2.{number}" for number in range(62)])
    with pytest.raises(InvalidQuery, match="has no C-GET"):
        scu.associate_to_get(archive.remote, [CT], model=MODALITY_WORKLIST)
