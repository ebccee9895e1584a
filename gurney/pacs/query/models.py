"""Information models as values: what is asked of which SOP class (PS3.4 annexes C, K and CC)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = [
    "GENERAL_PURPOSE_WORKLIST",
    "MODALITY_WORKLIST",
    "PATIENT_ROOT",
    "PATIENT_STUDY_ONLY",
    "STUDY_ROOT",
    "UPS_PULL",
    "InformationModel",
    "Level",
]


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052) (PS3.4 C.3.1)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class InformationModel:
    """The SOP classes of one model; "" where it has none. A model without levels is a worklist."""

    name: str
    find: str
    move: str = ""
    get: str = ""
    levels: tuple[Level, ...] = ()


STUDY_ROOT: Final = InformationModel(
    "Study Root",
    "1.2.840.10008.5.1.4.1.2.2.1",
    "1.2.840.10008.5.1.4.1.2.2.2",
    "1.2.840.10008.5.1.4.1.2.2.3",
    (Level.STUDY, Level.SERIES, Level.IMAGE),
)
PATIENT_ROOT: Final = InformationModel(
    "Patient Root",
    "1.2.840.10008.5.1.4.1.2.1.1",
    "1.2.840.10008.5.1.4.1.2.1.2",
    "1.2.840.10008.5.1.4.1.2.1.3",
    (Level.PATIENT, Level.STUDY, Level.SERIES, Level.IMAGE),
)
# Retired in 2004, and still what some archives offer.
PATIENT_STUDY_ONLY: Final = InformationModel(
    "Patient/Study Only",
    "1.2.840.10008.5.1.4.1.2.3.1",
    "1.2.840.10008.5.1.4.1.2.3.2",
    "1.2.840.10008.5.1.4.1.2.3.3",
    (Level.PATIENT, Level.STUDY),
)
MODALITY_WORKLIST: Final = InformationModel("Modality Worklist", "1.2.840.10008.5.1.4.31")
# Retired in 2011.
GENERAL_PURPOSE_WORKLIST: Final = InformationModel("General Purpose Worklist", "1.2.840.10008.5.1.4.32.1")
UPS_PULL: Final = InformationModel("Unified Procedure Step Pull", "1.2.840.10008.5.1.4.34.6.3")
