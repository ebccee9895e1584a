"""Queries as dataclasses: each field is a key of the identifier, each match fills one in again.

::

    @dataclass(frozen=True, kw_only=True)
    class StationWorklist(Queryable):
        model = MODALITY_WORKLIST
        station: Wanted = key("ScheduledProcedureStepSequence.ScheduledStationAETitle")
        patient_name: Wanted = key("PatientName")

A field that is left empty is asked for; one with a value is matched by. Write your own for whatever a peer can tell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from pydicom.dataset import Dataset

from gurney.pacs.display import text_at
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.query.keys import Wanted, identifier, is_moment
from gurney.pacs.query.models import (
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    InformationModel,
    Level,
)

__all__ = ["ModalityWorklistQuery", "PatientRootQuery", "PatientStudyOnlyQuery", "Query", "Queryable", "key"]

_PATH = "gurney.key"
_LEVELS = "gurney.levels"
_ALL = tuple(Level)


def key(path: str, *levels: Level) -> Any:
    """Make a field of a query: the keyword, or path of keywords, that it stands for.

    ``levels`` are those at which it is asked for when it is empty; all by default. One with a value is always sent.
    """
    return field(default="", repr=False, metadata={_PATH: path, _LEVELS: levels or _ALL})


class Queryable:
    """What :meth:`~gurney.pacs.QueryRetrieveScu.find` takes: a dataclass with keys and the model that it asks."""

    model: ClassVar[InformationModel] = STUDY_ROOT
    level: Level | None = None

    def keys(self) -> dict[str, Wanted]:
        """Return the keys and what they ask for."""
        return {
            path: wanted
            for name, path, levels in _keys_of(type(self))
            if (wanted := getattr(self, name)) or self.level is None or self.level in levels
        }

    def identifier(
        self, template: Dataset | None = None, *, character_set: str = "ISO_IR 192", combined: bool = False
    ) -> Dataset:
        """Make the identifier (PS3.4 C.4.1.1.3), as :func:`gurney.pacs.query.keys.identifier` does.

        Raises InvalidQuery for a key that can't be asked so, and for a level that the model does not have.
        """
        level = self._checked_level()
        made = identifier(self.keys(), template, character_set=character_set, combined=combined)
        if level is not None:
            made.QueryRetrieveLevel = level.value
        return made

    def _checked_level(self) -> Level | None:
        levels = self.model.levels
        if not levels and self.level is None:
            return None
        known = ", ".join(levels) if levels else "none: it is a worklist"
        if self.level not in levels:
            raise InvalidQuery("level", f"is none of the {self.model.name} model", f"its levels are {known}")
        return Level(self.level)

    @classmethod
    def of(cls, match: Dataset, level: Level | None) -> Self:
        """Fill in a query of this kind from a match: its values as text. What can't be read never raises."""
        values: dict[str, Any] = {name: _shown(match, path) for name, path, _ in _keys_of(cls)}
        # A class may have its level for good, and then no field for it.
        if level is not None and any(one.name == "level" for one in fields(cls)):  # type: ignore[arg-type]  # as below
            values["level"] = level
        return cls(**values)


def _shown(match: Dataset, path: str) -> str:
    """Return a key's text; of a moment, its date and time in one (PS3.5 6.2, DT)."""
    if not is_moment(path):
        return text_at(match, path)
    *sequences, pair = path.split(".")
    return "".join(text_at(match, ".".join([*sequences, keyword])) for keyword in pair.split("+"))


def _keys_of(kind: type[Queryable]) -> Iterator[tuple[str, str, tuple[Level, ...]]]:
    for one in fields(kind):  # type: ignore[arg-type]  # a dataclass, by its contract
        if _PATH in one.metadata:
            yield one.name, one.metadata[_PATH], one.metadata[_LEVELS]


_FROM_STUDY = (Level.STUDY, Level.SERIES, Level.IMAGE)


