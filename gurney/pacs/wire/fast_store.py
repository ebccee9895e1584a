"""The wire fast path: C-STORE straight from the file to the socket.

While it has the wire, pynetdicom's threads stand still. A request goes out as P-DATA-TF PDUs laid out in a reused
buffer (``preadv`` fills the gaps between the 12-byte headers), command set and data set of a small instance in one
send. Of what comes in only a C-STORE-RSP is read here; all else is left unread and goes back to
pynetdicom's state machine with the wire (:meth:`Wire.take_unread`).
"""

from __future__ import annotations

import select

from gurney.pacs.errors import AssociationEnded, BadResponse, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.throttle import Throttle
from gurney.pacs.wire.command import C_STORE_RSP, MalformedCommandError, read_command
from gurney.pacs.wire.instance import Payload
from gurney.pacs.wire.outgoing import Outgoing
from gurney.pacs.wire.patience import Patience
from gurney.pacs.wire.pdu import fragment_length
from gurney.pacs.wire.reader import HandBack, Reader
from gurney.pacs.wire.response import Awaited, Response
from gurney.pacs.wire.wire_socket import Loss, WireSocket

__all__ = ["Wire"]

_BUFFER = 1 << 20
# Responses are short: what does not fit is none.
_RECEIVE_BUFFER = 1 << 17
# So often whoever is held back shows that it lives.
_GLANCE_SECONDS = 0.5


class Wire:
    """A lent wire: send requests on it and read their responses, one at a time."""

    def __init__(
        self,
        wire: WireSocket,
        max_pdu: int,
        patience: float,
        progress: Progress,
        throttle: Throttle | None = None,
    ) -> None:
        self._throttle = throttle
        self._wire = wire
        self._progress = progress
        self._socket = wire.connection
        self._fragment = fragment_length(max_pdu)
        self._buffer = memoryview(bytearray(_BUFFER))
        self._patience = patience
        self._reader = Reader(wire, progress, _RECEIVE_BUFFER)
        self._waiting = Patience(wire, progress, patience)
        self.is_mid_pdu = False
        self._input = select.poll()
        self._input.register(wire.fd, select.POLLIN)
        self._either = select.poll()
        self._either.register(wire.fd, select.POLLIN | select.POLLOUT)
        self._either.register(wire.wake_fd, select.POLLIN)
        self._held = select.poll()
        self._held.register(wire.fd, select.POLLIN)
        self._held.register(wire.wake_fd, select.POLLIN)

    def take_unread(self) -> bytes:
        """Give out what was received and is not for us."""
        return self._reader.take_unread()

    def prepare(self, context_id: int, command: bytes, payload: Payload) -> Outgoing:
        """Lay out the beginning of a request: the one before may await its response, but must be sent."""
        return Outgoing(self._buffer, self._fragment, context_id, command, payload)

    def check_quiet(self) -> None:
        """Raise :class:`HandBack` if the peer has something to say before we send: then nothing is in flight."""
        if self._wire.is_interrupted:
            raise AssociationEnded("aborted by us")
        # This runs between every two instances: so the poll is made once, in place of the wire's own has_input.
        is_waiting = self._socket.has_pending() or (self._input.poll(0) and self._socket.is_for_us())
        if is_waiting or self._reader.has_unread:
            raise HandBack

    def send(self, outgoing: Outgoing) -> None:
        """Send a whole request.

        Raises :class:`HandBack`, :class:`DimseTimeout`, :class:`AssociationEnded`, or
        :class:`~gurney.pacs.wire.instance.UnusableFileError` when the file fails on the way; after any of them the
        message is cut off, and the association can't carry another.
        """
        while not outgoing.is_complete:
            data = outgoing.take()
            if self._throttle is not None:
                self._hold_back(self._throttle, len(data))
            self._send(data)
            outgoing.fill()
        self._wire.expect_answer()

    def receive(self, awaited: Awaited) -> Response:
        """Return the response to the request that was sent last.

        Raises :class:`HandBack`, :class:`DimseTimeout`, :class:`BadResponse` or :class:`AssociationEnded`.
        """
        self._waiting.renew()
        heard = self._reader.command(self._waiting)
        try:
            command = read_command(heard.command)
        except MalformedCommandError as error:
            raise BadResponse(str(error)) from error
        if command.command_field != C_STORE_RSP:
            raise HandBack
        self._reader.take()
        status = awaited.check(
            message_id=command.message_id_responded_to, context_id=heard.context_id, status=command.status
        )
        if command.has_data_set or self._reader.is_mid_pdu:
            raise BadResponse("a response that something follows")
        return Response(status, command.comment, command.offending_elements)

    def _hold_back(self, throttle: Throttle, length: int) -> None:
        """Wait until so much may go, listening to what the peer may say meanwhile."""
        while seconds := throttle.wait:
            self._hear(dict(self._held.poll(max(1.0, min(seconds, _GLANCE_SECONDS) * 1000))))
            self._progress.mark()
        throttle.take(length)

    def _send(self, data: memoryview) -> None:
        self.is_mid_pdu = True
        while data:
            try:
                data = data[self._socket.send(data) :]
                self._progress.mark()
            except BlockingIOError:
                self._await_room()
            except OSError as error:
                self._wire.lose(Loss.RESET)
                raise HandBack from error
        self.is_mid_pdu = False

    def _await_room(self) -> None:
        """Wait until the peer takes bytes again, listening to what it may say meanwhile."""
        events = dict(self._either.poll(self._patience * 1000))
        if not events:
            raise DimseTimeout(f"the peer took no byte for {self._patience:g} s")
        self._hear(events)

    def _hear(self, events: dict[int, int]) -> None:
        """Take what the peer says while we are sending: nothing but the end of the association is in place then."""
        self._check_wake(events)
        if events.get(self._wire.fd, 0) & ~select.POLLOUT:
            self._reader.receive()
            if self._reader.is_at_other_pdu:
                raise HandBack

    def _check_wake(self, events: dict[int, int]) -> None:
        if self._wire.wake_fd in events:
            raise AssociationEnded("aborted by us")
