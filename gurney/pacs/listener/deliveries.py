"""What a listener takes by C-STORE: into a folder, and on to those who expect it (PS3.4 B.2, C.4.2)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from gurney.dicom.errors import FORGIVABLE
from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import ReadPolicy
from gurney.errors import DicomFileError
from gurney.pacs.listener.intake import Calling
from gurney.pacs.retrieve.retrieval import Retrieval
from gurney.pacs.wire.inbound import Inbox, IncomingDataset, Received
from gurney.pacs.wire.shortfall import Shortfall

__all__ = ["Deliveries", "Expectation", "IncomingContent"]

_PATIENT_ID = 0x00100020
# A storage commitment of 100,000 instances takes about so much.
_LONGEST_IN_MEMORY = 1 << 24
# Headers are read only to tell retrieves apart: whatever can be read is good enough.
_LENIENT = ReadPolicy(forgive=FORGIVABLE)


class IncomingContent(IncomingDataset):
    """The data set of whatever message comes: an instance goes to a file, all else stays in memory.

    Which of the two shows when its first byte comes, since its command set is here by then. Nothing is kept of what is
    too long.
    """

    def __init__(self, folder: Path, limit: int | None, is_instance: Callable[[], bool]) -> None:
        super().__init__(folder, limit)
        self._is_instance = is_instance
        self._is_overlong = False

    def write(self, data: Any, /) -> int:
        """Take the next fragment."""
        if self._is_instance():
            return super().write(data)
        length = memoryview(data).nbytes
        if self._is_overlong or self.tell() + length > _LONGEST_IN_MEMORY:
            self._is_overlong = True
            self.seek(0)
            self.truncate()
            return length
        return BytesIO.write(self, data)


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """What somebody waits for: what has arrived of it, and what of ours kept instances from being stored meanwhile."""

    what: Retrieval
    shortfall: Shortfall
    arrivals: SimpleQueue[Received] = field(default_factory=SimpleQueue)


class Deliveries:
    """Take instances into a folder. What arrives is told apart by its own UIDs.

    A Move Originator Message ID is optional (PS3.7 9.1.1.1.8), and one peer may send for many moves at once.
    """

    def __init__(self, folder: Path, limit: int | None = None, *, durable: bool = True) -> None:
        self.folder, self.limit = folder, limit
        self._guard = threading.Lock()
        self._waiting: tuple[Expectation, ...] = ()
        self._inbox = Inbox(folder, self._pass_on, limit, self._tell_of, durable=durable)

    def inbox_for(self, calling: Calling) -> Inbox:  # noqa: ARG002 - one folder for whoever calls
        """Give what keeps the instances of an association."""
        return self._inbox

    @contextmanager
    def expecting(self, what: Retrieval) -> Iterator[Expectation]:
        """Tell what arrives of a retrieve, and what does not for want of room here, inside the block."""
        one = Expectation(what, Shortfall(self.folder, self.limit))
        with self._guard:
            self._waiting = (*self._waiting, one)
        try:
            yield one
        finally:
            with self._guard:
                self._waiting = tuple(other for other in self._waiting if other is not one)

    def _pass_on(self, received: Received) -> None:
        for one in self._waiting:
            if _is_of(received, one.what):
                one.arrivals.put(received)

    def _tell_of(self, failure: OSError) -> None:
        # Of what could not be kept nobody knows whose it was; what is too long may be of another's study.
        for one in self._waiting:
            one.shortfall.note(failure)


def _is_of(received: Received, what: Retrieval) -> bool:
    """Tell whether an instance belongs to a retrieve, by what its own header says."""
    try:
        fd = os.open(received.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        # Whoever got it from another peer has moved it already: it is safe, and nobody's news.
        return False
    try:
        header = read_part10(fd, wanted=frozenset({_PATIENT_ID}), policy=_LENIENT)
    except DicomFileError:
        return False
    finally:
        os.close(fd)
    return what.covers(
        patient_id=str(header.value(_PATIENT_ID) or ""),
        study_instance_uid=header.study_instance_uid,
        series_instance_uid=header.series_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
    )