@dataclass(frozen=True, kw_only=True)
class Query(Queryable):
    """Ask for studies, series or instances in the Study Root model (PS3.4 C.6.2)."""

    level: Level = Level.STUDY
    patient_id: Wanted = key("PatientID", Level.PATIENT, Level.STUDY)
    patient_name: Wanted = key("PatientName", Level.PATIENT, Level.STUDY)
    patient_birth_date: Wanted = key("PatientBirthDate", Level.PATIENT, Level.STUDY)
    patient_sex: Wanted = key("PatientSex", Level.PATIENT, Level.STUDY)
    study_instance_uid: Wanted = key("StudyInstanceUID", *_FROM_STUDY)
    study_id: Wanted = key("StudyID", Level.STUDY)
    accession_number: Wanted = key("AccessionNumber", Level.STUDY)
    referring_physician_name: Wanted = key("ReferringPhysicianName", Level.STUDY)
    study_date: Wanted = key("StudyDate", Level.STUDY)
    study_time: Wanted = key("StudyTime", Level.STUDY)
    study_moment: Wanted = key("StudyDate+StudyTime", Level.STUDY)
    """A Range of datetimes, when date and time are meant as one."""
    study_description: Wanted = key("StudyDescription", Level.STUDY)
    modalities: Wanted = key("ModalitiesInStudy", Level.STUDY)
    study_instances: Wanted = key("NumberOfStudyRelatedInstances", Level.STUDY)
    study_series: Wanted = key("NumberOfStudyRelatedSeries", Level.STUDY)
    series_instance_uid: Wanted = key("SeriesInstanceUID", Level.SERIES, Level.IMAGE)
    modality: Wanted = key("Modality", Level.SERIES)
    series_number: Wanted = key("SeriesNumber", Level.SERIES)
    series_description: Wanted = key("SeriesDescription", Level.SERIES)
    body_part: Wanted = key("BodyPartExamined", Level.SERIES)
    series_instances: Wanted = key("NumberOfSeriesRelatedInstances", Level.SERIES)
    sop_instance_uid: Wanted = key("SOPInstanceUID", Level.IMAGE)
    sop_class_uid: Wanted = key("SOPClassUID", Level.IMAGE)
    instance_number: Wanted = key("InstanceNumber", Level.IMAGE)
    retrieve_ae_title: Wanted = key("RetrieveAETitle")
    availability: Wanted = key("InstanceAvailability")


@dataclass(frozen=True, kw_only=True)
class PatientRootQuery(Query):
    """Ask for patients, or for what is theirs, in the Patient Root model (PS3.4 C.6.1)."""

    model: ClassVar[InformationModel] = PATIENT_ROOT
    level: Level = Level.PATIENT


@dataclass(frozen=True, kw_only=True)
class PatientStudyOnlyQuery(Query):
    """Ask for patients or studies in the Patient/Study Only model, retired in 2004 (PS3.4-2003 C.6.3)."""

    model: ClassVar[InformationModel] = PATIENT_STUDY_ONLY
    level: Level = Level.PATIENT


_STEP = "ScheduledProcedureStepSequence."


@dataclass(frozen=True, kw_only=True)
class ModalityWorklistQuery(Queryable):
    """Ask for what is scheduled (PS3.4 annex K)."""

    model: ClassVar[InformationModel] = MODALITY_WORKLIST
    patient_id: Wanted = key("PatientID")
    patient_name: Wanted = key("PatientName")
    patient_birth_date: Wanted = key("PatientBirthDate")
    patient_sex: Wanted = key("PatientSex")
    accession_number: Wanted = key("AccessionNumber")
    study_instance_uid: Wanted = key("StudyInstanceUID")
    requested_procedure_id: Wanted = key("RequestedProcedureID")
    requested_procedure_description: Wanted = key("RequestedProcedureDescription")
    referring_physician_name: Wanted = key("ReferringPhysicianName")
    station_ae_title: Wanted = key(f"{_STEP}ScheduledStationAETitle")
    modality: Wanted = key(f"{_STEP}Modality")
    start_date: Wanted = key(f"{_STEP}ScheduledProcedureStepStartDate")
    start_time: Wanted = key(f"{_STEP}ScheduledProcedureStepStartTime")
    performing_physician_name: Wanted = key(f"{_STEP}ScheduledPerformingPhysicianName")
    step_id: Wanted = key(f"{_STEP}ScheduledProcedureStepID")
    step_description: Wanted = key(f"{_STEP}ScheduledProcedureStepDescription")
    step_status: Wanted = key(f"{_STEP}ScheduledProcedureStepStatus")
