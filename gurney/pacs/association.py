"""An association of a Storage SCU: instances go out one after another, each with its result (PS3.4 B.2)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from types import TracebackType
from typing import NamedTuple, Self

from gurney.pacs.carriers import Carrier, FastCarrier, PlainCarrier, Prepared
from gurney.pacs.contexts import ContextResult, NegotiatedContext
from gurney.pacs.dimse import Dimse
from gurney.pacs.engine import DicomEngine
from gurney.pacs.errors import AssociationEnded, AssociationFailure, ContextRefused
from gurney.pacs.events import (
    Aborted,
    AfterCEcho,
    AfterCStore,
    AfterRelease,
    BeforeCEcho,
    BeforeRelease,
    Events,
)
from gurney.pacs.instance import StoreRequest, StoreResult, UnusableFileError
from gurney.pacs.negotiation import Negotiated
from gurney.pacs.preparation import Preparation, RefusedRequestError
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.response import Awaited, EchoResult, Response
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["StoreAssociation"]

_VERIFICATION = "1.2.840.10008.1.1"
_PATIENCE_WITH_A_STORE = 1.0
# What most responses are.
_STORED = Event(EventKind.RESPONSE, status=0)


class _Ready(NamedTuple):
    """A request that is ready to go out."""

    request: StoreRequest
    sop_instance_uid: str
    prepared: Prepared

    def result(self, event: Event, seconds: float, response: Response | None = None) -> StoreResult:
        """Return what came of it; the bytes count only once they were answered."""
        if response is None:
            return StoreResult(self.request, event, self.sop_instance_uid, seconds=seconds)
        return StoreResult(
            self.request,
            event,
            self.sop_instance_uid,
            response.status,
            response.comment,
            response.offending_elements,
            self.prepared.size,
            seconds,
        )

    def neighbour(self) -> StoreResult:
        """Return the result of a request that was never sent, because its association ended."""
        self.prepared.payload.close()
        return self.result(Event(EventKind.NEIGHBOUR), 0.0)


class StoreAssociation:
    """An association that stores. Get one from :meth:`gurney.pacs.StoreScu.associate`.

    As a context manager it is released at the end of the block, or aborted if the block raises. One thread stores;
    any other may call :meth:`abort`.
    """

    def __init__(
        self, remote: RemoteAE, negotiated: Negotiated, events: Events, progress: Progress, *, fast_path: bool
    ) -> None:
        self.remote = remote
        self.contexts = negotiated.contexts
        self._assoc = negotiated.assoc
        self._witness = negotiated.witness
        self._events = events
        self._progress = progress
        self._carrier: Carrier | None = None
        self._preparation = Preparation(remote, self.contexts, events)
        self._on_wire = threading.RLock()
        self._is_storing = False
        self._failure: AssociationFailure | None = None
        self._is_over = not self.contexts.any_accepted
        progress.mark()
        if self._is_over:
            return
        patience = remote.timeouts.store
        if fast_path:
            self._carrier = FastCarrier(self._assoc, self._witness, negotiated.max_pdu, patience, progress)
        else:
            self._carrier = PlainCarrier(self._assoc, self._witness, patience, progress)
        DicomEngine.adopt(self)

    # --- What was negotiated ------------------------------------------------------------------------------------------

    def accepts(self, sop_class_uid: str, transfer_syntax_uid: str) -> int | None:
        """Return the ID of the accepted context for a SOP class in a transfer syntax, or None."""
        context = self.contexts.find(sop_class_uid, transfer_syntax_uid)
        return context.context_id if context is not None and context.is_accepted else None

    def refusal(self, sop_class_uid: str, transfer_syntax_uid: str) -> ContextResult | None:
        """Return why a context was refused (PS3.8 9.3.3.2), None if it was accepted or never proposed."""
        context = self.contexts.find(sop_class_uid, transfer_syntax_uid)
        return context.result if context is not None and not context.is_accepted else None

    @property
    def accepted(self) -> tuple[NegotiatedContext, ...]:
        """The contexts that the peer accepted."""
        return tuple(context for context in self.contexts.all if context.is_accepted)

    @property
    def is_usable(self) -> bool:
        """Tell whether another message can be sent, as far as we know."""
        return not self._is_over and self._failure is None and not self._witness.has_ended

    @property
    def failure(self) -> AssociationFailure | None:
        """Why the association ended, None while it is usable or when it was released."""
        if self._failure is None and self._witness.has_ended and not self._is_over:
            return self._witness.failure()
        return self._failure

    # --- Services -----------------------------------------------------------------------------------------------------

    def store(self, requests: Iterable[StoreRequest]) -> Iterator[StoreResult]:
        """Send instances in order and yield the result of each (C-STORE, PS3.7 9.1.1).

        The requests are taken lazily: the next one while the peer works on the one before, no more. Each request taken
        has one result. A request that fails by itself (its context refused, its file missing or changed, vetoed by a
        listener) has a result that says so, and the association goes on. When a result is yielded nothing is in
        flight, so the iteration may stop there: end the requests to stop it without loss.

        When the association fails, the instance in flight has a result with ``event.in_flight``; it may or may not be
        stored. One that was taken but not sent has a NEIGHBOUR. Then the failure is raised, a refinement of
        :class:`~gurney.pacs.errors.AssociationFailure`. If the peer refused every context, each request is answered
        with that refusal and nothing is raised.
        """
        self._check_idle()
        carrier = self._carrier
        if carrier is None:
            yield from self._refuse_all(requests)
            return
        self._is_storing = True
        self._preparation.is_stopped = False
        try:
            with carrier:
                yield from self._store_all(carrier, iter(requests))
        finally:
            self._is_storing = False

    def verify(self) -> EchoResult:
        """Send a C-ECHO and return its status and time (PS3.7 9.1.5).

        Raises a refinement of AssociationFailure; ContextRefused if Verification is not accepted on this association.
        """
        self._check_idle()
        context = self.contexts.of_class(_VERIFICATION)
        if context is None:
            raise ContextRefused("Verification is not accepted on this association")
        self._events.before_c_echo.ask(BeforeCEcho(self.remote), lambda event, _: event)
        awaited = Awaited(self._preparation.next_message_id(), context.context_id)
        self._progress.mark()
        begun = time.monotonic()
        try:
            with self._on_wire, self._assoc.paused():
                self._check_open()
                response = Dimse(self._assoc, self._witness, self._progress).echo(awaited, self.remote.timeouts.acse)
        except AssociationFailure as failure:
            self._end(failure)
            raise
        seconds = time.monotonic() - begun
        self._events.after_c_echo.tell(AfterCEcho(self.remote, response.status, seconds))
        return EchoResult(response.status, seconds)

    # --- The end ------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Release the association, or clear away one that has ended.

        Whether the peer confirms is told by ``after_release_request``, not by an error: every result is known by now.
        A listener of ``before_release_request`` that raises aborts the association instead.
        """
        with self._on_wire:
            if not self.is_usable:
                self._end(self.failure or AssociationEnded("aborted by us"))
                return
            try:
                self._events.before_release_request.ask(BeforeRelease(self.remote), lambda event, _: event)
            except Exception:
                self.abort()
                raise
            self._is_over = True
            if self._carrier is not None:
                # A run that was left half iterated still holds the wire.
                self._carrier.leave()
            self._progress.mark()
            self._assoc.release()
            confirmed = self._assoc.is_released
            self._assoc.end()
            DicomEngine.forget(self)
        self._events.after_release_request.tell(AfterRelease(self.remote, confirmed))

    def abort(self) -> None:
        """Abort the association (A-ABORT, PS3.8 7.3). From any thread; a store that waits ends within a second.

        An instance in flight then has a result of kind CANCELLED.
        """
        self._failure = self._failure or AssociationEnded("aborted by us")
        self._assoc.wire.interrupt()
        if self._on_wire.acquire(timeout=_PATIENCE_WITH_A_STORE):
            try:
                self._end(self._failure)
            finally:
                self._on_wire.release()
        else:
            # The storing thread hangs in a file, perhaps for ever. If it ever wakes it ends the association itself;
            # until then the peer must not keep one of its places for us.
            self._assoc.wire.hang_up()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc_type is None or issubclass(exc_type, GeneratorExit):
            # A generator around us that its reader left early: nothing is in flight.
            self.release()
        else:
            self.abort()

    def _check_idle(self) -> None:
        if self._is_storing:
            raise RuntimeError("this association is already storing: end that iteration first")

    def _check_open(self) -> None:
        if self._is_over or self._failure is not None:
            raise self._failure or AssociationEnded("this association is over")
        if self._witness.has_ended:
            raise self._witness.failure()

    def _end(self, failure: AssociationFailure) -> None:
        """Abort whatever is left, once, and free everything."""
        with self._on_wire:
            if self._is_over:
                return
            self._is_over = True
            self._failure = self._failure or failure
            if self._carrier is not None:
                self._carrier.leave()
            self._assoc.end()
            DicomEngine.forget(self)
        self._events.aborted.tell(Aborted(self.remote, self._failure))

    # --- Storing ------------------------------------------------------------------------------------------------------

    def _store_all(self, carrier: Carrier, requests: Iterator[StoreRequest]) -> Iterator[StoreResult]:
        step = self._take(carrier, requests)
        while step is not None:
            if isinstance(step, StoreResult):
                yield self._told(step)
                step = self._take(carrier, requests)
                continue
            result, following, failure = self._exchange(carrier, step, requests)
            yield self._told(result)
            if failure is not None:
                if following is not None:
                    yield self._told(following if isinstance(following, StoreResult) else following.neighbour())
                raise failure
            step = following

    def _take(self, carrier: Carrier, requests: Iterator[StoreRequest]) -> _Ready | StoreResult | None:
        """Take one request and make it ready, or say why it can't be."""
        request = None if self._preparation.is_stopped else next(requests, None)
        if request is None:
            return None
        self._progress.mark()
        try:
            command, payload = self._preparation.prepare(request)
        except RefusedRequestError as error:
            return StoreResult(request, error.event, request.sop_instance_uid)
        try:
            return _Ready(request, command.sop_instance_uid, carrier.prepare(command, payload))
        except UnusableFileError as error:
            payload.close()
            return StoreResult(request, Event(EventKind.FILE_MISSING, detail=str(error)), command.sop_instance_uid)

    def _exchange(
        self, carrier: Carrier, current: _Ready, requests: Iterator[StoreRequest]
    ) -> tuple[StoreResult, _Ready | StoreResult | None, AssociationFailure | None]:
        """Send one instance and take the next while its response is awaited: its result, the next, what failed."""
        following: _Ready | StoreResult | None = None
        is_sent = is_answered = False
        begun = time.monotonic()
        try:
            with self._on_wire:
                self._check_open()
                carrier.check_quiet()
                is_sent = True
                carrier.send(current.prepared)
            following = self._take(carrier, requests)
            with self._on_wire:
                response = carrier.receive(current.prepared)
            is_answered = True
        except AssociationFailure as failure:
            self._end(failure)
            lost = replace(failure.event, in_flight=True) if is_sent else Event(EventKind.NEIGHBOUR)
            return current.result(lost, time.monotonic() - begun), following, failure
        except UnusableFileError as error:
            ended = AssociationEnded("a file failed while it was sent, and a message begun can only be aborted")
            self._end(ended)
            event = Event(EventKind.FILE_MISSING, detail=str(error))
            return current.result(event, time.monotonic() - begun), following, ended
        finally:
            current.prepared.payload.close()
            if not is_answered:
                # The caller's own requests may have raised: what is in flight then stays unanswered for good.
                self._end(AssociationEnded("left with a request unanswered"))
        event = _STORED
        if response.status or response.comment:
            event = Event(EventKind.RESPONSE, status=response.status, comment=response.comment)
        return current.result(event, time.monotonic() - begun, response), following, None

    def _refuse_all(self, requests: Iterable[StoreRequest]) -> Iterator[StoreResult]:
        """Answer each request with why its context was refused, when none was accepted."""
        for request in requests:
            try:
                self._preparation.prepare(request)
            except RefusedRequestError as error:
                yield self._told(StoreResult(request, error.event, request.sop_instance_uid))

    def _told(self, result: StoreResult) -> StoreResult:
        if self._events.after_c_store:
            self._events.after_c_store.tell(AfterCStore(self.remote, result))
        return result
