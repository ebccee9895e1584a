"""Instances that come in over an association: to files, never whole through memory (PS3.10 7, PS3.4 B.2)."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from pynetdicom.dimse_primitives import C_STORE, DimseServiceType

from gurney.dicom.status import Service, describe
from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.errors import BadResponse, FolderFailed
from gurney.pacs.wire.arrival import OUT_OF_RESOURCES, STORED, Arrival, Ration, TooLong, secure_names
from gurney.pacs.wire.dimse import Dimse
from gurney.pacs.wire.leftovers import clear_leftovers_once
from gurney.pacs.wire.shortfall import Shortfall

__all__ = [
    "EagerInbox",
    "Inbox",
    "IncomingDataset",
    "Keeping",
    "Received",
    "answer_to",
    "check_max_instance_bytes",
]

_log = logging.getLogger(__name__)

_IN_MEMORY = 1 << 16
_COPY_STEP = 1 << 20
# Each instance that waits to be made safe is an open file, and a process may have only a thousand or so.
_BATCH, _BATCH_SECONDS = 100, 0.5
_MOST_BATCHES = 2


@dataclass(frozen=True, slots=True)
class Received:
    """An instance that has arrived, whole and on disk."""

    path: Path = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class IncomingDataset(BytesIO):
    """The data set of a message that pynetdicom receives: in memory while it is short, then in a file of the folder.

    pynetdicom writes each fragment into it, in its upper-layer thread. A failure of the disk, or more than ``limit``
    bytes, is remembered for whoever answers the message.
    """

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        super().__init__()
        self._ration = Ration(limit)
        self._folder = folder
        self._file: BinaryIO | None = None
        self.error: OSError | None = None

    @property
    def is_endless(self) -> bool:
        """Tell whether it goes on far beyond its limit."""
        return self._ration.is_endless

    def write(self, data: Any, /) -> int:
        """Take the next fragment."""
        length = memoryview(data).nbytes
        if not self._ration.takes(length) and self.error is None:
            self.error = TooLong()
            self.discard()
        if self.error is not None:
            return length
        if self._file is None and self.tell() + length <= _IN_MEMORY:
            return super().write(data)
        try:
            self._spilled().write(data)
        except OSError as error:
            self.error = error
            # Now, not at the end of the message, which may be far off or never come: others need what room there is.
            self.discard()
        return length

    def pour(self, arrival: Arrival) -> None:
        """Pass everything on to an arrival. Raises OSError, also for a write that failed earlier."""
        if self.error is not None:
            raise self.error
        if self._file is None:
            arrival.write(self.getvalue())
            return
        self._file.seek(0)
        while piece := self._file.read(_COPY_STEP):
            arrival.write(piece)

    def getvalue(self) -> bytes:
        """Return everything, as for a report that came among instances. Raises OSError."""
        if self.error is not None:
            raise self.error
        if self._file is not None:
            self._file.seek(0)
            content = self._file.read()
            self.discard()
            super().write(content)
        return super().getvalue()

    def discard(self) -> None:
        """Let go of what was written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def close(self) -> None:
        """Let go of everything: so does the garbage collector with a message that was cut off."""
        self.discard()
        super().close()

    def _spilled(self) -> BinaryIO:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - for as long as the message lasts
            self._file.write(self.getbuffer())
            self.seek(0)
            self.truncate()
        return self._file


class Inbox:
    """A folder that takes what a peer stores. ``on_received`` hears of each instance once it is safe.

    An instance of more than ``limit`` bytes is refused. ``on_failed`` hears of what of ours kept one from being stored.
    Without ``durable`` the system may write whenever it likes.
    """

    def __init__(
        self,
        folder: Path,
        on_received: Callable[[Received], object],
        limit: int | None = None,
        on_failed: Callable[[OSError], object] = lambda _: None,
        *,
        durable: bool = True,
    ) -> None:
        self._is_durable = durable
        self.folder = folder
        self.limit = limit
        self._on_received = on_received
        self._on_failed = on_failed

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Arrival:
        """Begin to take an instance, to be kept as ``<SOP Instance UID>.dcm``."""
        return Arrival(self.folder, sop_class_uid, sop_instance_uid, transfer_syntax_uid, self.limit)

    def keep(self, arrival: Arrival) -> int:
        """Make an instance that has come whole safe, and return the status to answer (PS3.4 B.2.3)."""
        status = self._closed(arrival)
        if status != STORED:
            return status
        try:
            arrival.settle(durable=self._is_durable)
            if self._is_durable:
                secure_names(self.folder)
        except OSError as error:
            self.note(error)
            return OUT_OF_RESOURCES
        self._on_received(_received(arrival))
        return STORED

    def take(
        self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, dataset: IncomingDataset
    ) -> int:
        """Keep an instance that pynetdicom received, and return the status to answer."""
        arrival = self.begin(sop_class_uid, sop_instance_uid, transfer_syntax_uid)
        try:
            dataset.pour(arrival)
        except OSError as error:
            arrival.refuse(error)
        finally:
            dataset.discard()
        return self.keep(arrival)

    def _closed(self, arrival: Arrival) -> int:
        """Say what to answer, and in the log why it is no success: the peer tells nobody what we have told it."""
        status = arrival.close()
        if arrival.failure is not None:
            self.note(arrival.failure)
        elif status != STORED:
            _log.warning("instance_refused status=%r", describe(status, Service.C_STORE))
        return status

    def note(self, failure: OSError) -> None:
        """Log what kept an instance from being stored, where the fault is ours and not the peer's."""
        # Neither the folder nor the instance: a path may name a patient.
        _log.warning("instance_not_kept reason=%r", failure.strerror or type(failure).__name__)
        self._on_failed(failure)


