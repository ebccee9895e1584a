"""What a performed procedure step tells, before it is sent."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import Code, InvalidAttributes, PerformedProcedureStep, PerformedSeries, ScheduledStep, StepStatus
from gurney.pacs.normalized.performed_procedure_step import final_attributes

CT = "1.2.840.10008.5.1.4.1.1.2"
STARTED = datetime(2026, 3, 4, 5, 6, 7)
SERIES = PerformedSeries("1.2.3.4", "Head", images=[(CT, "1.2.3.4.1")])


def step(**values: object) -> PerformedProcedureStep:
    given: dict[str, object] = {
        "step_id": "S1",
        "station_ae_title": "CT1",
        "modality": "CT",
        "scheduled": [ScheduledStep("1.2.3")],
        "started": STARTED,
    }
    return PerformedProcedureStep(**(given | values))  # type: ignore[arg-type]  # it is wrong values that are tested


def test_all_that_a_step_must_tell_is_there() -> None:
    made = step(patient_name="Doe^Jane").attributes()
    assert (made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime) == ("20260304", "050607")
    assert made.PerformedProcedureStepStatus == "IN PROGRESS"
    assert made.ScheduledStepAttributesSequence[0].StudyInstanceUID == "1.2.3"
    # What may be empty must be there all the same, and what is to be set later as well (PS3.4 table F.7.2-1).
    for keyword in ("PatientSex", "StudyID", "PerformedProcedureStepEndDate", "PerformedProcedureTypeDescription"):
        assert made[keyword].is_empty
    for keyword in ("PerformedSeriesSequence", "PerformedProcedureStepDiscontinuationReasonCodeSequence"):
        assert made[keyword].value == []


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_time_of_another_zone_is_told_in_local_time() -> None:
    made = step(started=datetime(2026, 3, 4, 18, tzinfo=UTC)).attributes()
    assert (made.PerformedProcedureStepStartDate, made.PerformedProcedureStepStartTime) == ("20260305", "030000")


def test_all_that_a_step_lacks_is_told_at_once() -> None:
    with pytest.raises(InvalidAttributes) as refused:
        step(step_id="", modality="", scheduled=[ScheduledStep("")]).attributes()
    assert refused.value.problems == (
        "ScheduledStepAttributesSequence.StudyInstanceUID has no value",
        "PerformedProcedureStepID has no value",
        "Modality has no value",
    )
    with pytest.raises(InvalidAttributes, match="ScheduledStepAttributesSequence has no value"):
        step(scheduled=[]).attributes()


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("patient_birth_date", "Doe's birthday", "PatientBirthDate is no valid DA"),
        ("station_ae_title", "more than sixteen!", "PerformedStationAETitle is no valid AE"),
        ("step_id", "more than sixteen characters", "PerformedProcedureStepID is no valid SH"),
        ("modality", "ct", "Modality is no valid CS"),
        ("scheduled", [ScheduledStep("1.2/../Doe")], "StudyInstanceUID is no valid UI"),
    ],
)
def test_what_its_vr_does_not_allow_is_refused_and_not_repeated(
    field: str, value: object, problem: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InvalidAttributes) as refused:
        step(**{field: value}).attributes()
    assert refused.value.problems == (problem,)
    assert "Doe" not in str(refused.value)
    assert caplog.text == ""


def test_a_step_ends_with_its_series() -> None:
    reason = Code("110514", "DCM", "Incorrect worklist entry selected")
    made = final_attributes(StepStatus.DISCONTINUED, [SERIES], STARTED, reason)
    assert made.PerformedProcedureStepStatus == "DISCONTINUED"
    assert made.PerformedProcedureStepDiscontinuationReasonCodeSequence[0].CodeValue == "110514"
    assert made.PerformedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == "1.2.3.4.1"
    with pytest.raises(InvalidAttributes, match="PerformedSeriesSequence has no value"):
        final_attributes(StepStatus.COMPLETED, [], STARTED)
    with pytest.raises(InvalidAttributes, match=r"PerformedSeriesSequence\.ProtocolName has no value"):
        final_attributes(StepStatus.COMPLETED, [SERIES, PerformedSeries("1.2.5", "")], STARTED)
    with pytest.raises(InvalidAttributes, match="ReferencedSOPInstanceUID has no value"):
        final_attributes(StepStatus.COMPLETED, [PerformedSeries("1.2.5", "Head", images=[(CT, "")])], STARTED)


def test_a_code_needs_its_three_parts() -> None:
    with pytest.raises(InvalidAttributes, match="CodeMeaning has no value"):
        Code("110514", "DCM", "").attributes()


def test_a_worklist_item_is_taken_over() -> None:
    item, scheduled = Dataset(), Dataset()
    item.StudyInstanceUID, item.AccessionNumber, item.RequestedProcedureID = "1.2.3", "A1", "R1"
    scheduled.ScheduledProcedureStepID, scheduled.ScheduledProcedureStepDescription = "P1", "Head"
    item.ScheduledProcedureStepSequence = [scheduled]
    made = ScheduledStep.of_worklist(item).attributes()
    assert (made.StudyInstanceUID, made.AccessionNumber, made.RequestedProcedureID) == ("1.2.3", "A1", "R1")
    assert (made.ScheduledProcedureStepID, made.ScheduledProcedureStepDescription) == ("P1", "Head")


def test_nobody_is_named_in_a_representation() -> None:
    assert "Doe" not in repr(step(patient_name="Doe^Jane", patient_id="Doe1", description="Doe"))
