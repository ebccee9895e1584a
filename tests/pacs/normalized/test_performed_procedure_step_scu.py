"""Performed procedure steps at dcmjs-dimse, told to take no change of a step that has ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import pytest

from gurney.pacs import (
    Code,
    InvalidAttributes,
    OperationFailed,
    PerformedProcedureStep,
    PerformedProcedureStepScu,
    PerformedSeries,
    RemoteAE,
    ScheduledStep,
    StepIsFinal,
    StepStatus,
)
from gurney.pacs.testing import FakePacs
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules

pytestmark = pytest.mark.peer

CT = "1.2.840.10008.5.1.4.1.1.2"
SERIES = PerformedSeries("1.2.3.4", "Head", images=[(CT, "1.2.3.4.1"), (CT, "1.2.3.4.2")])
ENDED = datetime(2026, 3, 4, 5, 30)


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture
def remote(peer: DcmjsNormalizedScp) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port)


@pytest.fixture
def scu() -> PerformedProcedureStepScu:
    return PerformedProcedureStepScu("CT1")


def step() -> PerformedProcedureStep:
    return PerformedProcedureStep("S1", "CT1", "CT", [ScheduledStep("1.2.3")], patient_name="Müller^Jürgen")


@pytest.mark.seen("Performed procedure step", at="dcmjs-dimse")
def test_a_step_begins_goes_on_and_is_completed(
    scu: PerformedProcedureStepScu, remote: RemoteAE, peer: DcmjsNormalizedScp
) -> None:
    begun = scu.begin(remote, step())
    begun.tell_series([SERIES])
    begun.complete([SERIES], ended=ENDED)
    assert begun.status is StepStatus.COMPLETED
    create, progress, final = (one for one in peer.requests() if one["uid"] == begun.sop_instance_uid)
    assert create["service"] == "N-CREATE"
    assert create["elements"]["PatientName"] == [{"Alphabetic": "Müller^Jürgen"}]
    assert create["elements"]["PerformedProcedureStepStatus"] == "IN PROGRESS"
    assert "PerformedProcedureStepStatus" not in progress["elements"]
    assert final["elements"]["PerformedProcedureStepStatus"] == "COMPLETED"
    assert final["elements"]["PerformedProcedureStepEndDate"] == "20260304"
    (series,) = final["elements"]["PerformedSeriesSequence"]
    assert [one["ReferencedSOPInstanceUID"] for one in series["ReferencedImageSequence"]] == ["1.2.3.4.1", "1.2.3.4.2"]


def test_a_step_that_has_ended_is_not_changed_and_nothing_is_sent(
    scu: PerformedProcedureStepScu, remote: RemoteAE, peer: DcmjsNormalizedScp
) -> None:
    begun = scu.begin(remote, step())
    begun.discontinue([SERIES], reason=Code("110514", "DCM", "Incorrect worklist entry selected"))
    assert begun.status is StepStatus.DISCONTINUED
    asked = len(peer.requests())
    with pytest.raises(StepIsFinal, match="is DISCONTINUED and can't be changed any more"):
        begun.complete([SERIES])
    assert len(peer.requests()) == asked


def test_a_step_of_which_the_peer_says_that_it_has_ended(scu: PerformedProcedureStepScu, remote: RemoteAE) -> None:
    begun = scu.begin(remote, step())
    begun.complete([SERIES])
    resumed = scu.resume(remote, begun.sop_instance_uid)
    with pytest.raises(StepIsFinal, match="as the peer says") as final:
        resumed.tell_series([SERIES])
    assert isinstance(final.value.__cause__, OperationFailed)
    assert final.value.__cause__.error_id == 0xA710


def test_a_step_that_the_peer_does_not_know(scu: PerformedProcedureStepScu, remote: RemoteAE) -> None:
    with pytest.raises(OperationFailed, match="0112 no such SOP instance"):
        scu.resume(remote, "1.2.3.99").complete([SERIES])


def test_a_step_that_no_peer_could_know_is_refused_before_it_is_asked(scu: PerformedProcedureStepScu) -> None:
    with FakePacs() as pacs:
        with pytest.raises(InvalidAttributes, match="its SOP Instance UID is not a UID"):
            scu.begin(pacs.remote(), replace(step(), sop_instance_uid="1.2.a"))
        with pytest.raises(InvalidAttributes, match="its SOP Instance UID is not a UID"):
            scu.resume(pacs.remote(), "")
        assert pacs.associations == 0


def test_an_end_that_lacks_something_is_not_sent_and_the_step_goes_on(
    scu: PerformedProcedureStepScu, remote: RemoteAE, peer: DcmjsNormalizedScp
) -> None:
    begun = scu.begin(remote, step())
    asked = len(peer.requests())
    with pytest.raises(InvalidAttributes):
        begun.complete([])
    assert len(peer.requests()) == asked
    assert begun.status is StepStatus.IN_PROGRESS
    begun.complete([SERIES])
