"""What a fake PACS remembers."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from gurney.pacs.testing.request import Request
from gurney.pacs.testing.script import ScriptFailed

__all__ = ["Record", "Stored"]


@dataclass(frozen=True, slots=True)
class Stored:
    """An instance that was acknowledged with success or a warning.

    ``digest`` is the SHA-256 of its data set's bytes, ``association`` the number of the association that brought it.
    """

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    size: int
    status: int
    association: int


class Record:
    """The memory of one fake PACS, shared by its connections."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._stored: list[Stored] = []
        self._endings: list[str] = []
        self._requests: list[Request] = []
        self._guests = 0
        self._failures: list[ScriptFailed] = []
        self.longest_pdu = 0
        self.cancels = 0

    def enter(self) -> int:
        """Count an association that is being requested; return how many there are now."""
        with self._lock:
            self._guests += 1
            return self._guests

    def leave(self, ending: str) -> None:
        """Count an association out, with how the other side ended it."""
        with self._lock:
            self._guests -= 1
            self._endings.append(ending)

    def fail(self, failure: ScriptFailed) -> None:
        """Remember a script that failed."""
        with self._lock:
            self._failures.append(failure)

    @property
    def failures(self) -> list[ScriptFailed]:
        """The scripts that failed, in order."""
        with self._lock:
            return list(self._failures)

    def note_pdu(self, length: int) -> None:
        """Remember the longest P-DATA-TF."""
        self.longest_pdu = max(self.longest_pdu, length)

    def store(self, stored: Stored) -> None:
        """Remember what is about to be acknowledged."""
        with self._lock:
            self._stored.append(stored)

    def ask(self, request: Request) -> None:
        """Remember a request that is no C-STORE."""
        with self._lock:
            self._requests.append(request)

    @property
    def requests(self) -> list[Request]:
        """What was asked besides C-STOREs, in order."""
        with self._lock:
            return list(self._requests)

    @property
    def stored(self) -> list[Stored]:
        """What was acknowledged, in order."""
        with self._lock:
            return list(self._stored)

    @property
    def endings(self) -> list[str]:
        """How associations ended."""
        with self._lock:
            return list(self._endings)
