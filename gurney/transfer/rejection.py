"""What an A-ASSOCIATE-RJ asks for (PS3.8 9.3.4): result, source and reason decide together.

"Permanent" is what the standard calls result 1, but archives reject permanently while they boot, and a rejection by the
presentation layer passes although it says that it won't. Only what names a configuration holds a destination.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from gurney.transfer.outcomes import DestinationHistory, Event

__all__ = ["REJECTS_BEFORE_HOLD", "Reading", "Rejection", "read_rejection"]

REJECTS_BEFORE_HOLD = 8
"""Permanent rejections without a reason in a row. With the breaker's waits, they take five minutes: time to boot."""


class Reading(Enum):
    """What a rejection means for the destination."""

    TRANSIENT = auto()
    CROWDED = auto()  # no more associations for now: use fewer
    UNEXPLAINED = auto()  # permanent, but without a reason: hold only when it goes on
    CONFIGURATION = auto()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejection's meaning and its words for people."""

    reading: Reading
    words: str


# By result, source and reason; what is not listed falls back to its result and source, then to its result.
_TABLE: dict[tuple[int | None, ...], Rejection] = {
    (1, 1, 1): Rejection(Reading.UNEXPLAINED, "permanently, no reason given"),
    (1, 1, 2): Rejection(Reading.CONFIGURATION, "the peer does not support the DICOM application context"),
    (1, 1, 3): Rejection(Reading.CONFIGURATION, "the peer must know our calling AE title{calling}"),
    (1, 1, 7): Rejection(Reading.CONFIGURATION, "the peer does not answer to the called AE title{called}"),
    (1, 2, 1): Rejection(Reading.TRANSIENT, "no reason given by the association layer"),
    (1, 2, 2): Rejection(Reading.CONFIGURATION, "the peer does not support our protocol version"),
    (1, 3): Rejection(Reading.TRANSIENT, "by the presentation layer"),
    (1,): Rejection(Reading.UNEXPLAINED, "permanently, for a reason that the standard does not define"),
    (2, 3, 1): Rejection(Reading.TRANSIENT, "temporary congestion"),
    (2, 3, 2): Rejection(Reading.CROWDED, "the peer's limit of associations is reached"),
}
_FOR_NOW = Rejection(Reading.TRANSIENT, "for now")


def read_rejection(event: Event, destination: DestinationHistory) -> Rejection:
    """Read the result, source and reason of an A-ASSOCIATE-RJ; the words name the AE title that is not known."""
    code = (event.result, event.source, event.reason)
    found = next((_TABLE[code[:length]] for length in (3, 2, 1) if code[:length] in _TABLE), _FOR_NOW)
    words = found.words.format(
        calling=_quoted(destination.calling_ae_title), called=_quoted(destination.called_ae_title)
    )
    shown = "/".join("?" if part is None else str(part) for part in code)
    return Rejection(found.reading, f"association rejected ({shown}): {words}")


def _quoted(ae_title: str) -> str:
    return f" {ae_title!r}" if ae_title else ""
