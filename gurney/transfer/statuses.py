"""What each C-STORE status asks for (PS3.4 B.2.3, PS3.7 Annex C).

A table of ranges, first match wins; what it does not name is :attr:`Verdict.UNKNOWN` and is retried like a
fault that may pass, because a peer's private code says nothing about whose fault it was.
"""

from __future__ import annotations

from enum import Enum, auto

from gurney.dicom.status import describe

__all__ = ["ALERTING_WARNINGS", "DUPLICATE_INVOCATION", "Verdict", "say", "verdict"]

DUPLICATE_INVOCATION = 0x0210

# The peer stored something else than what it was sent: elements discarded, data set not matching its SOP class.
ALERTING_WARNINGS = frozenset({0xB006, 0xB007})


class Verdict(Enum):
    """What a status means for the item before anything is known of its neighbours."""

    STORED = auto()
    WARNED = auto()  # stored, with a warning
    DUPLICATE = auto()
    CROWDED = auto()  # out of resources
    AMBIGUOUS = auto()  # the item's fault or the destination's
    PERMANENT = auto()
    SOP_CLASS_REFUSED = auto()
    NOT_AUTHORISED = auto()
    SAME_MESSAGE_ID = auto()
    UNKNOWN = auto()


_TABLE: tuple[tuple[int, int, Verdict], ...] = (
    (0x0000, 0x0000, Verdict.STORED),
    (0x0001, 0x0001, Verdict.WARNED),
    (0x0107, 0x0107, Verdict.WARNED),
    (0x0116, 0x0116, Verdict.WARNED),
    (0xB000, 0xBFFF, Verdict.WARNED),
    (0x0111, 0x0111, Verdict.DUPLICATE),
    (0xA700, 0xA7FF, Verdict.CROWDED),
    (0xA900, 0xA9FF, Verdict.PERMANENT),
    (0xC000, 0xCFFF, Verdict.AMBIGUOUS),
    (0x0110, 0x0110, Verdict.AMBIGUOUS),
    (0x0213, 0x0213, Verdict.AMBIGUOUS),
    (0x0105, 0x0106, Verdict.PERMANENT),
    (0x0112, 0x0115, Verdict.PERMANENT),
    (0x0117, 0x0121, Verdict.PERMANENT),
    (0x0122, 0x0122, Verdict.SOP_CLASS_REFUSED),
    (0x0123, 0x0123, Verdict.PERMANENT),
    (0x0124, 0x0124, Verdict.NOT_AUTHORISED),
    (0x0214, 0x0214, Verdict.NOT_AUTHORISED),  # what PS3.2 prints for it
    (DUPLICATE_INVOCATION, DUPLICATE_INVOCATION, Verdict.SAME_MESSAGE_ID),
    (0x0211, 0x0212, Verdict.PERMANENT),
)


def verdict(status: int) -> Verdict:
    """Look up what a C-STORE status asks for."""
    for first, last, found in _TABLE:
        if first <= status <= last:
            return found
    return Verdict.UNKNOWN


def say(status: int) -> str:
    """Put a status of a C-STORE response into words, its raw code first."""
    return f"status {describe(status)}"
