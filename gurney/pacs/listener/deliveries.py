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

from pynetdicom.dimse_primitives import C_STORE

from gurney.dicom.errors import FORGIVABLE
from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import ReadPolicy
from gurney.errors import DicomFileError
from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.retrieve.retrieval import Retrieval
from gurney.pacs.wire.arrival import Arrival
from gurney.pacs.wire.dimse import Dimse
from gurney.pacs.wire.inbound import Inbox, IncomingDataset, Keeping, Received
from gurney.pacs.wire.shortfall import Shortfall

__all__ = ["Deliveries", "Expectation", "IncomingContent"]

_PATIENT_ID = 0x00100020
_SOP_CLASS_NOT_SUPPORTED, _CANNOT_UNDERSTAND = 0x0122, 0xC000
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

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self.folder, self.limit = folder, limit
        self._guard = threading.Lock()
        self._waiting: tuple[Expectation, ...] = ()
        self._inbox = Inbox(folder, self._pass_on, limit, self._tell_of)

    def keep(self, request: C_STORE, sop_class_uid: str, transfer_syntax_uid: str) -> int:
        """Keep what came in the context of this SOP class and syntax, and return the status to answer (PS3.4 B.2.3)."""
        dataset = request.DataSet
        if not isinstance(dataset, IncomingDataset):
            return _CANNOT_UNDERSTAND
        if str(request.AffectedSOPClassUID) != sop_class_uid:
            dataset.discard()
            return _SOP_CLASS_NOT_SUPPORTED
        return self._inbox.take(sop_class_uid, str(request.AffectedSOPInstanceUID), transfer_syntax_uid, dataset)

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

    def keeping(self, contexts: NegotiatedContexts, dimse: Dimse) -> Keeping:
        """Give what keeps the instances that come from the wire itself on one association."""
        return _Keeping(self._inbox, contexts, dimse)

    def _pass_on(self, received: Received) -> None:
        for one in self._waiting:
            if _is_of(received, one.what):
                one.arrivals.put(received)

    def _tell_of(self, failure: OSError) -> None:
        # Of what could not be kept nobody knows whose it was; what is too long may be of another's study.
        for one in self._waiting:
            one.shortfall.note(failure)


class _Keeping(Keeping):
    """Refuse an instance of another SOP class than its context's, and go on: a peer may send what it likes."""

    def begin(self, sop_class_uid: str, sop_instance_uid: str, context_id: int) -> Arrival | None:
        """Begin to take an instance; None in a context that was never accepted."""
        arrival = super().begin(sop_class_uid, sop_instance_uid, context_id)
        if arrival is None and self.accepts(context_id):
            return Arrival(self.inbox.folder, sop_class_uid, sop_instance_uid, "", status=_SOP_CLASS_NOT_SUPPORTED)
        return arrival


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
