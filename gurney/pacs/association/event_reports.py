"""What a peer reports of its own accord: N-EVENT-REPORT (PS3.7 10.1.1, 10.3.1)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from pydicom.dataset import Dataset
from pynetdicom.dimse_primitives import N_EVENT_REPORT, DimseServiceType

from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.hooks import BeforeHook, WrongAnswer
from gurney.pacs.remote import RemoteAE
from gurney.pacs.wire.dataset import decode_dataset

__all__ = ["EventReport", "EventReports"]

_SUCCESS, _PROCESSING_FAILURE = 0x0000, 0x0110

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EventReport:
    """A peer reports an event. A listener that returns ``event.taken()`` has it answered with success.

    ``event_type_id`` is the SOP class's own: of a printer 1 is normal, 2 a warning, 3 a failure (PS3.4 H.4.6.2.1).
    ``status`` is what will be answered: that we could not process it, as long as no listener has taken it.
    """

    remote: RemoteAE
    sop_class_uid: str
    sop_instance_uid: str
    event_type_id: int
    information: Dataset | None = field(default=None, repr=False)
    status: int = _PROCESSING_FAILURE

    def taken(self, status: int = _SUCCESS) -> EventReport:
        """Return the same event with another status to answer (PS3.7 10.1.1.1.8)."""
        return replace(self, status=status)


class EventReports:
    """Answer the event reports of one association by what its listeners say of them.

    A report is answered whether or not something is being asked: by the asking thread or, while nothing is asked, by
    the association's own.
    """

    def __init__(
        self,
        remote: RemoteAE,
        contexts: NegotiatedContexts,
        send: Callable[[DimseServiceType, int], None],
        *hooks: BeforeHook[EventReport, EventReport],
    ) -> None:
        self._remote, self._send, self._hooks = remote, send, hooks
        self._syntaxes = {context.context_id: context.transfer_syntax_uid for context in contexts.all}

    def answer(self, request: N_EVENT_REPORT, context_id: int) -> None:
        """Show a report to every listener and answer it."""
        response = N_EVENT_REPORT()
        response.MessageIDBeingRespondedTo = request.MessageID
        response.AffectedSOPClassUID = request.AffectedSOPClassUID
        response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
        response.EventTypeID = request.EventTypeID
        response.Status = self._judge(request, context_id)
        self._send(response, context_id)

    def _judge(self, request: N_EVENT_REPORT, context_id: int) -> int:
        try:
            encoded = request.EventInformation.getvalue() if request.EventInformation is not None else b""
            event = EventReport(
                self._remote,
                str(request.AffectedSOPClassUID),
                str(request.AffectedSOPInstanceUID),
                request.EventTypeID or 0,
                decode_dataset(encoded, self._syntaxes[context_id]) if encoded else None,
            )
            for hook in self._hooks:
                event = hook.ask(event, lambda _, changed: changed)
        except Exception as error:  # noqa: BLE001  (a listener's, or the peer's bytes: it must be answered all the same)
            # Only the type: a message may quote the data set.
            why = str(error) if isinstance(error, WrongAnswer) else ""
            _log.error("event_report_failed error=%s why=%r", type(error).__name__, why)
            return _PROCESSING_FAILURE
        return event.status
