"""An association as requestor: what every service class user does on it (PS3.8 7, PS3.7 9 and 10)."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Self, overload

from pydicom.uid import UID
from pynetdicom.dimse_primitives import DIMSEPrimitive

from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.association.event_reports import EventReport, EventReports
from gurney.pacs.association.events import (
    Aborted,
    AfterCEcho,
    AfterClose,
    AfterRelease,
    BeforeCEcho,
    BeforeClose,
    BeforeRelease,
    Events,
)
from gurney.pacs.association.negotiation import Negotiated
from gurney.pacs.association.unfinished import Unfinished
from gurney.pacs.cancellation import Cancellation
from gurney.pacs.contexts import ContextResult, NegotiatedContext
from gurney.pacs.errors import AssociationBusy, AssociationEnded, AssociationFailure, ContextRefused
from gurney.pacs.hooks import BeforeHook
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.terms import Role
from gurney.pacs.wire.conversation import Conversation
from gurney.pacs.wire.dimse import Dimse, M, Serve, serve_nothing
from gurney.pacs.wire.fast_dimse import FastDimse
from gurney.pacs.wire.message_bounds import bound_messages
from gurney.pacs.wire.response import Awaited, EchoResult

__all__ = ["Association"]

_VERIFICATION = "1.2.840.10008.1.1"
_PATIENCE_WITH_A_MESSAGE = 1.0
# Message IDs begin at 1: whatever answers a request is out of place while there is none.
_NO_REQUEST = Awaited(message_id=0, context_id=0)


class _EnoughAttended(Exception):
    """Ends a wait in :meth:`Association.attend`."""


class Association:
    """An established association. Get one from an SCU's ``associate``.

    As a context manager it is released at the end of the block, or aborted if the block raises. One thread at a time
    asks; any other may call :meth:`cancel` and :meth:`abort`.
    """

    def __init__(
        self, remote: RemoteAE, negotiated: Negotiated, events: Events, progress: Progress, *, fast_path: bool = True
    ) -> None:
        self.remote = remote
        self.contexts = negotiated.contexts
        self.roles: Mapping[str, Role] = negotiated.roles
        """What the peer answered to role selection, by SOP class."""
        self.extended: Mapping[str, bytes] = negotiated.extended
        """What the peer answered to extended negotiation, by SOP class; a class that it does not know is missing."""
        self.identity_response = negotiated.identity_response
        """What the peer answered to a user identity that asked for an answer."""
        self.event_report: BeforeHook[EventReport, EventReport] = BeforeHook("event_report", EventReport)
        """Hears of the event reports on this association, before ``events.event_report`` does."""
        self.events = events
        self._assoc = negotiated.assoc
        bound_messages(self._assoc)
        self._witness = negotiated.witness
        self._events = events
        self._progress = progress
        self._dimse = (
            FastDimse(self._assoc, self._witness, progress, negotiated.max_pdu)
            if fast_path
            else Dimse(self._assoc, self._witness, progress)
        )
        self._assoc.on_event_report = EventReports(
            remote, self.contexts, self._dimse.send, self.event_report, events.event_report
        ).answer
        self._message_id = 0
        self._on_wire = threading.RLock()
        self._is_busy = False
        self._conversation: Conversation | None = None
        self._unfinished = Unfinished()
        self._asked_by: int | None = None
        self._failure: AssociationFailure | None = None
        self._is_over = not self.contexts.any_accepted
        progress.mark()
        if not self._is_over:
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

    def verify(self) -> EchoResult:
        """Send a C-ECHO and return its status and time (PS3.7 9.1.5).

        Raises a refinement of AssociationFailure; ContextRefused if Verification is not accepted on this association.
        """
        context = self.context_for(_VERIFICATION)
        with self._busy():
            self._events.before_c_echo.ask(BeforeCEcho(self.remote), lambda event, _: event)
            awaited = Awaited(self.next_message_id(), context.context_id)
            begun = time.monotonic()
            self._progress.mark()
            try:
                with self._on_wire, self._assoc.paused():
                    self._check_open()
                    response = self._dimse.echo(awaited, self.remote.timeouts.acse)
            except AssociationFailure as failure:
                self._events.after_c_echo.tell(AfterCEcho(self.remote, None, time.monotonic() - begun, failure))
                self._end(failure)
                raise
            seconds = time.monotonic() - begun
            self._events.after_c_echo.tell(AfterCEcho(self.remote, response.status, seconds))
            return EchoResult(response.status, seconds)

    @overload
    def converse(
        self,
        request: M,
        sop_class_uid: str,
        patience: float,
        *,
        serve: Serve = serve_nothing,
        cancellation: Cancellation | None = None,
    ) -> Generator[M]: ...

    @overload
    def converse(
        self,
        request: M,
        sop_class_uid: str,
        patience: float,
        *,
        serve: Serve = serve_nothing,
        cancellation: Cancellation | None = None,
        has_news: Callable[[], bool],
    ) -> Generator[M | None]: ...

    def converse(
        self,
        request: M,
        sop_class_uid: str,
        patience: float,
        *,
        serve: Serve = serve_nothing,
        cancellation: Cancellation | None = None,
        has_news: Callable[[], bool] | None = None,
    ) -> Generator[M | None]:
        """Send a request in the context of its SOP class and yield its responses, the final one last.

        The request gets its Message ID here; ``patience`` is seconds without progress. ``serve`` answers what the peer
        asks meanwhile, such as the C-STOREs of a C-GET. ``cancellation`` is whose wish ends it besides :meth:`cancel`;
        where it is wished already, nothing is asked. A peer that ends the association because it was asked to cancel
        has cancelled: then there is no final response.

        ``has_news`` is asked when nothing has come for 50 ms; where it is true None is yielded, between two messages.

        An iteration that is left early cancels what it asked for. The association goes on where the peer says so in
        time, and is aborted otherwise.

        Raises a refinement of AssociationFailure; ContextRefused if the SOP class is not accepted.
        """
        return self._unfinished.note(
            self._converse(request, sop_class_uid, patience, serve, cancellation or Cancellation(), has_news)
        )

    def _converse(
        self,
        request: M,
        sop_class_uid: str,
        patience: float,
        serve: Serve,
        cancellation: Cancellation,
        has_news: Callable[[], bool] | None,
    ) -> Generator[M | None]:
        context = self.context_for(sop_class_uid)
        with self._busy(), self._assoc.paused():
            awaited = Awaited(self.next_message_id(), context.context_id)
            request.MessageID = awaited.message_id
            conversation = self._conversation = Conversation(
                self._dimse, type(request), awaited, patience, self.remote.timeouts.acse, serve, cancellation, has_news
            )
            try:
                with self._on_wire:
                    self._check_open()
                    if conversation.is_cancelled:
                        conversation.is_over = True
                    else:
                        self._dimse.send(request, context.context_id)  # type: ignore[arg-type]  # one of many
                with cancellation.heeded_by(partial(self._pass_on, conversation)):
                    while not conversation.is_over:
                        with self._on_wire:
                            response = conversation.receive()
                        conversation.is_attended = False
                        yield response
                        conversation.is_attended = True
            except AssociationFailure as failure:
                self._end(failure)
                if not conversation.is_cancelled:
                    raise
            finally:
                try:
                    if not conversation.is_over and self.is_usable:
                        self._leave(conversation)
                finally:
                    self._conversation = None
                    with self._on_wire:
                        self._dimse.rest()

    def attend(self, until: Callable[[], bool], seconds: float, *, serve: Serve = serve_nothing) -> bool:
        """Answer what the peer asks, and ask nothing, until a condition holds or time is up; tell whether it holds.

        An event report that is waited for, such as that of a storage commitment (PS3.4 J.3.3), comes to the listeners
        of :attr:`event_report`: subscribe before what brings it about. ``serve`` may answer other requests.

        Raises a refinement of AssociationFailure when the association ends.
        """
        deadline = time.monotonic() + seconds

        def glance() -> None:
            if until() or time.monotonic() > deadline:
                raise _EnoughAttended

        with self._busy(), self._assoc.paused(), self._on_wire:
            try:
                self._check_open()
                self._dimse.receive(DIMSEPrimitive, _NO_REQUEST, math.inf, serve=serve, glance=glance)
            except _EnoughAttended:
                pass
            except AssociationFailure as failure:
                self._end(failure)
                raise
        return until()

    def cancel(self) -> None:
        """Ask the peer to stop what is being asked of it (C-CANCEL, PS3.7 9.3.2.3). From any thread.

        What can't be cancelled, or is not in time, is aborted. Nothing happens where nothing is asked.
        """
        conversation = self._conversation
        if conversation is not None:
            conversation.cancel()
        elif self._is_busy:
            self.abort()

    def _pass_on(self, conversation: Conversation) -> None:
        """Send a C-CANCEL while nobody waits for a response: whoever takes the next one may take long to do so."""
        if not self._on_wire.acquire(blocking=False):
            return
        try:
            if self.is_usable and not (conversation.is_attended or conversation.is_over):
                conversation.pass_on()
        except AssociationFailure as failure:
            self._end(failure)
        finally:
            self._on_wire.release()

    def _leave(self, conversation: Conversation) -> None:
        """Cancel what nobody waits for any more, and read on until it is over."""
        conversation.leave()
        try:
            while not conversation.is_over:
                with self._on_wire:
                    conversation.receive()
        except AssociationFailure as failure:
            self._end(failure)
        except BaseException:  # whatever ``serve`` raised goes on; what it left unanswered stays so
            self._end(AssociationEnded("left with a request unanswered"))
            raise

    # --- The end ------------------------------------------------------------------------------------------------------

    def release(self) -> None:
        """Release the association, or clear away one that has ended.

        What was begun on it and left half iterated is cancelled first, as by closing it, and says ``is_cancelled``.
        Whether the peer confirms is told by ``after_release_request``, not by an error: every result is known by now.
        A listener of ``before_release_request`` that raises aborts the association instead.
        """
        self._leave_unfinished()
        with self._on_wire:
            if not self.is_usable:
                self._end(self.failure or AssociationEnded("aborted by us"))
                return
            try:
                self._events.before_release_request.ask(BeforeRelease(self.remote), lambda event, _: event)
            except Exception:  # a listener's, of whatever kind: it goes on, and nothing stays open
                self.abort()
                raise
            self._is_over = True
            # A run that was left half iterated still holds the wire.
            self._let_go()
            # pynetdicom closes the connection as soon as the peer confirms.
            self._events.before_close.tell(BeforeClose(self.remote))
            self._assoc.release()
            confirmed = self._assoc.is_released
            self._assoc.end()
            DicomEngine.forget(self)
        self._events.after_release_request.tell(AfterRelease(self.remote, confirmed))
        self._events.after_close.tell(AfterClose(self.remote))

    def abort(self) -> None:
        """Abort the association (A-ABORT, PS3.8 7.3). From any thread; whatever waits ends within a second.

        An instance in flight then has a result of kind CANCELLED. What the thread that aborts had begun on it, and left
        half iterated, ends as well; another thread's ends when that goes on.
        """
        self._failure = self._failure or AssociationEnded("aborted by us")
        self._assoc.wire.interrupt()
        if self._on_wire.acquire(timeout=_PATIENCE_WITH_A_MESSAGE):
            try:
                self._end(self._failure)
            finally:
                self._on_wire.release()
        else:
            # The thread that sends hangs in a file, perhaps for ever. If it ever wakes it ends the association itself;
            # until then the peer must not keep one of its places for us.
            self._assoc.wire.hang_up()
        if self._asked_by == threading.get_ident():
            self._leave_unfinished()

    def _leave_unfinished(self) -> None:
        """End what was left half iterated, if only to make safe what has arrived; a peer that is there is told."""
        if self._unfinished.is_any:
            if self._conversation is not None:
                self._conversation.cancel()
            self._unfinished.end()

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

    # --- For the services ---------------------------------------------------------------------------------------------

    def context_for(self, sop_class_uid: str) -> NegotiatedContext:
        """Return the accepted context of a SOP class. Raises ContextRefused."""
        context = self.contexts.of_class(sop_class_uid)
        if context is None:
            raise ContextRefused(f"{self.remote}: {UID(sop_class_uid).name} is not accepted on this association")
        return context

    def next_message_id(self) -> int:
        """Count messages from 1 to 65535 and round again."""
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    @contextmanager
    def _busy(self) -> Iterator[None]:
        """Let nobody ask for another thing inside the block."""
        if self._is_busy:
            raise AssociationBusy(
                f"the association with {self.remote} is busy: end the iteration that uses it first, or associate again"
            )
        self._is_busy = True
        self._asked_by = threading.get_ident()
        try:
            yield
        finally:
            self._is_busy = False

    def _check_open(self) -> None:
        if self._is_over or self._failure is not None:
            raise self._failure or AssociationEnded("this association is over")
        if self._witness.has_ended:
            raise self._witness.failure()

    def _let_go(self) -> None:
        """Give back what a service holds of the wire, because the association is to end."""
        self._dimse.rest()

    def _end(self, failure: AssociationFailure) -> None:
        """Abort whatever is left, once, and free everything."""
        with self._on_wire:
            if self._is_over:
                return
            self._is_over = True
            self._failure = self._failure or failure
            self._let_go()
            self._events.before_close.tell(BeforeClose(self.remote, self._failure))
            self._assoc.end()
            DicomEngine.forget(self)
        self._events.aborted.tell(Aborted(self.remote, self._failure))
        self._events.after_close.tell(AfterClose(self.remote, self._failure))
