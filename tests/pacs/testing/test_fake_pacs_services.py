"""What the fake PACS answers besides C-STORE is held to DCMTK's SCUs, and to pynetdicom's where DCMTK has none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    BasicFilmSession,
    ModalityPerformedProcedureStep,
    StorageCommitmentPushModel,
)

from gurney.pacs.testing import Commit, FakePacs, Find, Operation, Respond, Retrieve, Where
from tests.services import require, wait_until
from tests.services.presence import program

pytestmark = pytest.mark.peer

CT, MR = (str(get_testdata_file(name, download=False)) for name in ("CT_small.dcm", "MR_small.dcm"))
JPEG = str(get_testdata_file("SC_rgb_jpeg_dcmtk.dcm", download=False))


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=[CT, MR, JPEG]) as pacs:
        yield pacs


def scu(name: str, pacs: FakePacs, *arguments: str, code: int = 0) -> str:
    """Run one of DCMTK's and return what it says."""
    require("dcmqrscp")
    command = [program(name), "-v", "-aet", "FINDER", "-aec", pacs.ae_title, "127.0.0.1", str(pacs.port), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert ran.returncode == code, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def digests(folder: Path) -> set[bytes]:
    return {dcmread(path).PixelData for path in folder.iterdir()}


# --- C-FIND -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "keys", "matches"),
    [
        ("PATIENT", ["PatientID"], 3),
        ("STUDY", ["PatientID=1CT1"], 1),
        ("STUDY", ["PatientID=[14]*"], 0),
        ("STUDY", ["PatientID=?CT*"], 1),
        ("STUDY", ["PatientName=COMPRESSEDSAMPLES^ct?"], 1),
        ("STUDY", ["StudyDate=20040101-20041231"], 2),
        ("STUDY", ["ModalitiesInStudy=MR", "NumberOfStudyRelatedInstances"], 1),
        ("SERIES", ["Modality=CT"], 1),
        ("IMAGE", ["SOPClassUID=1.2.840.10008.5.1.4.1.1.4"], 1),
        ("IMAGE", ["PatientID=nobody"], 0),
    ],
)
def test_findscu_gets_what_matches(pacs: FakePacs, level: str, keys: list[str], matches: int) -> None:
    options = [option for key in [f"QueryRetrieveLevel={level}", *keys] for option in ("-k", key)]
    said = scu("findscu", pacs, "-P", *options)
    assert said.count("(Pending)") == matches
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]
    assert [request.dataset.QueryRetrieveLevel for request in pacs.requests] == [level]


def test_a_worklist_is_matched_through_its_sequence(pacs: FakePacs) -> None:
    for modality in ("CT", "MR"):
        step, entry = Dataset(), Dataset()
        step.Modality, step.ScheduledStationAETitle = modality, "STATION"
        entry.PatientName, entry.ScheduledProcedureStepSequence = f"{modality}^Jane", Sequence([step])
        pacs.hold(entry)
    step_key = "ScheduledProcedureStepSequence[0]"
    said = scu("findscu", pacs, "-W", "-k", "PatientName", "-k", f"{step_key}.Modality=MR")
    assert said.count("(Pending)") == 1
    assert "MR^Jane" in said


def test_a_lie_reaches_the_scu_as_it_is(pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Find(say={"StudyInstanceUID": "../../etc"}, heedless=True, repeat=2))
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=nobody", "-k", "StudyInstanceUID"]
    said = scu("findscu", pacs, "-S", *keys)
    assert said.count("../../etc") == said.count("(Pending)") == 6
    assert scu("findscu", pacs, "-S", *keys).count("(Pending)") == 0


# --- C-GET and C-MOVE -------------------------------------------------------------------------------------------------


def test_getscu_gets_an_image_over_its_association(pacs: FakePacs, tmp_path: Path) -> None:
    study = dcmread(CT).StudyInstanceUID
    scu("getscu", pacs, "-S", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}")
    assert digests(tmp_path) == {dcmread(CT).PixelData}


def test_movescu_gets_what_it_asks_for_at_its_own_port(pacs: FakePacs) -> None:
    """The destination is another fake: what arrives has the bytes that are held, in their own transfer syntax."""
    with FakePacs(ae_title="ELSEWHERE") as destination:
        pacs.know("ELSEWHERE", destination.port)
        study = dcmread(JPEG).StudyInstanceUID
        keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}"]
        said = scu("movescu", pacs, "-S", "-aem", "ELSEWHERE", *keys)
        destination.wait_until_quiet()
    assert "Received Final Move Response (Success)" in said
    (stored,) = destination.stored
    assert (stored.sop_instance_uid, stored.transfer_syntax_uid) == (
        dcmread(JPEG).SOPInstanceUID,
        "1.2.840.10008.1.2.4.50",
    )
    destination.wait_until_quiet()
    assert destination.endings == ["released"]


