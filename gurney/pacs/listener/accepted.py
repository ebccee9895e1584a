"""An association that a peer has requested, guarded against a peer that means harm or has lost its way."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_EVENT_REPORT, DimseServiceType
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import AddressInformation

from gurney.pacs.association.event_reports import EventReport, EventReports
from gurney.pacs.contexts import ContextResult, NegotiatedContext, NegotiatedContexts
from gurney.pacs.errors import AssociationFailure
from gurney.pacs.hooks import BeforeHook
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.listener.admission import admitted_contexts, with_spaces_for_nuls
from gurney.pacs.listener.deliveries import IncomingContent
from gurney.pacs.listener.intake import Calling, Doorkeeper, Intake, IntakeKeeping, Rejection
from gurney.pacs.progress import Progress
from gurney.pacs.remote import RemoteAE
from gurney.pacs.wire.dimse import Dimse
from gurney.pacs.wire.fast_dimse import FastDimse
from gurney.pacs.wire.inbound import Keeping
from gurney.pacs.wire.pace import is_overdue
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.seams import mend_pdus, take_datasets_into
from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire.witness import Witness

__all__ = ["AcceptedAssociation"]

_log = logging.getLogger(__name__)

_MAX_PDU = 1 << 16
_LONGEST_COMMAND = 1 << 20
# Asynchronous operations are not negotiated, so a peer is to await each answer; one that does not gets this far ahead.
_MOST_UNANSWERED = 16
_LOCAL_LIMIT_EXCEEDED = Rejection(0x02, 0x03, 0x02)


class AcceptedAssociation(PacedAssociation):
    """Serve C-ECHO, C-STORE and N-EVENT-REPORT on a connection that a peer has made.

    What a peer may keep waiting is limited at each level: its :class:`WireSocket` cuts PDUs that are too long or do not
    come to their end, pynetdicom's timers cut silence, and this class messages without an end.
    """

    def __init__(
        self,
        ae: ApplicationEntity,
        connection: Transport,
        intake: Intake | None,
        reports: BeforeHook[EventReport, EventReport],
        has_room: Callable[[], bool],
        *,
        doorkeeper: Doorkeeper | None = None,
        fast_path: bool = True,
    ) -> None:
        # Asked first: a peer that is gone already has no address, and then there is nothing to clean up yet.
        ours, theirs = connection.getsockname(), connection.getpeername()
        super().__init__(ae, connection)
        self.mode = "acceptor"
        self._intake, self._reports, self._has_room, self._doorkeeper = intake, reports, has_room, doorkeeper
        self.accepted_at = time.monotonic()
        self._begun, self._received, self._commanded = 0.0, 0, 0
        self.name = "accepted association"
        self.acceptor.ae_title = ae.ae_title
        self.acceptor.maximum_length = _MAX_PDU
        self.acceptor.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        self.acceptor.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.acceptor.address_info = AddressInformation.from_tuple(ours)
        self.requestor.address_info = AddressInformation.from_tuple(theirs)
        self.bind(evt.EVT_REQUESTED, self._consider)
        self.watch(lambda _: None, self._on_transition, self.wake)
        self._witness = Witness(self, str(theirs[0]))
        self._fast_path = fast_path
        self._keeping: Keeping | None = None
        self._fast: FastDimse | None = None
        self._taking = threading.Lock()
        self.bind(evt.EVT_ESTABLISHED, self._begin_to_keep)
        mend_pdus(self, with_spaces_for_nuls)
        take_datasets_into(self, self._buffer)
        self._receive = self.dimse.receive_primitive
        self.dimse.receive_primitive = self._receive_guarded  # type: ignore[method-assign]  # on this instance only
        self.wire.accept()

    @property
    def has_requested(self) -> bool:
        """Tell whether the peer has come as far as to request its association."""
        return self.requestor.primitive is not None

    def wake(self) -> None:
        """Let the thread that waits for the association request find out that none will come."""
        if not self.has_requested:
            self.is_aborted = True
            self.dul.to_user_queue.put(A_P_ABORT())

    def drop(self) -> None:
        """End it from another thread: with an A-ABORT where there is an association, without a word where not."""
        if self.is_established:
            if self._taking.locked():
                self.wire.interrupt()
            # Whoever is taking instances stops before the next one, and nobody begins after that.
            with self._taking:
                self.end()
        else:
            self.wake()
            self.wire.interrupt()
            self.wire.hang_up()

    # --- Negotiation --------------------------------------------------------------------------------------------------

    def _consider(self, _event: evt.Event) -> None:
        """Look at the association request; pynetdicom then answers it by what is set here."""
        if self.is_aborted:
            return
        doorkeeper = self._doorkeeper
        rejection = doorkeeper.rejection(self._calling()) if doorkeeper is not None else None
        if rejection is None and not self._has_room():
            _log.warning("association_rejected reason='too many associations'")
            rejection = _LOCAL_LIMIT_EXCEEDED
        if rejection is not None:
            self.acse.send_reject(*rejection)
            self.kill()
            return
        proposed = getattr(self.requestor.primitive, "presentation_context_definition_list", None) or ()
        takes = doorkeeper.takes if doorkeeper is not None else _takes_all
        self.acceptor.supported_contexts = list(
            admitted_contexts(proposed, takes if self._intake is not None else None)
        )

    def _on_transition(self, event: evt.Event) -> None:
        if event.next_state == "Sta1":
            self.wake()

    # --- Messages -----------------------------------------------------------------------------------------------------

    def _buffer(self) -> IncomingContent:
        """Make what takes the data set of the message that begins."""
        folder, limit = (self._intake.folder, self._intake.limit) if self._intake is not None else (Path(), None)
        return IncomingContent(
            folder, limit, lambda: self._keeping is not None and isinstance(self.dimse.message, C_STORE_RQ)
        )

    def _receive_guarded(self, primitive: Any) -> None:
        """Take a P-DATA, unless its message has become too much of one; then abort."""
        if self.dimse.message is None:
            self._begun, self._received, self._commanded = time.monotonic(), 0, 0
        for _, fragment in primitive.presentation_data_value_list:
            self._received += len(fragment) - 1
            self._commanded += len(fragment) if fragment[:1] and fragment[0] & 1 else 0
        if (
            is_overdue(time.monotonic() - self._begun, self._received, self.network_timeout or 0.0)
            or self._commanded > _LONGEST_COMMAND
            or self.dimse.msg_queue.qsize() > _MOST_UNANSWERED
            or self._is_endless()
        ):
            self.cut()
            return
        self._receive(primitive)

    def _is_endless(self) -> bool:
        message = self.dimse.message
        dataset = message.data_set if message is not None else None
        return isinstance(dataset, IncomingContent) and dataset.is_endless

    def _begin_to_keep(self, _event: evt.Event) -> None:
        """Take instances from now on: from the wire itself, whenever pynetdicom has nothing to do."""
        if self._intake is None:
            return
        contexts = NegotiatedContexts(_negotiated(context) for context in self.accepted_contexts)
        dimse = Dimse(self, self._witness, Progress())
        if self._fast_path:
            dimse = self._fast = FastDimse(self, self._witness, Progress(), self.requestor.maximum_length or 0)
        self._keeping = IntakeKeeping(self._intake.inbox_for(self._calling()), contexts, dimse)
        self._take_instances()

    def _take_instances(self) -> None:
        """Let instances flow into their files until something else comes. In the reactor's thread, between messages."""
        fast, keeping = self._fast, self._keeping
        if fast is None or keeping is None or not self.is_established or not self._taking.acquire(blocking=False):
            return
        try:
            fast.take_instances(keeping, self.network_timeout or math.inf)
        except AssociationFailure as failure:
            _log.info("association_cut reason=%r", str(failure))
            self.abort()
        except Exception as error:  # noqa: BLE001  (as with any request: see below)
            _log.error("request_failed request=C_STORE error=%s", type(error).__name__)
            self.abort()
        finally:
            self._taking.release()

    def serve(self, message: DimseServiceType, context_id: int) -> None:
        """Answer a request. What is none of ours, has no accepted context, or fails here ends the association."""
        try:
            self._answer(message, context_id)
        except Exception as error:  # noqa: BLE001  (the disk's, or whatever a caller brings about: who asked must hear of it)
            # Only the types: the words may name a file.
            _log.error("request_failed request=%s error=%s", type(message).__name__, type(error).__name__)
            self.abort()
        self._take_instances()

    def _answer(self, message: DimseServiceType, context_id: int) -> None:
        context = next((one for one in self.accepted_contexts if one.context_id == context_id), None)
        if context is None or not message.is_valid_request:
            self.abort()
            return
        match message:
            case C_ECHO():
                response = C_ECHO()
                response.MessageIDBeingRespondedTo = message.MessageID
                response.AffectedSOPClassUID = message.AffectedSOPClassUID
                response.Status = 0x0000
                self.dimse.send_msg(response, context_id)
            case C_STORE() if self._keeping is not None:
                if not self._keeping(message, context_id):
                    self.abort()
            case N_EVENT_REPORT():
                contexts = NegotiatedContexts((_negotiated(context),))
                EventReports(self._caller(), contexts, self.dimse.send_msg, self._reports).answer(message, context_id)
            case _:
                self.abort()

    def _calling(self) -> Calling:
        primitive = self.requestor.primitive
        # pynetdicom knows the peer by name only after it has let it in; who decides on that needs it before.
        calling, called = (primitive.calling_ae_title, primitive.called_ae_title) if primitive is not None else ("", "")
        return Calling((calling or "").strip(), (called or "").strip(), self._peer_address()[0])

    def _caller(self) -> RemoteAE:
        """Name the peer; its port is the one that it calls from."""
        return RemoteAE(self.requestor.ae_title.strip(), *self._peer_address())

    def _peer_address(self) -> tuple[str, int]:
        address = self.requestor.address_info
        host, port = address.as_tuple[:2] if address is not None else ("unknown", 1)
        return host, port


def _takes_all(_sop_class_uid: str, _transfer_syntax_uid: str) -> bool:
    return True


def _negotiated(context: PresentationContext) -> NegotiatedContext:
    return NegotiatedContext(
        context.context_id or 0, str(context.abstract_syntax), str(context.transfer_syntax[0]), ContextResult.ACCEPTED
    )
