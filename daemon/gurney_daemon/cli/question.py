"""What ``find`` asks: the words of a command line as a query, and the columns of its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, make_dataclass
from enum import StrEnum
from typing import Final

from gurney.pacs import (
    GENERAL_PURPOSE_WORKLIST,
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    PATIENT_STUDY_ONLY,
    STUDY_ROOT,
    UPS_PULL,
    InformationModel,
    InvalidQuery,
    Level,
    Queryable,
    Range,
    key,
)
from gurney.pacs.query.keys import Wanted, vr_of_key

__all__ = ["MODELS", "Depth", "Filters", "Question", "question"]

MODELS: Final = {
    "study": STUDY_ROOT,
    "patient": PATIENT_ROOT,
    "patient-study": PATIENT_STUDY_ONLY,
    "worklist": MODALITY_WORKLIST,
    "general-purpose-worklist": GENERAL_PURPOSE_WORKLIST,
    "ups": UPS_PULL,
}
"""Information models by the names that ``--model`` takes."""

_STEP: Final = "ScheduledProcedureStepSequence."


class Depth(StrEnum):
    """What is asked for, by the words that ``--level`` takes."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    IMAGE = "image"
    WORKLIST = "worklist"


# What is asked for without being named, and the heads of its columns.
_PATIENT: Final = {"PatientID": "PATIENT ID", "PatientName": "NAME", "PatientBirthDate": "BORN", "PatientSex": "SEX"}
_COLUMNS: Final[Mapping[Depth, Mapping[str, str]]] = {
    Depth.PATIENT: _PATIENT | {"NumberOfPatientRelatedStudies": "STUDIES"},
    Depth.STUDY: {
        "StudyDate": "DATE",
        "StudyTime": "TIME",
        "PatientID": "PATIENT ID",
        "PatientName": "NAME",
        "PatientBirthDate": "BORN",
        "AccessionNumber": "ACCESSION",
        "ModalitiesInStudy": "MODALITIES",
        "StudyDescription": "DESCRIPTION",
        "NumberOfStudyRelatedSeries": "SERIES",
        "NumberOfStudyRelatedInstances": "IMAGES",
        "StudyInstanceUID": "STUDY INSTANCE UID",
    },
    Depth.SERIES: {
        "SeriesNumber": "NUMBER",
        "Modality": "MODALITY",
        "BodyPartExamined": "BODY PART",
        "SeriesDescription": "DESCRIPTION",
        "NumberOfSeriesRelatedInstances": "IMAGES",
        "SeriesInstanceUID": "SERIES INSTANCE UID",
    },
    Depth.IMAGE: {"InstanceNumber": "NUMBER", "SOPClassUID": "SOP CLASS", "SOPInstanceUID": "SOP INSTANCE UID"},
    Depth.WORKLIST: {
        f"{_STEP}ScheduledProcedureStepStartDate": "DATE",
        f"{_STEP}ScheduledProcedureStepStartTime": "TIME",
        f"{_STEP}Modality": "MODALITY",
        f"{_STEP}ScheduledStationAETitle": "STATION",
        **_PATIENT,
        "AccessionNumber": "ACCESSION",
        "RequestedProcedureDescription": "PROCEDURE",
        "StudyInstanceUID": "STUDY INSTANCE UID",
    },
}
# What must be named for a level, unless the peer agrees to relational queries (PS3.4 C.4.1.2.1, C.4.1.3.1).
_ABOVE: Final[Mapping[Depth, Mapping[str, str]]] = {
    Depth.SERIES: {"StudyInstanceUID": "--study"},
    Depth.IMAGE: {"StudyInstanceUID": "--study", "SeriesInstanceUID": "--series"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the options ask for; what is empty is not asked."""

    patient_id: str = field(default="", repr=False)
    patient_name: str = field(default="", repr=False)
    accession: str = field(default="", repr=False)
    date: str = ""
    modality: str = ""
    study: str = ""
    series: str = ""

    def keys(self, depth: Depth) -> dict[str, Wanted]:
        """Return them as keys; where the date and the modality belong depends on what is asked for."""
        is_worklist = depth is Depth.WORKLIST
        modality = "ModalitiesInStudy" if depth in {Depth.PATIENT, Depth.STUDY} else "Modality"
        asked: dict[str, Wanted] = {
            "PatientID": self.patient_id,
            "PatientName": self.patient_name,
            "AccessionNumber": self.accession,
            f"{_STEP}ScheduledProcedureStepStartDate" if is_worklist else "StudyDate": _range(self.date),
            f"{_STEP}Modality" if is_worklist else modality: self.modality,
            "StudyInstanceUID": _uids(self.study),
            "SeriesInstanceUID": _uids(self.series),
        }
        return {path: wanted for path, wanted in asked.items() if wanted}


@dataclass(frozen=True, slots=True)
class Question:
    """A query that can be sent, the keys it shows by the names of its fields, and the heads of their columns."""

    query: Queryable = field(repr=False)
    paths: Mapping[str, str]
    heads: Sequence[str]

    def answer(self, value: Queryable) -> dict[str, str]:
        """Return what a match says to each key."""
        return {path: str(getattr(value, name)) for name, path in self.paths.items()}


def question(
    depth: Depth, filters: Filters, named: Iterable[str], *, model: str = "", relational: bool = False
) -> Question:
    """Make a query of options and of words such as ``PatientID=4711``; a word that ends with "=" is asked for only.

    Raises InvalidQuery for what can't be asked so.
    """
    asked = filters.keys(depth) | dict(map(_key, named))
    chosen = _model(depth, model)
    missing = [option for path, option in _ABOVE.get(depth, {}).items() if not asked.get(path)]
    if missing and not relational:
        verb, them = ("are", "them") if len(missing) > 1 else ("is", "it")
        raise InvalidQuery(
            depth.value,
            f"is asked for within a study or series, and {' and '.join(missing)} {verb} not given",
            f"name {them}, or add --relational where the peer takes that",
        )
    columns = dict(_COLUMNS[depth]) if chosen.levels or chosen is MODALITY_WORKLIST else {}
    columns |= {path: path.rpartition(".")[2] for path in asked if path not in columns}
    paths = {f"key_{number}": path for number, path in enumerate(columns)}
    level = Level[depth.name] if chosen.levels and depth is not Depth.WORKLIST else None
    kind = make_dataclass(
        "Asked",
        [
            ("level", Level | None, field(default=level)),
            *((name, Wanted, key(path)) for name, path in paths.items()),
        ],
        bases=(Queryable,),
        namespace={"model": chosen},
        frozen=True,
        kw_only=True,
    )
    query = kind(**{name: asked[path] for name, path in paths.items() if asked.get(path)})
    query.identifier()  # what can't be asked is said before anybody is connected to
    return Question(query, paths, list(columns.values()))


def _model(depth: Depth, name: str) -> InformationModel:
    if name:
        return MODELS[name]
    return {Depth.WORKLIST: MODALITY_WORKLIST, Depth.PATIENT: PATIENT_ROOT}.get(depth, STUDY_ROOT)


def _key(word: str) -> tuple[str, Wanted]:
    path, _, text = word.partition("=")
    vr = vr_of_key(path.rpartition(".")[2], path)
    if vr == "UI":
        return path, _uids(text)
    return path, _range(text) if vr in {"DA", "TM"} else text


def _range(text: str) -> Wanted:
    """Read dates or times: one, or two with a dash between, either of which may be missing."""
    first, dash, last = text.partition("-")
    return Range(first, last) if dash and (first or last) else text


def _uids(text: str) -> Wanted:
    uids = [uid for uid in text.split(",") if uid]
    return uids if len(uids) > 1 else "".join(uids)
