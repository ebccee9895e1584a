"""The Storage SCP to which a C-MOVE can bring what we asked for: one for a process, as long as it is open.

It takes any SOP class that pynetdicom knows, in any transfer syntax, and keeps each instance as a file. What arrives is
told apart by its own UIDs: a Move Originator Message ID is optional, and one peer may send for many moves at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import ThreadedAssociationServer

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.errors import FORGIVABLE
from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import ReadPolicy
from gurney.errors import DicomFileError
from gurney.pacs._seams import take_datasets_into
from gurney.pacs.engine import DicomEngine
from gurney.pacs.inbound import Inbox, IncomingDataset, Received
from gurney.pacs.retrieval import Retrieval

__all__ = ["MoveListener"]

_VERIFICATION = "1.2.840.10008.1.1"
_PATIENT_ID = 0x00100020
_PROCESSING_FAILURE = 0x0110
# What is here is only to be told apart: whatever can be read is good enough.
_LENIENT = ReadPolicy(forgive=FORGIVABLE)


class MoveListener:
    """Listen for what C-MOVEs bring, under an AE title that the archive knows, for the length of a ``with`` block.

    Each instance lands in ``folder`` before it is answered with success. One listener serves any number of moves at a
    time; the engine ends it when it is shut down. Raises OSError where the port can't be had.
    """

    def __init__(self, ae_title: str, folder: Path, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Prepare; with port 0 the system chooses one."""
        self.ae_title, self.folder = check_ae_title(ae_title), folder
        self._address = (host, port)
        self._server: ThreadedAssociationServer | None = None
        self._guard = threading.Lock()
        self._waiting: tuple[tuple[Retrieval, SimpleQueue[Received]], ...] = ()
        self._inbox = Inbox(folder, self._pass_on)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1]) if self._server is not None else self._address[1]

    def __enter__(self) -> Self:
        """Start to listen."""
        DicomEngine.adopt(self)
        ae = AE(self.ae_title)
        ae.require_called_aet = True
        ae.maximum_associations = 32
        for context in AllStoragePresentationContexts:
            ae.add_supported_context(context.abstract_syntax or "", ALL_TRANSFER_SYNTAXES)
        ae.add_supported_context(_VERIFICATION)
        handlers: list[evt.EventHandlerType] = [(evt.EVT_CONN_OPEN, self._greet), (evt.EVT_C_STORE, self._keep)]
        self._server = ae.start_server(self._address, block=False, evt_handlers=handlers)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.abort()

    def abort(self) -> None:
        """Stop listening, and end the associations that are open."""
        with self._guard:
            server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            for association in server.active_associations:
                association.abort()
        DicomEngine.forget(self)

    @contextmanager
    def expecting(self, what: Retrieval) -> Iterator[SimpleQueue[Received]]:
        """Give a queue that gets what arrives of a retrieve inside the block."""
        entry = (what, SimpleQueue[Received]())
        with self._guard:
            self._waiting = (*self._waiting, entry)
        try:
            yield entry[1]
        finally:
            with self._guard:
                self._waiting = tuple(other for other in self._waiting if other is not entry)

    def _greet(self, event: evt.Event) -> None:
        take_datasets_into(event.assoc, lambda: IncomingDataset(self.folder))

    def _keep(self, event: evt.Event) -> int:
        request = event.request
        if not isinstance(request, C_STORE) or not isinstance(request.DataSet, IncomingDataset):
            return _PROCESSING_FAILURE
        return self._inbox.take(
            str(request.AffectedSOPClassUID),
            str(request.AffectedSOPInstanceUID),
            str(event.context.transfer_syntax),
            request.DataSet,
        )

    def _pass_on(self, received: Received) -> None:
        for what, arrivals in self._waiting:
            if _is_of(received, what):
                arrivals.put(received)


def _is_of(received: Received, what: Retrieval) -> bool:
    """Tell whether an instance belongs to a retrieve, by what its own header says."""
    fd = os.open(received.path, os.O_RDONLY | os.O_CLOEXEC)
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
