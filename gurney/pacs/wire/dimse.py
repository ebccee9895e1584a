"""DIMSE messages through pynetdicom's own provider.

Every message goes this way but those of the fast path, and so does the rare one that a peer sends in between. Whoever
uses it holds the reactor (:meth:`PacedAssociation.paused`), so that nobody else takes the response.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import TypeVar

from pynetdicom.dimse_primitives import C_CANCEL, C_ECHO, C_STORE, DIMSEPrimitive, DimseServiceType

from gurney.dicom.uids import VERIFICATION_SOP_CLASS
from gurney.pacs.errors import AssociationEnded, BadResponse, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.response import Awaited, Response
from gurney.pacs.wire.witness import Witness

__all__ = ["Dimse", "Lull", "M", "Serve", "serve_nothing"]

M = TypeVar("M", bound=DIMSEPrimitive)

Serve = Callable[[DimseServiceType, int], bool]
"""Answers a request that the peer makes in a context; False if it is not for it."""


def serve_nothing(_request: DimseServiceType, _context_id: int) -> bool:
    """Leave every request of the peer to pynetdicom."""
    return False


class Lull(Exception):
    """Leave a wait because nothing comes and something else is to be done meanwhile. A signal, not an error."""


_SLICE_SECONDS = 0.05
_END_SECONDS = 2.0


class Dimse:
    """Send and receive the messages of one association, and tell how it ended if it did."""

    def __init__(self, assoc: PacedAssociation, witness: Witness, progress: Progress) -> None:
        self._assoc = assoc
        self._witness = witness
        self._progress = progress

    def send(self, message: DimseServiceType | C_CANCEL, context_id: int) -> None:
        """Queue a message for pynetdicom's upper-layer thread."""
        self._assoc.dimse.send_msg(message, context_id)

    def rest(self) -> None:
        """Give back what was borrowed for a conversation: nothing, here."""

    def echo(self, awaited: Awaited, patience: float) -> Response:
        """Send one C-ECHO-RQ (PS3.7 9.1.5)."""
        primitive = C_ECHO()
        primitive.MessageID = awaited.message_id
        primitive.AffectedSOPClassUID = VERIFICATION_SOP_CLASS
        self.send(primitive, awaited.context_id)
        return self.respond(C_ECHO, awaited, patience)

    def respond(self, service: type[C_STORE] | type[C_ECHO], awaited: Awaited, patience: float) -> Response:
        """Wait for the one response of a service, as :meth:`receive` does, and return what it says."""
        message = self.receive(service, awaited, patience)
        return Response(message.Status or 0, _comment(message), _offending(message))

    def receive(
        self,
        service: type[M],
        awaited: Awaited,
        patience: float,
        *,
        serve: Serve = serve_nothing,
        glance: Callable[[], None] = lambda: None,
        idle: Callable[[], None] = lambda: None,
    ) -> M:
        """Wait for the next response to a request of this service and return it; it has a status.

        ``patience`` is seconds without progress. Requests that the peer makes meanwhile are progress; ``serve`` answers
        them, pynetdicom those that it leaves. ``glance`` is called many times a second, and may raise to end the wait.
        ``idle`` is called when nothing has come for 50 ms, and may raise :class:`Lull`; then call again.
        Raises a refinement of :class:`~gurney.pacs.errors.AssociationFailure`.
        """
        waiting, deadline = self._waiting(), time.monotonic() + patience
        while True:
            glance()
            try:
                context_id, message = self._assoc.dimse.msg_queue.get(timeout=_SLICE_SECONDS)
            except queue.Empty:
                if self._assoc.wire.is_interrupted and not self._witness.has_ended:
                    raise AssociationEnded("aborted by us") from None
                if self._witness.has_ended:
                    raise self._witness.failure() from None
                if (still := self._waiting()) < waiting:
                    waiting, deadline = still, time.monotonic() + patience
                    self._progress.mark()
                elif time.monotonic() > deadline:
                    raise DimseTimeout(f"no response for {patience:g} s") from None
                idle()
                continue
            self._progress.mark()
            if message is None or context_id is None:
                self._witness.wait(_END_SECONDS)
                raise self._witness.failure()
            if _is_request(message):
                if not serve(message, context_id):
                    self._assoc.serve(message, context_id)
                waiting, deadline = self._waiting(), time.monotonic() + patience
                continue
            awaited.check(message_id=message.MessageIDBeingRespondedTo, context_id=context_id, status=message.Status)
            if not isinstance(message, service):
                raise BadResponse(f"a response to another service: {type(message).__name__.replace('_', '-')}")
            return message

    def _waiting(self) -> tuple[int, int]:
        """Count what has yet to reach the peer: messages in pynetdicom's queue, then bytes in the system's."""
        return self._assoc.dul.to_provider_queue.qsize(), self._assoc.wire.unacknowledged()


def _is_request(message: DimseServiceType | C_CANCEL) -> bool:
    """Tell whether a message is a request; one without any message ID is a response to nothing (PS3.7 E.1)."""
    return isinstance(message, C_CANCEL) or (
        message.MessageIDBeingRespondedTo is None and message.MessageID is not None
    )


def _comment(message: DimseServiceType) -> str:
    return str(getattr(message, "ErrorComment", None) or "")


def _offending(message: DimseServiceType) -> tuple[int, ...]:
    tags = getattr(message, "OffendingElement", None) or ()
    return (int(tags),) if isinstance(tags, int) else tuple(int(tag) for tag in tags)
