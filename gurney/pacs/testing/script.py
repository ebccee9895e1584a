"""What a fake PACS can be told to do with an association or an instance."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

__all__ = [
    "Accept",
    "AssociationAct",
    "Break",
    "Garbage",
    "Gate",
    "How",
    "InPlaceOfAccept",
    "InstanceAct",
    "Reject",
    "Respond",
    "Script",
    "Stall",
    "When",
]


class When(Enum):
    """At which moment of an instance."""

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
class Respond:
    """Answer with a status, and whatever may be odd about it.

    ``wrong_message_id`` and ``wrong_context_id`` answer something that was not asked; ``status`` None leaves it out.
    ``pdvs`` cuts the response into so many fragments, ``one_pdu`` says whether they share a PDU. ``ask_first`` sends a
    C-ECHO-RQ of the peer's own before the response. At a closed ``gate`` the response waits; the instance counts as
    stored even if whoever sent it has gone by the time the gate opens, as it does with a PACS that stores before it
    answers.
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
class Garbage:
    """Send these bytes in place of the response."""

    sent: bytes


InstanceAct = Respond | Stall | Break | Garbage


@dataclass(frozen=True, slots=True)
class Accept:
    """Accept an association. ``refuse`` maps a SOP class, or a (SOP class, transfer syntax) pair, to a result.

    ``other_syntax`` accepts in that transfer syntax, whatever was proposed. At a closed ``gate`` the answer waits.
    """

    max_pdu: int = 131072
    refuse: Mapping[str | tuple[str, str], int] = field(default_factory=dict)
    other_syntax: str = ""
    delay: float = 0.0
    gate: Gate | None = None


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


class Script:
    """Which act follows: by SOP Instance UID first, else by number, counted from 1 over the PACS's whole life."""

    def __init__(self, instance: InstanceAct, association: AssociationAct) -> None:
        self.instance_default = instance
        self.association_default = association
        self.by_uid: dict[str, list[InstanceAct]] = {}
        self.by_number: dict[int, InstanceAct] = {}
        self.by_association: dict[int, AssociationAct] = {}
        self.instances = 0
        self.associations = 0
        self._lock = threading.Lock()

    def next_instance(self, sop_instance_uid: str) -> InstanceAct:
        """Return the act for an instance whose command set has come. Acts of one UID are used up in turn."""
        with self._lock:
            self.instances += 1
            if acts := self.by_uid.get(sop_instance_uid):
                return acts.pop(0)
            return self.by_number.pop(self.instances, self.instance_default)

    def next_association(self) -> tuple[int, AssociationAct]:
        """Return the number of a requested association and its act."""
        with self._lock:
            self.associations += 1
            return self.associations, self.by_association.pop(self.associations, self.association_default)
