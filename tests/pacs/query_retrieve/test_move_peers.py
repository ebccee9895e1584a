"""C-MOVE to a third party, from archives that we did not write."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pynetdicom import AE, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelMove  # type: ignore[attr-defined]

from gurney.pacs import (
    PATIENT_ROOT,
    AssociationLost,
    Level,
    Listener,
    OperationFailed,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreScu,
    SubOperations,
)
from gurney.pacs.events import AfterCMove
from gurney.pacs.testing import FakePacs
from tests.pacs.archives import Archive, filled

pytestmark = pytest.mark.peer

TO = "WORKSTATION"


@pytest.fixture
def workstation() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.fixture(params=["orthanc", "dcmqrscp"])
def archive(request: pytest.FixtureRequest, tmp_path: Path, workstation: FakePacs) -> Iterator[Archive]:
    with filled(request.param, tmp_path, {TO: workstation.port}) as archive:
        yield archive


@pytest.fixture
def scu() -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY")


def arrived(workstation: FakePacs) -> set[str]:
    return {stored.sop_instance_uid for stored in workstation.stored}


@pytest.mark.seen("C-MOVE to a third party")
def test_a_study_is_sent_to_whom_we_say(scu: QueryRetrieveScu, archive: Archive, workstation: FakePacs) -> None:
    told: list[AfterCMove] = []
    scu.events.after_c_move(told.append)
    study = archive.studies[1]
    reports = list(scu.move(archive.remote, Retrieval(study_instance_uid=study), TO))
    assert arrived(workstation) == archive.instances[study]
    assert [report.is_final for report in reports] == [False] * (len(reports) - 1) + [True]
    last = reports[-1]
    assert (last.status, last.completed, last.failed) == (0, 4, 0)
    assert [event.progress for event in told] == reports


def test_a_series_and_single_instances_are_as_well(
    scu: QueryRetrieveScu, archive: Archive, workstation: FakePacs
) -> None:
    study = archive.studies[0]
    with scu.associate_for(archive.remote) as association:
        series, *_ = association.find(Query(level=Level.SERIES, study_instance_uid=study, modality="CT"))
        uid = str(series.value.series_instance_uid)
        images = Query(level=Level.IMAGE, study_instance_uid=study, series_instance_uid=uid)
        uids = [str(image.value.sop_instance_uid) for image in association.find(images)]
        one = Retrieval(study_instance_uid=study, series_instance_uid=uid, sop_instance_uid=uids[0])
        list(association.move(one, TO))
        assert arrived(workstation) == {uids[0]}
        list(association.move(Retrieval(study_instance_uid=study, series_instance_uid=uid), TO))
    assert arrived(workstation) == set(uids)


def test_a_patient_is_moved_in_the_patient_root_model(
    scu: QueryRetrieveScu, archive: Archive, workstation: FakePacs
) -> None:
    list(scu.move(archive.remote, Retrieval(patient_id="P1"), TO, model=PATIENT_ROOT))
    assert arrived(workstation) == archive.instances[archive.studies[1]] | archive.instances[archive.studies[3]]


def test_an_unknown_destination_is_the_peers_refusal(scu: QueryRetrieveScu, archive: Archive) -> None:
    reports: list[SubOperations] = []
    with pytest.raises(OperationFailed) as failed:
        reports.extend(scu.move(archive.remote, Retrieval(study_instance_uid=archive.studies[0]), "NOBODY"))
    assert failed.value.status in {0xA801, 0xC000}


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (Retrieval(), "names nothing to retrieve"),
        (Retrieval(patient_id="P1"), "retrieves none"),
        (Retrieval(series_instance_uid="1.2"), "must be named as well at level SERIES"),
        (Retrieval(study_instance_uid=["1.2", "1.3"], series_instance_uid="1.4"), "only one of them"),
    ],
)
def test_what_a_peer_would_refuse_is_not_asked(
    scu: QueryRetrieveScu, workstation: FakePacs, what: Retrieval, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        scu.move(workstation.remote(), what, TO)


@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
@pytest.mark.seen("C-MOVE to us")
def test_what_is_moved_to_us_is_yielded_as_it_arrives(scu: QueryRetrieveScu, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    with Listener("GURNEY_QR", folder) as listener, filled(kind, tmp_path, {"GURNEY_QR": listener.port}) as archive:
        first, second = archive.studies[:2]
        with scu.associate_for(archive.remote) as association:
            one = list(association.move_to_self(Retrieval(study_instance_uid=first), listener))
            two = list(scu.move_to_self(archive.remote, Retrieval(study_instance_uid=second), listener))
    assert {received.sop_instance_uid for received in one} == archive.instances[first]
    assert {received.sop_instance_uid for received in two} == archive.instances[second]
    assert sorted(folder.iterdir()) == sorted(received.path for received in [*one, *two])


def test_what_arrived_before_an_archive_is_gone_is_yielded_all_the_same(scu: QueryRetrieveScu, tmp_path: Path) -> None:
    path = str(get_testdata_file("CT_small.dcm", download=False))
    uid = str(dcmread(path, stop_before_pixels=True).StudyInstanceUID)
    archive = AE("ARCHIVE")
    archive.add_supported_context(StudyRootQueryRetrieveInformationModelMove)
    with Listener("GURNEY_QR", tmp_path) as listener:
        here = RemoteAE("GURNEY_QR", "127.0.0.1", listener.port)

        def send_one_and_give_up(event: evt.Event) -> Iterator[tuple[None, None]]:
            assert StoreScu("ARCHIVE").store(here, path).is_stored
            event.assoc.dul.socket.socket.shutdown(socket.SHUT_RDWR)
            yield None, None

        server = archive.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_MOVE, send_one_and_give_up)]
        )
        try:
            remote = RemoteAE("ARCHIVE", "127.0.0.1", server.server_address[1])
            arrivals = scu.move_to_self(remote, Retrieval(study_instance_uid=uid), listener)
            assert next(arrivals).path.parent == tmp_path
            with pytest.raises(AssociationLost):
                next(arrivals)
        finally:
            server.shutdown()