class EagerInbox(Inbox):
    """An inbox that answers before an instance is safe on disk, and hands it out once it is.

    For a C-GET, whose archive keeps what it sends: nobody hears of an instance before it is safe. So the disk works
    while the next ones come, and on many at a time, since each commit of a filesystem's journal holds up whoever opens
    a file. Without ``durable`` the system may write whenever it likes.
    """

    def __init__(self, folder: Path, *, durable: bool = True, limit: int | None = None) -> None:
        self.shortfall = Shortfall(folder, limit)
        super().__init__(folder, lambda _: None, limit, self.shortfall.note, durable=durable)
        self._settler = ThreadPoolExecutor(1, thread_name_prefix="settle")
        self._batch: list[Arrival] = []
        self._begun = 0.0
        self._settling: deque[Future[tuple[list[Received], OSError | None]]] = deque()

    def __enter__(self) -> Self:
        clear_leftovers_once(self.folder)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave nothing half kept: what nobody takes out any more is made safe all the same."""
        self._settle()
        self._settler.shutdown()

    def keep(self, arrival: Arrival) -> int:
        """Return the status to answer; what came whole is made safe before long."""
        status = self._closed(arrival)
        if status == STORED:
            if not self._batch:
                self._begun = time.monotonic()
            self._batch.append(arrival)
            if len(self._batch) == _BATCH or time.monotonic() - self._begun > _BATCH_SECONDS:
                self._settle()
        return status

    def use_lull(self) -> bool:
        """Begin to make safe what waits, since nothing comes; tell whether :meth:`settled` has something to give."""
        self._settle()
        return bool(self._settling) and self._settling[0].done()

    def settled(self, *, at_the_end: bool = False) -> Iterator[Received]:
        """Give out what is safe now, in order; at the end everything, as soon as it is.

        Raises FolderFailed for an instance that can't be kept, though the peer was told that it is.
        """
        if at_the_end:
            self._settle()
        while self._settling and (at_the_end or self._settling[0].done() or len(self._settling) > _MOST_BATCHES):
            received, failure = self._settling.popleft().result()
            yield from received
            if failure is not None:
                raise FolderFailed(self.folder, failure) from failure

    def _settle(self) -> None:
        batch, self._batch = self._batch, []
        if batch:
            self._settling.append(self._settler.submit(_settled, self.folder, batch, durable=self._is_durable))
            # Where the peer reports nothing on the way, nobody asks for what is settled: then the disk is waited for
            # here.
            wait(list(self._settling)[:-_MOST_BATCHES])


def check_max_instance_bytes(limit: int | None) -> int | None:
    """Return a limit, None for no limit. Raises ValueError for anything else than a positive number of bytes."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ValueError(f"max_instance_bytes must be a positive number of bytes, or None for no limit, not {limit!r}")
    return limit


def _settled(folder: Path, batch: list[Arrival], *, durable: bool) -> tuple[list[Received], OSError | None]:
    """Make a batch safe; return what is, and a failure if another is not."""
    failure: OSError | None = None
    received = []
    if durable:
        for arrival in batch:
            arrival.hasten()
    for arrival in batch:
        try:
            arrival.settle(durable=durable)
        except OSError as error:
            failure = error
        else:
            received.append(_received(arrival))
    if durable:
        try:
            secure_names(folder)
        except OSError as error:
            return [], error
    return received, failure


def _received(arrival: Arrival) -> Received:
    return Received(arrival.path, arrival.sop_class_uid, arrival.sop_instance_uid, arrival.transfer_syntax_uid)


def answer_to(request: C_STORE, status: int) -> C_STORE:
    """Make the response to a C-STORE-RQ (PS3.7 9.1.1)."""
    response = C_STORE()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
    response.Status = status
    return response


class Keeping:
    """Answer the C-STOREs that a peer makes on an association of ours with the status that an inbox gives each."""

    def __init__(self, inbox: Inbox, contexts: NegotiatedContexts, dimse: Dimse) -> None:
        self.inbox, self._dimse = inbox, dimse
        self._contexts = {context.context_id: context for context in contexts.all if context.is_accepted}

    def __call__(self, message: DimseServiceType, context_id: int) -> bool:
        """Keep an instance that pynetdicom received and answer; False for any other message."""
        if not isinstance(message, C_STORE) or not isinstance(message.DataSet, IncomingDataset):
            return False
        sop_class_uid, sop_instance_uid = str(message.AffectedSOPClassUID), str(message.AffectedSOPInstanceUID)
        syntax = self.syntax_of(sop_class_uid, context_id)
        if syntax is None:
            message.DataSet.discard()
            raise BadResponse("an instance in a context that was never negotiated for it")
        status = self.inbox.take(sop_class_uid, sop_instance_uid, syntax, message.DataSet)
        self._dimse.send(answer_to(message, status), context_id)
        return True

    def begin(self, sop_class_uid: str, sop_instance_uid: str, context_id: int) -> Arrival | None:
        """Begin to take an instance from the wire itself; None in a context that is none of its SOP class's."""
        syntax = self.syntax_of(sop_class_uid, context_id)
        return self.inbox.begin(sop_class_uid, sop_instance_uid, syntax) if syntax is not None else None

    def keep(self, arrival: Arrival) -> int:
        """Keep it and return the status to answer."""
        return self.inbox.keep(arrival)

    def accepts(self, context_id: int) -> bool:
        """Tell whether a context was accepted, for whatever SOP class."""
        return context_id in self._contexts

    def syntax_of(self, sop_class_uid: str, context_id: int) -> str | None:
        """Return the transfer syntax of a context, None where it is none of this SOP class."""
        context = self._contexts.get(context_id)
        return context.transfer_syntax_uid if context is not None and context.sop_class_uid == sop_class_uid else None
