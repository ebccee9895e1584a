"""pynetdicom's association, with threads that stop exactly, end reliably, and answer in their turn."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pynetdicom import evt
from pynetdicom.ae import ApplicationEntity
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import N_EVENT_REPORT, DimseServiceType
from pynetdicom.events import Event
from pynetdicom.pdu_primitives import A_P_ABORT

from gurney.pacs.wire.seams import take_datasets_into
from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire.turnstile import Turnstile
from gurney.pacs.wire.wire_socket import WireSocket

__all__ = ["Handler", "PacedAssociation"]

Handler = Callable[[Event], None]

_log = logging.getLogger(__name__)

_PARTING_SECONDS = 0.5
_JOIN_SECONDS = 5.0
# pynetdicom looks at its timers this often, and at all else when it is woken.
_TURN_SECONDS = 0.05
# How long its upper-layer thread sleeps in each turn, and how often we look whether it has closed the connection.
_GLANCE_SECONDS = 0.0002


class PacedAssociation(Association):
    """pynetdicom's association, as requestor unless a subclass accepts, whose reactor thread stops exactly.

    Its ``_reactor_checkpoint`` is a :class:`Turnstile`; its ``_is_paused`` is derived from it and so never stale. Thus
    every ``send_*`` and ``release`` of pynetdicom that clears the one and reads the other is exact as well.
    """

    def __init__(self, ae: ApplicationEntity, connection: Transport) -> None:
        super().__init__(ae, "requestor")
        self._reactor_checkpoint = Turnstile(self)  # type: ignore[assignment]  # it has the methods that are called
        self.dul.daemon = True
        self._run_dul = self.dul.run
        self.dul.run = self._run_upper_layer  # type: ignore[method-assign]  # on this instance only
        self.dul._run_loop_delay = _GLANCE_SECONDS
        self._queue_pdu = self.dul.send_pdu
        self.dul.send_pdu = self._send_pdu  # type: ignore[method-assign]  # on this instance only
        self._on_confusion: tuple[Callable[[], None], ...] = ()
        self.on_event_report: Callable[[N_EVENT_REPORT, int], None] = super()._serve_request
        self.wire = WireSocket(self, connection)
        self.set_socket(self.wire)

    @property
    def _is_paused(self) -> bool:
        # A dead reactor takes no message, so pynetdicom must not wait for it.
        return self._reactor_checkpoint.is_standing or not self.is_alive()  # type: ignore[attr-defined]  # a turnstile

    @_is_paused.setter
    def _is_paused(self, value: bool) -> None:
        """Ignore what pynetdicom believes."""

    @property
    def has_begun_to_receive(self) -> bool:
        """Tell whether a message, or part of one, has come that nobody has taken. Stale unless the wire is borrowed."""
        return not self.dimse.msg_queue.empty() or self.dimse.message is not None or self.wire.has_given_back

    def kill(self) -> None:
        """End both threads; a wait for bytes that may never come ends first.

        pynetdicom looks every 10 ms whether the connection is closed, which after a release takes a fraction of one.
        """
        self.wire.interrupt()
        deadline = time.monotonic() + _TURN_SECONDS
        while self.dul.is_alive() and self.dul.state_machine.current_state != "Sta1" and time.monotonic() < deadline:
            time.sleep(_GLANCE_SECONDS)
        super().kill()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep the reactor from taking messages inside the block."""
        self._reactor_checkpoint.clear()
        try:
            yield
        finally:
            self._reactor_checkpoint.set()

    def cut(self) -> None:
        """Abort because of what the peer sends, as pynetdicom does with what it can't decode (PS3.8 9.2, AA-8).

        A peer that goes on sending is then cut off soon: else it would be read for as long as the ACSE timeout.
        """
        self.dul.artim_timer.timeout = _PARTING_SECONDS
        self.dul.event_queue.put("Evt19")

    def end(self) -> None:
        """Send A-ABORT if that is still possible and end, within seconds (PS3.8 9.3.8)."""
        if self.dul.is_alive() and not self._sent_abort and not self.is_released:
            self._sent_abort = True
            self._reactor_checkpoint.set()
            self.acse.send_abort(0x00)
        self.wire.interrupt()
        self.wire.give_back()
        self.dispose()

    def dispose(self) -> None:
        """Wait for both threads to end and close everything; call it once for every association, however it ended."""
        self._kill = True
        self._reactor_checkpoint.set()
        if self.is_alive():
            self.join(_JOIN_SECONDS)
        if self.dul.is_alive():
            self.dul.join(_PARTING_SECONDS)
        if self.dul.is_alive():
            # It may be waiting, for as long as the network timeout, for the rest of something that is not a PDU.
            self.wire.interrupt()
            self.dul._kill_thread = True
            self.dul.join(_JOIN_SECONDS)
        self.wire.dispose()

    @contextmanager
    def taking_datasets_into(self, make: Callable[[], BytesIO]) -> Iterator[None]:
        """Let what ``make`` gives take the data set of each message that begins inside the block."""
        receive = self.dimse.receive_primitive
        take_datasets_into(self, make)
        try:
            yield
        finally:
            self.dimse.receive_primitive = receive  # type: ignore[method-assign]  # on this instance only

    def serve(self, message: DimseServiceType, context_id: int) -> None:
        """Answer a request that the peer made of us: an event report by ``on_event_report``, all else by pynetdicom."""
        if isinstance(message, N_EVENT_REPORT):
            self.on_event_report(message, context_id)
        else:
            super()._serve_request(message, context_id)

    def _serve_request(self, msg: DimseServiceType, context_id: int) -> None:
        """Serve a request in the reactor's turn only.

        pynetdicom gives each event report a thread of its own, which would answer in the midst of what we send.
        """
        if threading.current_thread() is self:
            self.serve(msg, context_id)
        else:
            self.dimse.msg_queue.put((context_id, msg))

    def watch(self, on_pdu: Handler, on_transition: Handler, on_confusion: Callable[[], None]) -> None:
        """Call these for each PDU received, each transition, and when the state machine itself fails."""
        self.bind(evt.EVT_PDU_RECV, on_pdu)
        self.bind(evt.EVT_FSM_TRANSITION, on_transition)
        self._on_confusion = (*self._on_confusion, on_confusion)

    def _send_pdu(self, primitive: Any) -> None:
        """Let the upper-layer thread send something now, not when it next looks."""
        self._queue_pdu(primitive)
        self.wire.nudge()

    def _run_upper_layer(self) -> None:
        """Run pynetdicom's upper-layer thread, and end the association when that raises.

        Its state machine raises on values that the standard does not define, such as a rejection's unknown reason;
        left alone, its thread would die, and everybody would wait for a timeout.
        """
        try:
            self._run_dul()
        except Exception as error:  # noqa: BLE001  (whatever it is, what the peer sent can't be acted on)
            _log.warning("upper_layer_failed error=%s", type(error).__name__)
            for tell in self._on_confusion:
                tell()
            self.dul.to_user_queue.put(A_P_ABORT())
            self.dimse.msg_queue.put((None, None))
