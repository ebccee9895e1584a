"""An association that retrieves: C-MOVE to a third party or to ourselves, and C-GET (PS3.4 C.4.2, C.4.3)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from queue import Empty

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import C_GET, C_MOVE

from gurney.dicom.ae_titles import check_ae_title
from gurney.dicom.presentation import ContextProposal
from gurney.dicom.status import Category, Service, categorise
from gurney.pacs.association.association import Association
from gurney.pacs.association.negotiation import Negotiated
from gurney.pacs.display import text_at
from gurney.pacs.errors import AssociationFailure, InvalidQuery, OperationFailed
from gurney.pacs.hooks import AfterHook
from gurney.pacs.listener.deliveries import Expectation
from gurney.pacs.listener.listener import Listener
from gurney.pacs.progress import Progress
from gurney.pacs.query.models import STUDY_ROOT, InformationModel
from gurney.pacs.query_retrieve.events import (
    AfterCGet,
    AfterCMove,
    BeforeCGet,
    BeforeCMove,
    InstanceReceived,
    OptionalKeysIgnored,
    QueryEvents,
    RetrieveChange,
)
from gurney.pacs.remote import RemoteAE
from gurney.pacs.retrieve.folder import existing_folder
from gurney.pacs.retrieve.latecomers import Latecomers
from gurney.pacs.retrieve.retrieval import (
    Moving,
    Progression,
    Retrieval,
    Retrieving,
    SubOperations,
    check_retrieval,
    check_what,
    retrieve_identifier,
)
from gurney.pacs.stream import Course
from gurney.pacs.wire.dataset import decode_identifier, encode_dataset
from gurney.pacs.wire.inbound import EagerInbox, IncomingDataset, Keeping, Received

__all__ = ["GRACE_SECONDS", "RetrieveAssociation", "change_of_get"]

GRACE_SECONDS = 60.0
_GLANCE_SECONDS = 0.1
_KEYS_IGNORED = 0xFF01


class RetrieveAssociation(Association):
    """An association that retrieves. Of a refused length is what has more than ``max_instance_bytes``."""

    _events: QueryEvents

    def __init__(
        self,
        remote: RemoteAE,
        negotiated: Negotiated,
        events: QueryEvents,
        progress: Progress,
        *,
        fast_path: bool = True,
        max_instance_bytes: int | None = None,
    ) -> None:
        super().__init__(remote, negotiated, events, progress, fast_path=fast_path)
        self._max_instance_bytes = max_instance_bytes

    def move(
        self,
        what: Retrieval | Dataset,
        destination: str,
        *,
        model: InformationModel = STUDY_ROOT,
        progression: Progression | None = None,
    ) -> Moving:
        """Have the peer send instances to an AE title that it knows, and yield each of its reports (PS3.4 C.4.2).

        A Dataset is a raw identifier, which is sent as it is. Leaving the iteration cancels. A peer that says success
        has not proved that all arrived. ``progression`` is for a caller who looks on, or has the cancellation already.

        The iteration raises OperationFailed for an answer of failure and a refinement of AssociationFailure for an
        association that ends. Raises ValueError for what can't be asked.
        """
        progress = progression or Progression()
        identifier = retrieve_identifier(what, model)
        reports = self._move(identifier, check_ae_title(destination), _offered(model, model.move), progress)
        return Moving(self._unfinished.note(reports), progress)

    def _move(
        self, identifier: Dataset, destination: str, sop_class_uid: str, progress: Progression
    ) -> Generator[SubOperations]:
        context = self.context_for(sop_class_uid)
        asked = self._events.before_c_move.ask(BeforeCMove(self.remote, destination, identifier), _change_of_move)
        check_what(asked.identifier, "identifier")
        request = C_MOVE()
        request.AffectedSOPClassUID = sop_class_uid
        request.MoveDestination = destination
        request.Priority = int(asked.priority)
        request.Identifier = BytesIO(encode_dataset(asked.identifier, context.transfer_syntax_uid))
        conversation = self.converse(
            request, sop_class_uid, self.remote.timeouts.move, cancellation=progress.cancellation
        )

        def fails(error: AssociationFailure) -> None:
            self._events.after_c_move.tell(AfterCMove(self.remote, destination, progress.last, error))

        with _telling(fails), closing(conversation) as responses:
            for response in responses:
                report = progress.last = _sub_operations(response, context.transfer_syntax_uid)
                self._note_status(report.status, Service.C_MOVE, progress)
                self._events.after_c_move.tell(AfterCMove(self.remote, destination, report))
                yield report
                if categorise(report.status) in {Category.FAILURE, Category.UNKNOWN}:
                    raise OperationFailed(Service.C_MOVE, report.status, str(response.ErrorComment or ""))

    def move_to_self(
        self,
        what: Retrieval,
        listener: Listener,
        *,
        model: InformationModel = STUDY_ROOT,
        grace: float = GRACE_SECONDS,
        progression: Progression | None = None,
    ) -> Retrieving:
        """Have the peer send instances to a listener of this process, and yield them as they arrive.

        A peer may say that it is done before the last instance is here. So many as its final response counts are waited
        for, each for ``grace`` seconds; where it counts none (PS3.4 C.4.2.1.6), what the ``progression`` expects, else
        what it had announced, else whatever comes. What is missing then has not arrived. Nothing is waited for where it
        is cancelled. Raises as :meth:`move` does, FolderFailed and InstanceTooLong as :meth:`get` does, and ValueError
        for a negative ``grace``.
        """
        if grace < 0:
            raise ValueError(f"the grace for what is on its way is {grace:g} s: give seconds, 0 or more")
        progress = progression or Progression()
        check_retrieval(what, model)
        arrivals = self._move_to_self(what, listener, model, grace, progress)
        return Retrieving(self._unfinished.note(arrivals), progress)

    def _move_to_self(
        self, what: Retrieval, listener: Listener, model: InformationModel, grace: float, progress: Progression
    ) -> Generator[Received]:
        latecomers = Latecomers(progress)
        with (
            listener.expecting(what) as expected,
            self.move(what, listener.ae_title, model=model, progression=progress) as reports,
        ):
            try:
                for report in reports:
                    latecomers.note_report(report)
                    yield from self._drained(expected, latecomers)
                    expected.shortfall.check()
            except (AssociationFailure, OperationFailed):
                # What has arrived before is here, whatever became of the rest.
                yield from self._drained(expected, latecomers)
                # Before the peer's failure: it counts what we had no room for as one.
                expected.shortfall.check(at_the_end=True)
                raise
            deadline = time.monotonic() + grace
            while latecomers.are_due and time.monotonic() <= deadline and not expected.shortfall.is_of_folder:
                with suppress(Empty):
                    received = expected.arrivals.get(timeout=min(_GLANCE_SECONDS, grace))
                    deadline = time.monotonic() + grace
                    latecomers.note_arrival(received.sop_instance_uid)
                    yield from self._told([received], self._events.moved)
            yield from self._drained(expected, latecomers)
            expected.shortfall.check(at_the_end=True)

    def _drained(self, expected: Expectation, latecomers: Latecomers) -> Iterator[Received]:
        while not expected.arrivals.empty():
            received = expected.arrivals.get_nowait()
            latecomers.note_arrival(received.sop_instance_uid)
            yield from self._told([received], self._events.moved)

    def _told(self, arrived: Iterable[Received], hook: AfterHook[InstanceReceived]) -> Iterator[Received]:
        for received in arrived:
            hook.tell(InstanceReceived(self.remote, received))
            yield received

    def get(
        self,
        what: Retrieval | Dataset,
        folder: str | os.PathLike[str],
        *,
        model: InformationModel = STUDY_ROOT,
        progression: Progression | None = None,
        durable: bool = True,
    ) -> Retrieving:
        """Have the peer send instances over this very association, into a folder (C-GET, PS3.4 C.4.3).

        The association must have been made for it, with :meth:`gurney.pacs.QueryRetrieveScu.associate_to_get`: each
        storage SOP class needs a context, and its role. A Dataset is a raw identifier, which is sent as it is.
        ``progression`` is for a caller who looks on.

        Each instance becomes ``<SOP Instance UID>.dcm``, in the place of whatever has that name. It is safe on disk
        when it is told of (fsync, in batches, or when nothing comes for a moment); with ``durable=False`` it is
        written, and may be lost in a crash of the machine.

        Raises as :meth:`move` does, OSError for a folder that is not there, FolderFailed for a disk that is full or
        fails, after which the rest is cancelled, and InstanceTooLong at the end.
        """
        progress, inbox = progression or Progression(), existing_folder(folder)
        identifier = retrieve_identifier(what, model)
        arrivals = self._ask_and_get(identifier, _offered(model, model.get), inbox, progress, durable=durable)
        return Retrieving(self._unfinished.note(arrivals), progress)

    def get_as(
        self, asked: BeforeCGet, folder: str | os.PathLike[str], model: InformationModel, progression: Progression
    ) -> Retrieving:
        """Get what the listeners of ``before_c_get`` were shown before this association was made for it."""
        inbox = existing_folder(folder)
        arrivals = self._get(asked, _offered(model, model.get), inbox, progression, durable=True)
        return Retrieving(self._unfinished.note(arrivals), progression)

    def _ask_and_get(
        self, identifier: Dataset, sop_class_uid: str, folder: Path, progress: Progression, *, durable: bool
    ) -> Generator[Received]:
        # Nobody is to hear of what can't be asked.
        self.context_for(sop_class_uid)
        taken = [
            ContextProposal(context.sop_class_uid, context.transfer_syntax_uid)
            for context in self.accepted
            if (role := self.roles.get(context.sop_class_uid)) is not None and role.scp
        ]
        asked = self._events.before_c_get.ask(
            BeforeCGet(self.remote, identifier, contexts=tuple(taken)), _change_of_get_here
        )
        yield from self._get(asked, sop_class_uid, folder, progress, durable=durable)

    def _get(
        self, asked: BeforeCGet, sop_class_uid: str, folder: Path, progress: Progression, *, durable: bool
    ) -> Generator[Received]:
        with _telling(lambda error: self._events.after_c_get.tell(AfterCGet(self.remote, progress.last, error))):
            yield from self._arrivals(asked, sop_class_uid, folder, progress, durable=durable)

    def _arrivals(
        self, asked: BeforeCGet, sop_class_uid: str, folder: Path, progress: Progression, *, durable: bool
    ) -> Generator[Received]:
        context = self.context_for(sop_class_uid)
        check_what(asked.identifier, "identifier")
        request = C_GET()
        request.AffectedSOPClassUID = sop_class_uid
        request.Priority = int(asked.priority)
        request.Identifier = BytesIO(encode_dataset(asked.identifier, context.transfer_syntax_uid))
        with (
            EagerInbox(folder, durable=durable, limit=self._max_instance_bytes) as inbox,
            self._assoc.taking_datasets_into(lambda: IncomingDataset(folder, self._max_instance_bytes)),
            closing(
                self.converse(
                    request,
                    sop_class_uid,
                    self.remote.timeouts.move,
                    serve=Keeping(inbox, self.contexts, self._dimse),
                    cancellation=progress.cancellation,
                    has_news=inbox.use_lull,
                )
            ) as responses,
        ):
            comment = ""
            try:
                for response in responses:
                    if response is None:
                        yield from self._told(inbox.settled(), self._events.received)
                        continue
                    comment = str(response.ErrorComment or "")
                    progress.last = _sub_operations(response, context.transfer_syntax_uid)
                    self._note_status(progress.last.status, Service.C_GET, progress)
                    self._events.after_c_get.tell(AfterCGet(self.remote, progress.last))
                    is_last = progress.last.is_final or inbox.shortfall.is_of_folder
                    yield from self._told(inbox.settled(at_the_end=is_last), self._events.received)
                    inbox.shortfall.check()
            except AssociationFailure:
                # What has arrived before is here, whatever became of the rest.
                yield from self._told(inbox.settled(at_the_end=True), self._events.received)
                # A peer may end it because we had no room.
                inbox.shortfall.check()
                raise
            # A peer that answers a C-CANCEL by ending the association makes no final response.
            yield from self._told(inbox.settled(at_the_end=True), self._events.received)
            # Before the peer's failure: it counts what we had no room for as one.
            inbox.shortfall.check(at_the_end=True)
            last = progress.last
            if last is not None and categorise(last.status) in {Category.FAILURE, Category.UNKNOWN}:
                raise OperationFailed(Service.C_GET, last.status, comment)

    def _note_status(self, status: int, service: Service, course: Course) -> None:
        """Tell once, not with each of a thousand matches, that not all that was asked is heeded."""
        if status == _KEYS_IGNORED and not course.ignores_optional_keys:
            course.ignores_optional_keys = True
            self._events.optional_keys_ignored.tell(OptionalKeysIgnored(self.remote, service))


@contextmanager
def _telling(tell: Callable[[AssociationFailure], None]) -> Iterator[None]:
    """Tell of an association that fails inside the block: whoever heard of the beginning hears of the end."""
    try:
        yield
    except AssociationFailure as error:
        tell(error)
        raise


def _offered(model: InformationModel, sop_class_uid: str) -> str:
    if not sop_class_uid:
        raise InvalidQuery("model", f"retrieves nothing: {model.name}", "take one that has studies")
    return sop_class_uid


def _sub_operations(response: C_MOVE | C_GET, transfer_syntax_uid: str) -> SubOperations:
    failed = ""
    if response.Identifier is not None and (encoded := response.Identifier.getvalue()):
        failed = text_at(decode_identifier(encoded, transfer_syntax_uid), "FailedSOPInstanceUIDList")
    return SubOperations(
        response.Status or 0,
        response.NumberOfRemainingSuboperations,
        response.NumberOfCompletedSuboperations,
        response.NumberOfFailedSuboperations,
        response.NumberOfWarningSuboperations,
        tuple(uid for uid in failed.split("\\") if uid),
    )


def _change_of_move(event: BeforeCMove, change: RetrieveChange) -> BeforeCMove:
    if change.contexts is not None:
        raise InvalidQuery("contexts", "are not what a C-MOVE brings its instances in", "leave them out")
    return replace(
        event,
        identifier=event.identifier if change.identifier is None else change.identifier,
        priority=event.priority if change.priority is None else change.priority,
    )


def change_of_get(event: BeforeCGet, change: RetrieveChange) -> BeforeCGet:
    """Return what a listener of ``before_c_get`` has made of it, before there is an association."""
    return replace(
        event,
        identifier=event.identifier if change.identifier is None else change.identifier,
        priority=event.priority if change.priority is None else change.priority,
        contexts=event.contexts if change.contexts is None else tuple(change.contexts),
    )


def _change_of_get_here(event: BeforeCGet, change: RetrieveChange) -> BeforeCGet:
    if change.contexts is not None:
        raise InvalidQuery(
            "contexts",
            "are those of an association that stands",
            "let QueryRetrieveScu.get associate, or change them in before_associate_request",
        )
    return change_of_get(event, change)
