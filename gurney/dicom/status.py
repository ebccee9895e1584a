"""What a DIMSE status means: its category, and words for people (PS3.7 Annex C, PS3.4 B.2.3, C.4).

Status codes are one space with ranges, but some mean different things in different services; :func:`describe` takes the
service for those. What a status makes a worker *do* is decided in :mod:`gurney.transfer.retry`, not here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

__all__ = ["Category", "Service", "categorise", "describe", "is_stored"]


class Category(StrEnum):
    """The standard's five, and one for what it does not define."""

    SUCCESS = "success"
    WARNING = "warning"
    PENDING = "pending"
    CANCEL = "cancel"
    FAILURE = "failure"
    UNKNOWN = "unknown"


class Service(StrEnum):
    """The operations whose statuses are told apart."""

    C_STORE = "C-STORE"
    C_FIND = "C-FIND"
    C_MOVE = "C-MOVE"
    C_GET = "C-GET"
    C_ECHO = "C-ECHO"
    N_CREATE = "N-CREATE"
    N_SET = "N-SET"
    N_GET = "N-GET"
    N_ACTION = "N-ACTION"
    N_DELETE = "N-DELETE"


# PS3.7 Annex C: statuses that mean the same in every service.
_GENERAL: Final = {
    0x0000: "success",
    0x0001: "success, with optional attributes unsupported",
    0x0105: "no such attribute",
    0x0106: "invalid attribute value",
    0x0107: "attribute list error",
    0x0110: "processing failure",
    0x0111: "duplicate SOP instance",
    0x0112: "no such SOP instance",
    0x0113: "no such event type",
    0x0114: "no such argument",
    0x0115: "invalid argument value",
    0x0116: "attribute value out of range",
    0x0117: "invalid SOP instance",
    0x0118: "no such SOP class",
    0x0119: "class and instance conflict",
    0x0120: "missing attribute",
    0x0121: "missing attribute value",
    0x0122: "SOP class not supported",
    0x0123: "no such action type",
    0x0124: "not authorised",
    0x0210: "duplicate invocation",
    0x0211: "unrecognised operation",
    0x0212: "mistyped argument",
    0x0213: "resource limitation",
    0xFE00: "cancelled",
}

# First and last status, words; the first row that fits counts.
_Rows = tuple[tuple[int, int, str], ...]
_STORE: Final[_Rows] = (
    (0xA700, 0xA7FF, "out of resources"),
    (0xA900, 0xA9FF, "the data set does not match its SOP class"),
    (0xB000, 0xB000, "stored, with data elements coerced"),
    (0xB006, 0xB006, "stored, with elements discarded"),
    (0xB007, 0xB007, "stored, although the data set does not match its SOP class"),
    (0xC000, 0xCFFF, "the peer cannot understand the instance"),
)
_FIND: Final[_Rows] = (
    (0xA700, 0xA700, "out of resources"),
    (0xA710, 0xA710, "the peer refuses a search without keys it requires"),
    (0xA900, 0xA9FF, "the identifier does not match the SOP class"),
    (0xB001, 0xB001, "the peer's limit of matches is reached, another query may find more"),
    (0xC000, 0xCFFF, "unable to process the query"),
    (0xFF00, 0xFF00, "pending, a match follows"),
    (0xFF01, 0xFF01, "pending, although some optional keys are not supported"),
)
_MOVE: Final[_Rows] = (
    (0xA701, 0xA701, "out of resources: unable to calculate the number of matches"),
    (0xA702, 0xA702, "out of resources: unable to perform sub-operations"),
    (0xA801, 0xA801, "move destination unknown to the peer"),
    (0xA900, 0xA9FF, "the identifier does not match the SOP class"),
    (0xAA00, 0xAA00, "none of the frames requested were found in the instance"),
    (0xAA01, 0xAA01, "unable to create a new object for this SOP class"),
    (0xAA02, 0xAA02, "unable to extract frames"),
    (0xAA03, 0xAA03, "time-based request for an instance without times"),
    (0xAA04, 0xAA04, "invalid request"),
    (0xB000, 0xB000, "completed, with failed or warned sub-operations"),
    (0xC000, 0xCFFF, "unable to process the request"),
    (0xFF00, 0xFF00, "pending, sub-operations continue"),
)
# Of print management (PS3.4 H.4) and media creation (PS3.4 S.3.2): no two of their SOP classes use one status twice.
_NORMALIZED: Final[_Rows] = (
    (0xA510, 0xA510, "media creation has been initiated for this request already"),
    (0xB600, 0xB600, "memory allocation is not supported"),
    (0xB601, 0xB601, "the printer can't collate: the films are printed one by one"),
    (0xB602, 0xB602, "the film session has no image box with an image: an empty page"),
    (0xB603, 0xB603, "the film box has no image box with an image: an empty page"),
    (0xB604, 0xB604, "the image was made smaller to fit"),
    (0xB605, 0xB605, "the densities asked for are outside the printer's range, its own limits are used"),
    (0xB609, 0xB609, "the image was cropped to fit"),
    (0xB60A, 0xB60A, "the image was decimated to fit"),
    (0xC201, 0xC201, "the media creation request is completed already"),
    (0xC202, 0xC202, "media creation is in progress and can't be interrupted"),
    (0xC203, 0xC203, "cancellation denied, for no reason given"),
    (0xC600, 0xC600, "the film session has no film box"),
    (0xC601, 0xC601, "the print queue is full: the film session makes no print job"),
    (0xC602, 0xC602, "the print queue is full: the film box makes no print job"),
    (0xC603, 0xC603, "the image is larger than its image box"),
    (0xC605, 0xC605, "the printer has not enough memory for the image"),
    (0xC613, 0xC613, "the combined print image is larger than its image box"),
    (0xC616, 0xC616, "a film box is not printed yet, and the printer prints no whole film sessions"),
)
_SPECIFIC: Final[dict[Service, _Rows]] = {
    Service.C_STORE: _STORE,
    Service.C_FIND: _FIND,
    Service.C_MOVE: _MOVE,
    Service.C_GET: _MOVE,
    Service.C_ECHO: (),
    Service.N_CREATE: _NORMALIZED,
    Service.N_SET: _NORMALIZED,
    Service.N_GET: _NORMALIZED,
    Service.N_ACTION: _NORMALIZED,
    Service.N_DELETE: _NORMALIZED,
}


def categorise(status: int) -> Category:
    """Sort a status into its category (PS3.7 C.1 to C.5)."""
    if status == 0x0000:
        return Category.SUCCESS
    if status in (0x0001, 0x0107, 0x0116) or 0xB000 <= status <= 0xBFFF:
        return Category.WARNING
    if status in (0xFF00, 0xFF01):
        return Category.PENDING
    if status == 0xFE00:
        return Category.CANCEL
    if 0xA000 <= status <= 0xAFFF or 0xC000 <= status <= 0xCFFF or 0x0100 <= status <= 0x02FF:
        return Category.FAILURE
    return Category.UNKNOWN


def is_stored(status: int) -> bool:
    """Tell whether this C-STORE status says that the peer holds the instance: success, or a warning."""
    return categorise(status) in (Category.SUCCESS, Category.WARNING)


def describe(status: int, service: Service = Service.C_STORE) -> str:
    """Give the status in words for logs and the dashboard, such as ``A700 out of resources (failure)``."""
    return f"{status:04X} {_words(status, service)} ({categorise(status)})"


def _words(status: int, service: Service) -> str:
    for first, last, words in _SPECIFIC[service]:
        if first <= status <= last:
            return words
    return _GENERAL.get(status, "not defined for this service")
