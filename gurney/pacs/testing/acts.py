"""What a fake PACS can be told to do with an association, an instance, or any other request."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto

from pydicom.dataset import Dataset

__all__ = [
    "Accept",
    "AssociationAct",
    "Break",
    "Counts",
    "Garbage",
    "Gate",
    "How",
    "InPlaceOfAccept",
    "InstanceAct",
    "Operation",
    "Reject",
    "Respond",
    "Stall",
    "When",
]


class Operation(IntEnum):
    """What a message asks for: its Command Field (0000,0100) (PS3.7 E.1)."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_GET = 0x0110
    N_SET = 0x0120
    N_ACTION = 0x0130
    N_CREATE = 0x0140
    N_DELETE = 0x0150
    C_CANCEL = 0x0FFF


class When(Enum):
    """At which moment of a request."""

    BEFORE = auto()  # its command set has come, nothing of its data set
    MIDDLE = auto()  # the first fragment of its data set has come
    AFTER = auto()  # it has come wholly, in place of the response
    ANSWERED = auto()  # right behind a good response


class How(Enum):
    """In which way an association ends."""

    ABORT = auto()  # A-ABORT, then close
    ABORT_AND_STAY = auto()  # A-ABORT, but the connection stays open and unread
    RELEASE = auto()  # A-RELEASE-RQ, which an acceptor should never have to send
    CLOSE = auto()  # FIN
    RESET = auto()  # RST


class Gate:
    """Where requests that have wholly come wait for their answer until the test opens it."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._opened = threading.Event()

    def wait_until_reached(self, seconds: float = 30.0) -> None:
        """Wait until a request stands here. Raises TimeoutError."""
        if not self._reached.wait(seconds):
            raise TimeoutError(f"nothing came to the gate within {seconds:g} seconds")

    def open(self) -> None:
        """Let through whatever waits or comes."""
        self._opened.set()

    def arrive(self, patience: float) -> bool:
        """Wait for so many seconds, for the PACS; tell whether the gate is open."""
        self._reached.set()
        return self._opened.wait(patience)


@dataclass(frozen=True, slots=True)
class Stall:
    """Fall silent and read no more, keeping the connection open."""

    when: When = When.AFTER


@dataclass(frozen=True, slots=True)
class Break:
    """End the association without being asked."""

    how: How = How.ABORT
    when: When = When.AFTER
    source: int = 0
    reason: int = 0


@dataclass(frozen=True, slots=True)
class Counts:
    """What a response says of its sub-operations; None leaves a count out."""

    remaining: int | None = None
    completed: int | None = None
    failed: int | None = None
    warning: int | None = None


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer with a status, and whatever may be odd about it.

    ``dataset`` goes with it: a match, a list of failed instances, attributes; bytes go as they are. ``counts`` are
    those of a retrieve. ``elements`` replace what its command set says, by element number in group 0000; None leaves
    one out.

    ``wrong_message_id`` and ``wrong_context_id`` answer something that was not asked; ``status`` None leaves it out.
    ``pdvs`` cuts the response's command set into so many fragments, ``one_pdu`` says whether they share a PDU.
    ``ask_first`` sends a C-ECHO-RQ of the peer's own before the response. ``middle`` happens once its first fragment
    has gone. With ``endless`` no fragment is ever the last: these bytes, perhaps none, follow over and over.

    At a closed ``gate`` the response waits; an instance counts as stored even if whoever sent it has gone by the time
    the gate opens, as it does with a PACS that stores before it answers.
    """

    status: int | None = 0x0000
    comment: str = ""
    offending_elements: tuple[int, ...] = ()
    delay: float = 0.0
    wrong_message_id: bool = False
    wrong_context_id: bool = False
    pdvs: int = 1
    one_pdu: bool = False
    drip: float = 0.0
    ask_first: bool = False
    gate: Gate | None = None
    dataset: Dataset | bytes | None = None
    counts: Counts | None = None
    elements: Mapping[int, bytes | None] = field(default_factory=dict)
    middle: Break | Stall | None = None
    endless: bytes | None = None

    @property
    def is_honest(self) -> bool:
        """Tell whether it answers what was asked, with a status."""
        return not self.wrong_message_id and not self.wrong_context_id and self.status is not None


@dataclass(frozen=True, slots=True)
class Garbage:
    """Send these bytes in place of the response."""

    sent: bytes


InstanceAct = Respond | Stall | Break | Garbage
"""What can be done with an instance."""


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept an association. ``refuse`` maps a SOP class, or a (SOP class, transfer syntax) pair, to a result.

    ``other_syntax`` accepts in that transfer syntax, whatever was proposed. At a closed ``gate`` the answer waits.
    ``release`` happens in place of the confirmation when the peer asks to release.
    """

    max_pdu: int = 131072
    refuse: Mapping[str | tuple[str, str], int] = field(default_factory=dict)
    other_syntax: str = ""
    delay: float = 0.0
    gate: Gate | None = None
    release: Break | Stall | None = None


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer with A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int


class InPlaceOfAccept(Enum):
    """What to do in place of answering an association request."""

    CLOSE = auto()
    RESET = auto()
    ABORT = auto()
    SILENCE = auto()
    GARBAGE = auto()
    HALF_AN_ANSWER = auto()


AssociationAct = Accept | Reject | InPlaceOfAccept
"""What can be done with the request of an association."""