def test_a_destination_that_is_unknown_or_away_is_said_so(pacs: FakePacs) -> None:
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={dcmread(CT).StudyInstanceUID}"]
    assert "MoveDestinationUnknown" in scu("movescu", pacs, "-S", "-aem", "NOBODY", *keys, code=69)
    with FakePacs() as away:
        pacs.know("AWAY", away.port)
    assert "OutOfResourcesSubOperations" in scu("movescu", pacs, "-S", "-aem", "AWAY", *keys, code=69)


def test_the_counts_are_true_until_they_are_lies(pacs: FakePacs) -> None:
    uids = [str(dcmread(name).SOPInstanceUID) for name in (CT, MR)]
    keys = ["-d", "-k", "QueryRetrieveLevel=IMAGE", "-k", "SOPInstanceUID=" + "\\".join(uids)]
    with FakePacs(ae_title="ELSEWHERE") as destination:
        pacs.know("ELSEWHERE", destination.port)
        pacs.on_request(Operation.C_MOVE, Retrieve(fail=uids[:1]), Retrieve(omit=uids, final=Respond()))
        said = scu("movescu", pacs, "-P", "-aem", "ELSEWHERE", *keys, code=68)
        assert destination.stored_uids() == uids[1:]
        assert "Failed Suboperations          : 1" in said
        said = scu("movescu", pacs, "-P", "-aem", "ELSEWHERE", *keys)
        assert destination.stored_uids() == uids[1:]
        assert "Completed Suboperations       : 2" in said


# --- Normalized services ----------------------------------------------------------------------------------------------


def test_normalized_requests_get_a_generic_answer(pacs: FakePacs) -> None:
    """Against pynetdicom's SCU: no other is at hand."""
    ae = AE()
    ae.add_requested_context(ModalityPerformedProcedureStep)
    ae.add_requested_context(BasicFilmSession)
    attributes = Dataset()
    attributes.Modality = "CT"
    pacs.on_request(Operation.N_GET, Respond(dataset=attributes))
    pacs.on_request(Operation.N_SET, Respond(0x0110, comment="no longer updateable"))
    assoc = ae.associate("127.0.0.1", pacs.port)
    status, _ = assoc.send_n_create(attributes, ModalityPerformedProcedureStep, "1.2.3")
    assert status.Status == 0
    status, _ = assoc.send_n_create(attributes, BasicFilmSession)
    assert status.Status == 0
    status, _ = assoc.send_n_set(attributes, ModalityPerformedProcedureStep, "1.2.3")
    assert (status.Status, status.ErrorComment) == (0x0110, "no longer updateable")
    status, got = assoc.send_n_get([0x00080060], ModalityPerformedProcedureStep, "1.2.3")
    assert got.Modality == "CT"
    status = assoc.send_n_delete(BasicFilmSession, "1.2.3")
    assert status.Status == 0
    assoc.release()
    assert [request.operation.name for request in pacs.requests] == [
        "N_CREATE",
        "N_CREATE",
        "N_SET",
        "N_GET",
        "N_DELETE",
    ]
    assert [request.sop_instance_uid for request in pacs.requests] == ["1.2.3", "", "1.2.3", "1.2.3", "1.2.3"]
    assert pacs.requests[0].dataset.Modality == "CT"


@pytest.mark.parametrize("where", [Where.SAME, Where.NEW])
def test_a_commitment_is_answered_where_it_is_asked_for(pacs: FakePacs, where: Where) -> None:
    """Against pynetdicom's SCU: DCMTK has none for storage commitment."""
    reports: list[tuple[int, Dataset]] = []

    def keep(event: evt.Event) -> tuple[int, None]:
        reports.append((event.event_type, event.event_information))
        return 0x0000, None

    handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, keep)]
    scp = AE("ASKER")
    scp.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
    server = scp.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    pacs.know("ASKER", server.server_address[1])
    uids = [str(dcmread(CT).SOPInstanceUID), "1.2.3.4"]
    pacs.on_request(Operation.N_ACTION, Commit(where=where))
    asked = Dataset()
    asked.TransactionUID = "1.2.3.99"
    asked.ReferencedSOPSequence = Sequence()
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.2", uid
        asked.ReferencedSOPSequence.append(item)
    ae = AE("ASKER")
    ae.add_requested_context(StorageCommitmentPushModel)
    assoc = ae.associate(
        "127.0.0.1", pacs.port, ext_neg=[build_role(StorageCommitmentPushModel, scu_role=True)], evt_handlers=handlers
    )
    status, _ = assoc.send_n_action(asked, 1, StorageCommitmentPushModel, "1.2.840.10008.1.20.1.1")
    assert status.Status == 0
    wait_until(lambda: reports, what="the report")
    assoc.release()
    server.shutdown()
    ((event_type, result),) = reports
    assert (event_type, result.TransactionUID) == (2, "1.2.3.99")
    assert [item.ReferencedSOPInstanceUID for item in result.ReferencedSOPSequence] == uids[:1]
    assert [(item.ReferencedSOPInstanceUID, item.FailureReason) for item in result.FailedSOPSequence] == [
        (uids[1], 0x0112)
    ]
