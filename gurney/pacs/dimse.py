"""C-STORE and C-ECHO through pynetdicom's own DIMSE provider.

The way of C-ECHO, of stores with the fast path switched off, and of the rare message that a peer sends in between.
Whoever uses it holds the reactor (:meth:`PacedAssociation.paused`), so that nobody else takes the response.
"""

from __future__ import annotations

import queue
import time

from pynetdicom.dimse_primitives import C_ECHO, C_STORE

from gurney.pacs._seams import PacedAssociation
from gurney.pacs.errors import AssociationEnded, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.response import Awaited, Response
from gurney.pacs.witness import Witness

__all__ = ["Dimse"]

_SLICE_SECONDS = 0.05
_END_SECONDS = 2.0


class Dimse:
    """Send and receive the messages of one association, and tell how it ended if it did."""

    def __init__(self, assoc: PacedAssociation, witness: Witness, progress: Progress) -> None:
        self._assoc = assoc
        self._witness = witness
        self._progress = progress

    def send_store(self, request: C_STORE, context_id: int) -> None:
        """Queue one C-STORE-RQ for pynetdicom's upper-layer thread."""
        self._assoc.dimse.send_msg(request, context_id)

    def echo(self, awaited: Awaited, patience: float) -> Response:
        """Send one C-ECHO-RQ (PS3.7 9.1.5)."""
        primitive = C_ECHO()
        primitive.MessageID = awaited.message_id
        primitive.AffectedSOPClassUID = "1.2.840.10008.1.1"
        self._assoc.dimse.send_msg(primitive, awaited.context_id)
        return self.receive(awaited, patience)

    def receive(self, awaited: Awaited, patience: float) -> Response:
        """Wait for the response. Requests that the peer makes meanwhile are served by pynetdicom.

        ``patience`` is seconds without progress. Raises a refinement of
        :class:`~gurney.pacs.errors.AssociationFailure`.
        """
        waiting, deadline = self._waiting(), time.monotonic() + patience
        while True:
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
                continue
            self._progress.mark()
            if message is None or context_id is None:
                self._witness.wait(_END_SECONDS)
                raise self._witness.failure()
            if not isinstance(message, C_STORE | C_ECHO) or message.MessageIDBeingRespondedTo is None:
                self._assoc.serve(message, context_id)
                continue
            status = awaited.check(
                message_id=message.MessageIDBeingRespondedTo, context_id=context_id, status=message.Status
            )
            return Response(status, _comment(message), _offending(message))

    def _waiting(self) -> tuple[int, int]:
        """Count what has yet to reach the peer: messages in pynetdicom's queue, then bytes in the system's."""
        return self._assoc.dul.to_provider_queue.qsize(), self._assoc.wire.unacknowledged()


def _comment(message: C_STORE | C_ECHO) -> str:
    return str(getattr(message, "ErrorComment", None) or "")


def _offending(message: C_STORE | C_ECHO) -> tuple[int, ...]:
    tags = getattr(message, "OffendingElement", None) or ()
    return (int(tags),) if isinstance(tags, int) else tuple(int(tag) for tag in tags)
