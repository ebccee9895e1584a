"""What a modality tells of a procedure step that it performs (PS3.4 F.7.2, PS3.3 B.17)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from enum import StrEnum

from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gurney.pacs.display import text_at
from gurney.pacs.normalized.attributes import UTF_8, attribute_list, references, require

__all__ = ["Code", "PerformedProcedureStep", "PerformedSeries", "ScheduledStep", "StepStatus"]

_STEP = "a performed procedure step"
_CREATED_WITH = (
    "ScheduledStepAttributesSequence",
    "ScheduledStepAttributesSequence.StudyInstanceUID",
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
)
_ENDED_WITH = (
    "PerformedProcedureStepEndDate",
    "PerformedProcedureStepEndTime",
    "PerformedSeriesSequence",
    "PerformedSeriesSequence.ProtocolName",
    "PerformedSeriesSequence.SeriesInstanceUID",
)


class StepStatus(StrEnum):
    """Performed Procedure Step Status (0040,0252); nothing can be changed after the last two."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True, slots=True)
class Code:
    """A code of a coding scheme, such as ``Code("110514", "DCM", "Incorrect worklist entry selected")`` (PS3.3 8)."""

    value: str
    scheme: str
    meaning: str

    def attributes(self) -> Dataset:
        """Return the item of a code sequence."""
        made = attribute_list(
            "a code", CodeValue=self.value, CodingSchemeDesignator=self.scheme, CodeMeaning=self.meaning
        )
        require("a code", made, ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
        return made


@dataclass(frozen=True, slots=True)
class ScheduledStep:
    """What was scheduled, as the worklist told it; for an unscheduled step the study's UID alone."""

    study_instance_uid: str
    _: KW_ONLY
    accession_number: str = field(default="", repr=False)
    requested_procedure_id: str = ""
    requested_procedure_description: str = field(default="", repr=False)
    step_id: str = ""
    step_description: str = field(default="", repr=False)
    protocol_codes: Sequence[Code] = ()

    @classmethod
    def of_worklist(cls, item: Dataset) -> ScheduledStep:
        """Take over what a modality worklist's match says, of its first scheduled step (PS3.4 K.6.1.2.2)."""
        step = "ScheduledProcedureStepSequence."
        return cls(
            text_at(item, "StudyInstanceUID"),
            accession_number=text_at(item, "AccessionNumber"),
            requested_procedure_id=text_at(item, "RequestedProcedureID"),
            requested_procedure_description=text_at(item, "RequestedProcedureDescription"),
            step_id=text_at(item, f"{step}ScheduledProcedureStepID"),
            step_description=text_at(item, f"{step}ScheduledProcedureStepDescription"),
        )

    def attributes(self) -> Dataset:
        """Return the item of the Scheduled Step Attributes Sequence."""
        return attribute_list(
            _STEP,
            StudyInstanceUID=self.study_instance_uid,
            ReferencedStudySequence=(),
            AccessionNumber=self.accession_number,
            RequestedProcedureID=self.requested_procedure_id,
            RequestedProcedureDescription=self.requested_procedure_description,
            ScheduledProcedureStepID=self.step_id,
            ScheduledProcedureStepDescription=self.step_description,
            ScheduledProtocolCodeSequence=[code.attributes() for code in self.protocol_codes],
        )


@dataclass(frozen=True, slots=True)
class PerformedSeries:
    """A series that came of the step; its instances as pairs of SOP Class UID and SOP Instance UID."""

    series_instance_uid: str
    protocol_name: str = field(repr=False)
    _: KW_ONLY
    description: str = field(default="", repr=False)
    performing_physician_name: str = field(default="", repr=False)
    operators_name: str = field(default="", repr=False)
    retrieve_ae_title: str = ""
    images: Sequence[tuple[str, str]] = field(default=(), repr=False)
    non_images: Sequence[tuple[str, str]] = field(default=(), repr=False)

    def attributes(self) -> Dataset:
        """Return the item of the Performed Series Sequence."""
        return attribute_list(
            _STEP,
            PerformingPhysicianName=self.performing_physician_name,
            ProtocolName=self.protocol_name,
            OperatorsName=self.operators_name,
            SeriesInstanceUID=self.series_instance_uid,
            SeriesDescription=self.description,
            RetrieveAETitle=self.retrieve_ae_title,
            ReferencedImageSequence=references(_STEP, self.images),
            ReferencedNonImageCompositeSOPInstanceSequence=references(_STEP, self.non_images),
        )


@dataclass(frozen=True, slots=True)
class PerformedProcedureStep:
    """A step that begins: what N-CREATE tells of it. Without an ``sop_instance_uid`` it gets a new one.

    ``started`` is told in local time, as DICOM's dates and times are. What only its end will fill is sent as well,
    empty: a peer accepts no other attributes later (PS3.4 F.7.2.1, note 5).
    """

    step_id: str
    station_ae_title: str
    modality: str
    scheduled: Sequence[ScheduledStep]
    _: KW_ONLY
    started: datetime = field(default_factory=datetime.now)
    patient_name: str = field(default="", repr=False)
    patient_id: str = field(default="", repr=False)
    patient_birth_date: str = field(default="", repr=False)
    patient_sex: str = field(default="", repr=False)
    station_name: str = ""
    location: str = ""
    description: str = field(default="", repr=False)
    procedure_type: str = field(default="", repr=False)
    procedure_codes: Sequence[Code] = ()
    protocol_codes: Sequence[Code] = ()
    study_id: str = field(default="", repr=False)
    character_set: str = UTF_8
    sop_instance_uid: str = field(default_factory=generate_uid)

    def attributes(self) -> Dataset:
        """Return the attribute list of the N-CREATE. Raises InvalidAttributes that names all that it lacks."""
        made = attribute_list(
            _STEP,
            SpecificCharacterSet=self.character_set,
            ScheduledStepAttributesSequence=[step.attributes() for step in self.scheduled],
            PatientName=self.patient_name,
            PatientID=self.patient_id,
            PatientBirthDate=self.patient_birth_date,
            PatientSex=self.patient_sex,
            ReferencedPatientSequence=(),
            PerformedProcedureStepID=self.step_id,
            PerformedStationAETitle=self.station_ae_title,
            PerformedStationName=self.station_name,
            PerformedLocation=self.location,
            PerformedProcedureStepStartDate=_date(self.started),
            PerformedProcedureStepStartTime=_time(self.started),
            PerformedProcedureStepStatus=StepStatus.IN_PROGRESS.value,
            PerformedProcedureStepDescription=self.description,
            PerformedProcedureTypeDescription=self.procedure_type,
            ProcedureCodeSequence=[code.attributes() for code in self.procedure_codes],
            PerformedProcedureStepEndDate="",
            PerformedProcedureStepEndTime="",
            PerformedProcedureStepDiscontinuationReasonCodeSequence=(),
            Modality=self.modality,
            StudyID=self.study_id,
            PerformedProtocolCodeSequence=[code.attributes() for code in self.protocol_codes],
            PerformedSeriesSequence=(),
        )
        require(_STEP, made, _CREATED_WITH)
        return made


def progress_attributes(series: Sequence[PerformedSeries], character_set: str = UTF_8) -> Dataset:
    """Return the modification list that tells of the series so far: all of them, not only the new ones."""
    return attribute_list(
        _STEP, SpecificCharacterSet=character_set, PerformedSeriesSequence=[one.attributes() for one in series]
    )


def final_attributes(
    status: StepStatus,
    series: Sequence[PerformedSeries],
    ended: datetime,
    reason: Code | None = None,
    character_set: str = UTF_8,
) -> Dataset:
    """Return the modification list that ends a step. Raises InvalidAttributes that names all that it lacks.

    Each step must have a series, if only one without instances (PS3.4 F.7.2.1, note 2).
    """
    made = attribute_list(
        _STEP,
        SpecificCharacterSet=character_set,
        PerformedProcedureStepStatus=status.value,
        PerformedProcedureStepEndDate=_date(ended),
        PerformedProcedureStepEndTime=_time(ended),
        PerformedProcedureStepDiscontinuationReasonCodeSequence=None if reason is None else [reason.attributes()],
        PerformedSeriesSequence=[one.attributes() for one in series],
    )
    require(_STEP, made, _ENDED_WITH)
    return made


def _date(moment: datetime) -> str:
    return f"{_local(moment):%Y%m%d}"


def _time(moment: datetime) -> str:
    return f"{_local(moment):%H%M%S}"


def _local(moment: datetime) -> datetime:
    return moment if moment.tzinfo is None else moment.astimezone()
