"""What is to be retrieved, and how its sub-operations go (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from gurney.dicom.status import Category, categorise
from gurney.pacs.inbound import Received
from gurney.pacs.models import InformationModel, Level
from gurney.pacs.stream import Stream

__all__ = ["Progression", "Retrieval", "Retrieving", "SubOperations"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieval:
    """A patient, or studies, series or instances, by their unique keys; the lowest one given is the level.

    Above the level there is one UID each; at it there may be a list.
    """

    patient_id: str = field(default="", repr=False)
    study_instance_uid: str | Sequence[str] = ""
    series_instance_uid: str | Sequence[str] = ""
    sop_instance_uid: str | Sequence[str] = ""

    @property
    def level(self) -> Level:
        """The Query/Retrieve Level. Raises ValueError when nothing is named."""
        for level, value in reversed(self._keys()):
            if value:
                return level
        raise ValueError("nothing to retrieve: name a patient, a study, a series or an instance")

    def identifier(self, model: InformationModel) -> Dataset:
        """Make the identifier (PS3.4 C.4.2.1.4). Raises ValueError for what a peer would refuse."""
        level = self.level
        if level not in model.levels:
            raise ValueError(f"the {model.name} model retrieves no {level.lower()}")
        made = Dataset()
        made.QueryRetrieveLevel = level.value
        for above, value in self._keys():
            if above not in model.levels:
                continue
            if not value:
                raise ValueError(f"at level {level} the {_KEYWORDS[above]} must be named as well")
            values = [value] if isinstance(value, str) else list(value)
            if above is not level and len(values) > 1:
                raise ValueError(f"{_KEYWORDS[above]} is above level {level}: only one of them can be named")
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
class Progression:
    """The last that a peer has reported."""

    last: SubOperations | None = None


class Retrieving(Stream[Received]):
    """The instances of one retrieve as they arrive."""

    def __init__(self, arrivals: Generator[Received], progression: Progression) -> None:
        super().__init__(arrivals)
        self._progression = progression

    @property
    def progress(self) -> SubOperations | None:
        """What the peer reported last, None before its first report. It proves nothing: what arrived does."""
        return self._progression.last
