"""Worklists: DCMTK's `wlmscpfs`, and dcmjs-dimse for the SOP classes that no server of Debian's has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import ClassVar

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    GENERAL_PURPOSE_WORKLIST,
    MODALITY_WORKLIST,
    UPS_PULL,
    AssociationTerms,
    InformationModel,
    ModalityWorklistQuery,
    OperationFailed,
    Query,
    Queryable,
    QueryRetrieveScu,
    Range,
    RemoteAE,
    key,
)
from gurney.pacs.events import BeforeAssociateRequest, BeforeCFind, FindChange, MatchFound
from gurney.pacs.query.keys import Wanted
from gurney.pacs.query.models import Level
from tests.services.dcmjs import installed_node_modules
from tests.services.dcmjs_query import DcmjsQueryScp
from tests.services.dcmtk import WlmScpFs
from tests.services.presence import require

pytestmark = pytest.mark.peer

STEP = {"PatientName": "Doe^Jane", "ProcedureStepState": "SCHEDULED", "SOPInstanceUID": "1.2.3"}
DONE = {"PatientName": "Roe^Rita", "ProcedureStepState": "COMPLETED", "SOPInstanceUID": "1.2.4"}
ENTRY = {"PatientID": "P7", "AccessionNumber": "A7", "ScheduledProcedureStepSequence": [{"Modality": "US"}]}
TASK = {"PatientID": "4711", "GeneralPurposeScheduledProcedureStepStatus": "SCHEDULED"}


@pytest.fixture(scope="module")
def worklist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteAE]:
    require("wlmscpfs")
    with WlmScpFs(tmp_path_factory.mktemp("worklist")) as peer:
        for number, (name, modality, day) in enumerate(
            [("Doe^Jane", "CT", "20240101"), ("Müller^Jürgen", "MR", "20240102"), ("Roe^Rita", "CT", "20240103")]
        ):
            peer.schedule(str(number), scheduled(number, name, modality, day))
        yield RemoteAE(peer.ae_title, "127.0.0.1", peer.port)


def scheduled(number: int, name: str, modality: str, day: str) -> Dataset:
    step = Dataset()
    step.ScheduledStationAETitle, step.Modality = f"{modality}1", modality
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = day, "080000"
    step.ScheduledProcedureStepID, step.ScheduledPerformingPhysicianName = f"S{number}", "Grün^Otto"
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 100"
    entry.PatientName, entry.PatientID, entry.AccessionNumber = name, f"P{number}", f"A{number}"
    entry.StudyInstanceUID, entry.RequestedProcedureID = f"1.2.{number}", f"R{number}"
    entry.ScheduledProcedureStepSequence = [step]
    return entry


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsQueryScp]:
    require("node", "npm")
    answers = {UPS_PULL.find: [STEP, DONE], GENERAL_PURPOSE_WORKLIST.find: [TASK], MODALITY_WORKLIST.find: [ENTRY]}
    with DcmjsQueryScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules(), answers=answers) as peer:
        yield peer


@pytest.fixture
def scu() -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY")


def at(peer: DcmjsQueryScp) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port)


@pytest.mark.seen("C-FIND, Modality Worklist", at="wlmscpfs")
def test_what_is_scheduled_is_found_by_what_stands_in_its_step(scu: QueryRetrieveScu, worklist: RemoteAE) -> None:
    matches = [match.value for match in scu.find(worklist, ModalityWorklistQuery(modality="CT"))]
    assert {match.accession_number for match in matches} == {"A0", "A2"}
    assert {match.station_ae_title for match in matches} == {"CT1"}
    days = Range(date(2024, 1, 2), date(2024, 1, 3))
    assert {match.value.step_id for match in scu.find(worklist, ModalityWorklistQuery(start_date=days))} == {"S1", "S2"}


def test_names_are_read_in_the_worklists_character_set(scu: QueryRetrieveScu, worklist: RemoteAE) -> None:
    (match,) = scu.find(worklist, ModalityWorklistQuery(accession_number="A1"))
    assert match.value.patient_name == "Müller^Jürgen"
    assert match.value.performing_physician_name == "Grün^Otto"
    assert (match.level, match.info) == (None, None)


def test_a_worklist_is_reached_through_hooks_alone(scu: QueryRetrieveScu, worklist: RemoteAE) -> None:
    found: list[tuple[str, Level | None]] = []
    studies: list[MatchFound] = []
    scu.events.match_study(studies.append)

    @scu.events.before_associate_request
    def another_context(event: BeforeAssociateRequest) -> AssociationTerms:
        proposals = tuple(
            ContextProposal(MODALITY_WORKLIST.find, syntax) for syntax in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
        )
        return AssociationTerms(proposals)

    @scu.events.before_c_find
    def another_question(event: BeforeCFind) -> FindChange:
        return FindChange(MODALITY_WORKLIST.find, ModalityWorklistQuery(modality="MR").identifier())

    @scu.events.match_found
    def note(event: MatchFound) -> None:
        found.append((event.match.dataset.PatientID, event.match.level))

    assert len(list(scu.find(worklist, Query()))) == 1
    # A worklist has no level.
    assert found == [("P1", None)]
    assert studies == []


@dataclass(frozen=True, kw_only=True)
class StepQuery(Queryable):
    model: ClassVar[InformationModel] = UPS_PULL
    state: Wanted = key("ProcedureStepState")
    patient_name: Wanted = key("PatientName")
    sop_instance_uid: Wanted = key("SOPInstanceUID")


@dataclass(frozen=True, kw_only=True)
class TaskQuery(Queryable):
    model: ClassVar[InformationModel] = GENERAL_PURPOSE_WORKLIST
    patient_id: Wanted = key("PatientID")


@pytest.mark.seen("C-FIND, UPS Pull", at="dcmjs-dimse")
def test_unified_procedure_steps_are_pulled(scu: QueryRetrieveScu, dcmjs: DcmjsQueryScp) -> None:
    with scu.find(at(dcmjs), StepQuery(state="SCHEDULED")) as search:
        (match,) = search
    assert (match.value.sop_instance_uid, match.value.patient_name) == ("1.2.3", "Doe^Jane")
    assert search.filtered == 1  # it answers with all that it has
    asked = dcmjs.seen()[-1]
    assert asked["sopClass"] == UPS_PULL.find
    assert asked["identifier"]["ProcedureStepState"] == "SCHEDULED"
    assert "QueryRetrieveLevel" not in asked["identifier"]


@pytest.mark.seen("C-FIND, General Purpose Worklist", at="dcmjs-dimse")
def test_a_general_purpose_worklist_is_reached_by_its_uid(scu: QueryRetrieveScu, dcmjs: DcmjsQueryScp) -> None:
    (match,) = scu.find(at(dcmjs), TaskQuery())
    assert match.value.patient_id == "4711"
    assert dcmjs.seen()[-1]["sopClass"] == "1.2.840.10008.5.1.4.32.1"


@pytest.mark.seen("C-FIND, Modality Worklist", at="dcmjs-dimse")
def test_a_second_reading_of_a_worklist(scu: QueryRetrieveScu, dcmjs: DcmjsQueryScp) -> None:
    (match,) = scu.find(at(dcmjs), ModalityWorklistQuery(modality="US"))
    assert (match.value.accession_number, match.value.modality) == ("A7", "US")
    (step,) = dcmjs.seen()[-1]["identifier"]["ScheduledProcedureStepSequence"]
    assert step["Modality"] == "US"


@pytest.mark.seen("C-CANCEL of a C-FIND", at="wlmscpfs")
def test_a_search_of_a_worklist_is_cancelled(scu: QueryRetrieveScu, tmp_path: Path) -> None:
    require("wlmscpfs")
    with WlmScpFs(tmp_path, options=["--sleep-during", "1"]) as peer:
        for number in range(3):
            peer.schedule(str(number), scheduled(number, "Doe^Jane", "CT", "20240101"))
        remote = RemoteAE(peer.ae_title, "127.0.0.1", peer.port)
        with scu.associate_for(remote, MODALITY_WORKLIST) as association:
            search = association.find(ModalityWorklistQuery())
            next(search)
            association.cancel()
            assert len(list(search)) <= 1  # it looks for a cancel before it waits, and not afterwards
            assert search.status == 0xFE00
            assert association.verify().is_success


def test_a_peer_that_does_not_answer_a_service_is_a_failure(scu: QueryRetrieveScu, dcmjs: DcmjsQueryScp) -> None:
    with pytest.raises(OperationFailed, match="not supported") as failed:
        list(scu.find(at(dcmjs), Query()))
    assert failed.value.status == 0x0122
