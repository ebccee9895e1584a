"""What is to be retrieved, and how its sub-operations go (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Self

from pydicom.dataset import Dataset

from gurney.dicom.status import Category, categorise
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.display import text_at
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.query.key_rules import check_key
from gurney.pacs.query.matches import Match
from gurney.pacs.query.models import InformationModel, Level
from gurney.pacs.query.raw_identifiers import check_identifier
from gurney.pacs.retrieve.reconciliation import Reconciliation, reconcile
from gurney.pacs.stream import CancellableStream, Course
from gurney.pacs.wire.inbound import Received

__all__ = [
    "Moving",
    "Progression",
    "Retrieval",
    "Retrieving",
    "SubOperations",
    "check_retrieval",
    "check_what",
    "retrieve_identifier",
    "uid_list",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """A patient, or studies, series or instances, by their unique keys; the lowest one given is the level.

    Above the level there is one UID each; at it there may be a list.
    """

    patient_id: str = field(default="", repr=False)
    study_instance_uid: str | Sequence[str] = ""
    series_instance_uid: str | Sequence[str] = ""
    sop_instance_uid: str | Sequence[str] = ""

    @classmethod
    def of(cls, match: Match[Any]) -> Self:
        """Name what a match is about: a patient, a study, a series or an instance.

        Raises InvalidQuery for a match of a worklist, and for one that lacks the unique key of its level or of one
        above.
        """
        levels = match.kind.model.levels
        if match.level is None:
            raise InvalidQuery("match", "is of a worklist: it is nothing to retrieve", "name what belongs to it")
        named: dict[str, str] = {}
        for level in levels[: levels.index(match.level) + 1]:
            named[_FIELDS[level]] = text_at(match.dataset, _KEYWORDS[level])
            if not named[_FIELDS[level]]:
                raise InvalidQuery(_KEYWORDS[level], "is missing in the match", "ask for it, or name what to retrieve")
        return cls(**named)

    @property
    def level(self) -> Level:
        """The Query/Retrieve Level. Raises InvalidQuery when nothing is named."""
        for level, value in reversed(self._keys()):
            if value:
                return level
        raise InvalidQuery("what", "names nothing to retrieve", "name a patient, a study, a series or an instance")

    @property
    def named_instances(self) -> frozenset[str]:
        """The instances that are named one by one."""
        return frozenset(uid_list(self.sop_instance_uid))

    def identifier(self, model: InformationModel) -> Dataset:
        """Make the identifier (PS3.4 C.4.2.1.4). Raises InvalidQuery for what a peer would refuse."""
        level = self.level
        if level not in model.levels:
            raise InvalidQuery("what", f"is a {level.lower()}, and the {model.name} model retrieves none", _OTHER_MODEL)
        made = Dataset()
        made.QueryRetrieveLevel = level.value
        for above, value in self._keys():
            if above not in model.levels:
                continue
            if not value:
                raise InvalidQuery(_KEYWORDS[above], f"must be named as well at level {level}", "name it")
            values = _checked(uid_list(value), above)
            if above is not level and len(values) > 1:
                raise InvalidQuery(_KEYWORDS[above], f"is above level {level}", "name only one of them")
            setattr(made, _KEYWORDS[above], values if len(values) > 1 else values[0])
            if above is level:
                return made
        raise AssertionError("unreachable")

    def covers(
        self, *, patient_id: str, study_instance_uid: str, series_instance_uid: str, sop_instance_uid: str
    ) -> bool:
        """Tell whether an instance with these identifiers is among what is to be retrieved."""
        return all(
            not wanted or found in ([wanted] if isinstance(wanted, str) else wanted)
            for found, (_, wanted) in zip(
                (patient_id, study_instance_uid, series_instance_uid, sop_instance_uid), self._keys(), strict=True
            )
        )

    def _keys(self) -> list[tuple[Level, str | Sequence[str]]]:
        return [
            (Level.PATIENT, self.patient_id),
            (Level.STUDY, self.study_instance_uid),
            (Level.SERIES, self.series_instance_uid),
            (Level.IMAGE, self.sop_instance_uid),
        ]


_KEYWORDS = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


_FIELDS = {
    Level.PATIENT: "patient_id",
    Level.STUDY: "study_instance_uid",
    Level.SERIES: "series_instance_uid",
    Level.IMAGE: "sop_instance_uid",
}

_OTHER_MODEL = "name a level that it has, or take another model"


def uid_list(value: str | Iterable[str]) -> list[str]:
    """Return one UID or several as a list, "" as an empty one. Raises InvalidQuery for anything else."""
    if isinstance(value, str):
        return [value] if value else []
    if not isinstance(value, Iterable):
        raise InvalidQuery(
            "what", f"is no text but of type {type(value).__name__}", "name UIDs as text, or a list of them"
        )
    return [*value]


def _checked(values: list[str], level: Level) -> list[str]:
    """Return unique keys as they may be asked: whole ones, since wildcards would retrieve whatever fits."""
    for value in values:
        if level is not Level.PATIENT and not (isinstance(value, str) and is_valid_uid(value)):
            raise InvalidQuery(_KEYWORDS[level], "is no UID", "digits and dots, 64 characters at most")
        if "*" in check_key(value, "LO", _KEYWORDS[level]) or "?" in value:
            raise InvalidQuery(_KEYWORDS[level], "has a wildcard", "name what to retrieve in full: find it first")
    return values


def retrieve_identifier(what: Retrieval | Dataset, model: InformationModel) -> Dataset:
    """Make the identifier of a retrieve; a raw one is copied as it is, since listeners may change it.

    Raises InvalidQuery for what can't be retrieved.
    """
    if isinstance(what, Retrieval):
        return what.identifier(model)
    if isinstance(what, Dataset):
        return deepcopy(check_what(what, "what"))
    raise InvalidQuery("what", f"is no retrieval but of type {type(what).__name__}", "give a Retrieval or a Dataset")


def check_retrieval(what: Retrieval, model: InformationModel) -> None:
    """Refuse what can't be retrieved, or not proved to have come. Raises InvalidQuery."""
    if isinstance(what, Dataset):
        raise InvalidQuery("what", "is a raw identifier: nobody can tell what it should bring", "give a Retrieval")
    retrieve_identifier(what, model)


