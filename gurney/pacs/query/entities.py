"""What a match is about: a patient, a study, a series or an instance, typed (PS3.3 7, PS3.4 C.6).

Each is filled in from what the peer has said, which may be little: text that is not there is "", a number or a date
that can't be read is None. The raw data set is in :attr:`gurney.pacs.Match.dataset`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Self, TypeAlias

from pydicom.dataset import Dataset

from gurney.pacs.display import text_at
from gurney.pacs.query.key_rules import is_date, is_time
from gurney.pacs.query.models import Level

__all__ = ["Entity", "Instance", "Patient", "Series", "Study", "entity_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """A patient (PS3.4 table C.6-1)."""

    patient_id: str = field(default="", repr=False)
    issuer_of_patient_id: str = field(default="", repr=False)
    name: str = field(default="", repr=False)
    birth_date: date | None = field(default=None, repr=False)
    sex: str = field(default="", repr=False)
    studies: int | None = None

    @classmethod
    def of(cls, match: Dataset) -> Self:
        """Read a match."""
        return cls(
            patient_id=text_at(match, "PatientID"),
            issuer_of_patient_id=text_at(match, "IssuerOfPatientID"),
            name=text_at(match, "PatientName"),
            birth_date=_date(match, "PatientBirthDate"),
            sex=text_at(match, "PatientSex"),
            studies=_number(match, "NumberOfPatientRelatedStudies"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """A study, and its patient as far as the peer says (PS3.4 table C.6-2)."""

    patient: Patient = field(repr=False)
    study_instance_uid: str
    study_id: str = field(default="", repr=False)
    accession_number: str = field(default="", repr=False)
    study_date: date | None = field(default=None, repr=False)
    study_time: time | None = field(default=None, repr=False)
    description: str = field(default="", repr=False)
    referring_physician_name: str = field(default="", repr=False)
    modalities: tuple[str, ...] = ()
    sop_class_uids: tuple[str, ...] = ()
    series: int | None = None
    instances: int | None = None

    @classmethod
    def of(cls, match: Dataset) -> Self:
        """Read a match."""
        return cls(
            patient=Patient.of(match),
            study_instance_uid=text_at(match, "StudyInstanceUID"),
            study_id=text_at(match, "StudyID"),
            accession_number=text_at(match, "AccessionNumber"),
            study_date=_date(match, "StudyDate"),
            study_time=_time(match, "StudyTime"),
            description=text_at(match, "StudyDescription"),
            referring_physician_name=text_at(match, "ReferringPhysicianName"),
            modalities=_several(match, "ModalitiesInStudy"),
            sop_class_uids=_several(match, "SOPClassesInStudy"),
            series=_number(match, "NumberOfStudyRelatedSeries"),
            instances=_number(match, "NumberOfStudyRelatedInstances"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A series (PS3.4 table C.6-3)."""

    study_instance_uid: str
    series_instance_uid: str
    modality: str = ""
    number: int | None = None
    description: str = field(default="", repr=False)
    body_part: str = ""
    instances: int | None = None

    @classmethod
    def of(cls, match: Dataset) -> Self:
        """Read a match."""
        return cls(
            study_instance_uid=text_at(match, "StudyInstanceUID"),
            series_instance_uid=text_at(match, "SeriesInstanceUID"),
            modality=text_at(match, "Modality"),
            number=_number(match, "SeriesNumber"),
            description=text_at(match, "SeriesDescription"),
            body_part=text_at(match, "BodyPartExamined"),
            instances=_number(match, "NumberOfSeriesRelatedInstances"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance (PS3.4 table C.6-4); ``sop_class_uid`` is optional for a peer, and "" where it says none."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str = ""
    number: int | None = None

    @classmethod
    def of(cls, match: Dataset) -> Self:
        """Read a match."""
        return cls(
            study_instance_uid=text_at(match, "StudyInstanceUID"),
            series_instance_uid=text_at(match, "SeriesInstanceUID"),
            sop_instance_uid=text_at(match, "SOPInstanceUID"),
            sop_class_uid=text_at(match, "SOPClassUID"),
            number=_number(match, "InstanceNumber"),
        )


Entity: TypeAlias = Patient | Study | Series | Instance


def entity_of(match: Dataset, level: Level | None) -> Entity | None:
    """Read a match at its level; None for a worklist."""
    kinds: dict[Level, type[Patient] | type[Study] | type[Series] | type[Instance]] = {
        Level.PATIENT: Patient,
        Level.STUDY: Study,
        Level.SERIES: Series,
        Level.IMAGE: Instance,
    }
    return kinds[level].of(match) if level is not None else None


def _several(match: Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(value for value in text_at(match, keyword).split("\\") if value)


def _number(match: Dataset, keyword: str) -> int | None:
    try:
        return int(text_at(match, keyword))
    except ValueError:
        return None


def _date(match: Dataset, keyword: str) -> date | None:
    text = text_at(match, keyword).replace(".", "", 2)
    return datetime.strptime(text, "%Y%m%d").date() if is_date(text) else None  # noqa: DTZ007  (a day has no zone)


def _time(match: Dataset, keyword: str) -> time | None:
    text = text_at(match, keyword).replace(":", "")
    if not is_time(text):
        return None
    whole, _, fraction = text.partition(".")
    hour, minute, second = (int(whole[at : at + 2] or 0) for at in (0, 2, 4))
    return time(hour, minute, min(second, 59), int(fraction.ljust(6, "0")) if fraction else 0)
