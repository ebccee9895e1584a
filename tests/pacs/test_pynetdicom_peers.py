"""Everything once against pynetdicom's own service class providers: what both ends read alike, and what it lacks."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gurney.dicom.status import Category
from gurney.pacs import (
    GENERAL_PURPOSE_WORKLIST,
    LOSSLESS,
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STORAGE_COMMITMENT_CONTEXTS,
    STUDY_ROOT,
    UPS_PULL,
    AssociationFailure,
    AvailableInstance,
    CommitmentWait,
    DicomEngine,
    FilmBox,
    FilmSession,
    InstanceAvailability,
    InstanceAvailabilityScu,
    Listener,
    MediaCreationManagementScu,
    MediaCreationRequest,
    ModalityWorklistQuery,
    PatientRootQuery,
    PatientStudyOnlyQuery,
    PerformedProcedureStep,
    PerformedProcedureStepScu,
    PerformedSeries,
    PrintManagementScu,
    Query,
    QueryOptions,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    ScheduledStep,
    Scu,
    SopReference,
    StoreScu,
    Timeouts,
    Tls,
    TlsIdentity,
    UserIdentity,
    UserIdentityKind,
)
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.events import AfterCGet, AfterCMove, AfterSecureLinkReady
from tests.pacs.archives import Archive, fill
from tests.pacs.conftest import CT, CT_ONLY
from tests.pacs.printing.test_image import RGB, image
from tests.pacs.query_retrieve.test_worklist_peers import StepQuery, TaskQuery, scheduled
from tests.services.certificates import Authority, Secured
from tests.services.ports import free_port
from tests.services.pynetdicom_scp import PynetdicomScp

OURS, CANCELLER = "GURNEY_QR", "CANCELLER"
CANCELLED = 0xFE00
TIMEOUTS = Timeouts(connect=5, acse=10, store=20, find=20, move=20)
MODELS = (STUDY_ROOT, PATIENT_ROOT, PATIENT_STUDY_ONLY, MODALITY_WORKLIST, UPS_PULL, GENERAL_PURPOSE_WORKLIST)
OFFERED = [uid for model in MODELS for uid in (model.find, model.move, model.get) if uid]
REPORTED_TO = [
    "1.2.840.10008.1.20.1",
    "1.2.840.10008.3.1.2.3.3",
    "1.2.840.10008.5.1.4.33",
    "1.2.840.10008.5.1.1.33",
    "1.2.840.10008.5.1.1.9",
    "1.2.840.10008.5.1.1.18",
]


def seen(*operations: str) -> pytest.MarkDecorator:
    return pytest.mark.seen(*operations, at="pynetdicom")


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def peer(own_port: int) -> Iterator[PynetdicomScp]:
    step = Dataset()
    step.ProcedureStepState, step.SOPInstanceUID = "SCHEDULED", "1.2.3"
    worklist = {MODALITY_WORKLIST.find: scheduled(1, "Doe^Jane", "CT", "20240101"), UPS_PULL.find: step}
    with (
        DicomEngine(),
        PynetdicomScp(*OFFERED, *REPORTED_TO, move_destinations={OURS: own_port}, worklist=worklist) as peer,
    ):
        yield peer


@pytest.fixture(scope="module")
def archive(peer: PynetdicomScp, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    with DicomEngine():
        return fill(at(peer), tmp_path_factory.mktemp("files"))


def at(peer: PynetdicomScp, tls: Tls | None = None) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port, TIMEOUTS, tls=tls)


@seen("C-STORE", "C-STORE, transcoded")
def test_instances_are_stored_as_they_are_and_in_what_it_takes() -> None:
    path = str(get_testdata_file("CT_small.dcm", download=False))
    source = dcmread(path)
    for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2"):
        with PynetdicomScp(storage_syntaxes=(syntax,)) as peer:
            result = StoreScu(compression=LOSSLESS).store(at(peer), path)
            assert (result.is_stored, result.transfer_syntax_uid) == (True, syntax)
            (arrived,) = peer.held.values()
        assert arrived.file_meta.TransferSyntaxUID == syntax
        assert arrived.PixelData == source.PixelData


@seen("C-FIND, Study Root", "C-FIND, Patient Root", "C-FIND, Patient/Study Only")
def test_each_model_is_asked(archive: Archive) -> None:
    with QueryRetrieveScu().associate_for(archive.remote, *MODELS[:3]) as association:
        assert {one.value.study_instance_uid for one in association.find(Query())} == {*archive.studies}
        for query in (PatientRootQuery(), PatientStudyOnlyQuery()):
            assert {one.value.patient_id for one in association.find(query)} == {"P0", "P1"}


@seen("C-FIND, Modality Worklist", "C-FIND, UPS Pull")
def test_worklists_are_asked(peer: PynetdicomScp) -> None:
    scu = QueryRetrieveScu()
    (entry,) = scu.find(at(peer), ModalityWorklistQuery(modality="CT"))
    assert (entry.value.accession_number, entry.value.station_ae_title) == ("A1", "CT1")
    (step,) = scu.find(at(peer), StepQuery(state="SCHEDULED"))
    assert step.value.sop_instance_uid == "1.2.3"


@pytest.mark.lacks("C-FIND, General Purpose Worklist", at="pynetdicom")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_it_aborts_over_a_service_that_it_does_not_know(peer: PynetdicomScp) -> None:
    with pytest.raises(AssociationFailure):
        list(QueryRetrieveScu().find(at(peer), TaskQuery()))


@seen("C-GET", "Role selection")
def test_a_study_is_got(archive: Archive, tmp_path: Path) -> None:
    with QueryRetrieveScu().associate_to_get(archive.remote, [CT]) as association:
        assert association.roles[CT].scp
        received = list(association.get(Retrieval(study_instance_uid=archive.studies[0]), tmp_path))
    assert {one.sop_instance_uid for one in received} == archive.instances[archive.studies[0]]


@seen("C-MOVE to a third party", "C-MOVE to us")
def test_a_study_is_moved(archive: Archive, tmp_path: Path, own_port: int) -> None:
    scu, what = QueryRetrieveScu(), Retrieval(study_instance_uid=archive.studies[0])
    with Listener(OURS, tmp_path, port=own_port) as listener:
        received = list(scu.move_to_self(archive.remote, what, listener))
        *_, last = scu.move(archive.remote, what, OURS)
    assert {one.sop_instance_uid for one in received} == archive.instances[archive.studies[0]]
    assert (last.status, last.completed) == (0, 4)


@seen("C-CANCEL of a C-FIND", "C-CANCEL of a C-GET", "C-CANCEL of a C-MOVE")
def test_what_runs_is_cancelled(archive: Archive, tmp_path: Path, own_port: int, fast_path: bool) -> None:
    scu, what = QueryRetrieveScu(CANCELLER, fast_path=fast_path), Retrieval(study_instance_uid=archive.studies[0])
    statuses: list[int | None] = []

    def one_is_enough(event: AfterCGet | AfterCMove) -> None:
        statuses.append(event.progress.status)
        association.cancel()

    scu.events.after_c_get(one_is_enough)
    scu.events.after_c_move(one_is_enough)
    with scu.associate_to_get(archive.remote, [CT]) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        assert (list(search), search.status) == ([], CANCELLED)
        assert len(list(association.get(what, tmp_path))) == 1
    with Listener(OURS, tmp_path, port=own_port) as listener, scu.associate_for(archive.remote) as association:
        assert len(list(association.move_to_self(what, listener))) == 1
    assert statuses.count(CANCELLED) == 2


@seen("User identity", "Relational queries")
def test_who_asks_and_how_is_agreed_upon(peer: PynetdicomScp) -> None:
    identity = UserIdentity(UserIdentityKind.KERBEROS, b"ticket", wants_response=True)
    with Scu(user_identity=identity).associate(at(peer), [VERIFICATION]) as association:
        assert association.identity_response == b"welcome"
    with QueryRetrieveScu(relational=True).associate_for(at(peer)) as association:
        assert association.is_relational(STUDY_ROOT.find)
    relational = replace(at(peer), relational=True)
    with QueryRetrieveScu(options=QueryOptions(combined=True)).associate_for(relational) as association:
        assert association.is_relational(STUDY_ROOT.find)
    with QueryRetrieveScu().associate_for(at(peer)) as association:
        assert not association.is_relational(STUDY_ROOT.find)


@seen("Storage commitment, same association", "Storage commitment, new association")
def test_it_commits_itself_here_and_there(peer: PynetdicomScp) -> None:
    scu, asked = StoreScu(OURS), [SopReference(CT, "1.2.3.4")]
    with scu.associate(at(peer), [*CT_ONLY, *STORAGE_COMMITMENT_CONTEXTS]) as association:
        assert scu.commit(association, asked, wait=CommitmentWait(20, 0)).is_complete
    with Listener(OURS) as listener:
        peer.answer_at = listener.port
        assert scu.commit(at(peer), asked, wait=CommitmentWait(0, 20), listener=listener).is_complete
    peer.answer_at = 0


@seen("Performed procedure step", "Instance availability", "Media creation")
def test_it_is_told_what_was_done(peer: PynetdicomScp) -> None:
    series = PerformedSeries("1.2.3.4", "Head", images=[(CT, "1.2.3.4.1")])
    begun = PerformedProcedureStepScu("CT1").begin(
        at(peer), PerformedProcedureStep("S1", "CT1", "CT", [ScheduledStep("1.2.3")])
    )
    begun.complete([series])
    assert peer.instances[begun.sop_instance_uid].PerformedProcedureStepStatus == "COMPLETED"
    notification = InstanceAvailability("1.2.3", {"1.2.3.4": [AvailableInstance(CT, "1.2.3.4.1", "ARCHIVE")]})
    assert InstanceAvailabilityScu().notify(at(peer), notification).status == 0
    creation = MediaCreationManagementScu().create(at(peer), MediaCreationRequest([(CT, "1.2.3.4.1")]))
    creation.initiate()
    assert creation.state().is_complete


@pytest.mark.parametrize(
    "color",
    [
        pytest.param(False, marks=seen("Print, grayscale"), id="grayscale"),
        pytest.param(True, marks=seen("Print, color"), id="color"),
    ],
)
def test_a_film_is_printed(peer: PynetdicomScp, color: bool) -> None:
    asked = len(peer.asked)
    with PrintManagementScu().session(at(peer), FilmSession(), color=color) as session:
        film = session.add_film(FilmBox("STANDARD\\1,1"))
        film.set_image(1, image(**RGB) if color else image())
        assert film.print().category is Category.SUCCESS
    assert peer.asked[asked:] == ["N-CREATE", "N-CREATE", "N-SET", "N-ACTION", "N-DELETE"]


@pytest.mark.parametrize(
    "highest",
    [
        pytest.param(ssl.TLSVersion.TLSv1_2, marks=seen("TLS 1.2"), id="1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_3, marks=seen("TLS 1.3", "Mutual TLS"), id="1.3"),
    ],
)
def test_each_side_knows_the_other(tmp_path: Path, highest: ssl.TLSVersion) -> None:
    authority = Authority(tmp_path)
    server, client = authority.issue("server"), authority.issue("client")
    tls = Tls(ca=authority.file, identity=TlsIdentity(client.certificate, client.key))
    links: list[AfterSecureLinkReady] = []
    scu = Scu()
    scu.events.after_secure_link_ready(links.append)
    with PynetdicomScp(secured=Secured(server, authority.file), max_tls=highest) as peer:
        assert scu.verify(at(peer, tls)).is_success
    assert [event.link.protocol for event in links if event.link] == [highest.name.replace("_", ".")]