def check_what(identifier: Dataset, field: str) -> Dataset:
    """Return an identifier that names something. Raises InvalidQuery for others: a peer might never answer those."""
    check_identifier(identifier, field)
    if not any(text_at(identifier, keyword) for keyword in _KEYWORDS.values()):
        raise InvalidQuery(field, "names nothing to retrieve", f"put one of {', '.join(_KEYWORDS.values())} into it")
    return identifier


@dataclass(frozen=True, slots=True)
class SubOperations:
    """How far a retrieve has come, as the peer says it in one response.

    Counters that it leaves out are None. None of this proves that anything arrived: peers miscount, and answer success
    with failures. Only the instances themselves do.
    """

    status: int
    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None
    failed_sop_instance_uids: tuple[str, ...] = ()

    @property
    def is_final(self) -> bool:
        """Tell whether nothing more comes."""
        return categorise(self.status) is not Category.PENDING


@dataclass(slots=True)
class Progression(Course):
    """The last that a peer has reported, and what should come: None where that is not known."""

    last: SubOperations | None = None
    expected: frozenset[str] | None = None


class Moving(CancellableStream[SubOperations]):
    """The reports of one C-MOVE as they come."""

    def __init__(self, reports: Generator[SubOperations], progression: Progression) -> None:
        self._progression = progression
        super().__init__(reports, progression)

    @property
    def progress(self) -> SubOperations | None:
        """What the peer reported last, None before its first report. It proves nothing of what arrived there."""
        return self._progression.last


class Retrieving(CancellableStream[Received]):
    """The instances of one retrieve as they arrive."""

    def __init__(self, arrivals: Generator[Received], progression: Progression) -> None:
        self._progression = progression
        self._arrived: Counter[str] = Counter()
        super().__init__(self._noted(arrivals), progression)

    @property
    def progress(self) -> SubOperations | None:
        """What the peer reported last, None before its first report. It proves nothing: what arrived does."""
        return self._progression.last

    @property
    def reconciliation(self) -> Reconciliation:
        """What has arrived so far against what should: at the end, whether the retrieve was complete."""
        return reconcile(self._progression.expected, self._arrived.elements())

    def _noted(self, arrivals: Generator[Received]) -> Generator[Received]:
        with closing(arrivals):
            for received in arrivals:
                self._arrived[received.sop_instance_uid] += 1
                yield received
