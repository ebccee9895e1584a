"""The fast path for what a peer sends us: the matches of a C-FIND, the instances of a C-GET, those that it stores.

While it waits for them it has the wire: responses are read from a buffer, instances go from the socket into their
files. Whatever else comes goes back to pynetdicom with the wire, and is answered its way.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, cast

from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, DimseServiceType

from gurney.pacs.errors import AssociationEnded, BadResponse, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.wire.command import (
    A_DATA_SET,
    C_CANCEL_RQ,
    C_FIND_RQ,
    C_FIND_RSP,
    C_GET_RQ,
    C_GET_RSP,
    C_STORE_RQ,
    C_STORE_RSP,
    NO_DATA_SET,
    MalformedCommandError,
    encode_command,
    read_elements,
)
from gurney.pacs.wire.dimse import Dimse, Lull, M, Serve, serve_nothing
from gurney.pacs.wire.inbound import Keeping
from gurney.pacs.wire.pace import Pace
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.patience import Patience
from gurney.pacs.wire.pdu import Fragment, fragment_length, frame_message
from gurney.pacs.wire.reader import HandBack, Heard, Reader
from gurney.pacs.wire.response import Awaited
from gurney.pacs.wire.wire_socket import Loss
from gurney.pacs.wire.witness import Witness

__all__ = ["FastDimse"]

_RESPONSES: dict[type, int] = {C_FIND: C_FIND_RSP, C_GET: C_GET_RSP}
_TURN_SECONDS = 0.05
_END_SECONDS = 2.0
_LONGEST_IDENTIFIER = 1 << 24
"""A match is some kilobytes, a list of failed instances 65 bytes for each."""


class FastDimse(Dimse):
    """Send and receive messages; the responses to C-FIND and C-GET, and the instances of a C-GET, from the wire."""

    def __init__(self, assoc: PacedAssociation, witness: Witness, progress: Progress, max_pdu: int) -> None:
        super().__init__(assoc, witness, progress)
        self._fragment = fragment_length(max_pdu)
        self._reader: Reader | None = None
        self._is_lent = self._is_mid_pdu = self._is_mid_dataset = False

    def send(self, message: DimseServiceType | C_CANCEL, context_id: int) -> None:
        """Send a message: the C-FIND and C-GET with the wire in hand already, so that nobody else takes an answer."""
        if isinstance(message, C_FIND | C_GET):
            self._borrow()
            self._ask(message, context_id)
        elif not self._is_lent:
            super().send(message, context_id)
        elif isinstance(message, C_CANCEL):
            cancelled = message.MessageIDBeingRespondedTo or 0
            self._say(context_id, {0x0100: C_CANCEL_RQ, 0x0120: cancelled, 0x0800: NO_DATA_SET})
        else:
            raise TypeError("no message but a C-CANCEL goes out while the wire is lent")

    def rest(self) -> None:
        """Give the wire back; a message that was cut off must stay the last thing said."""
        if not self._is_lent or self._reader is None:
            return
        if self._is_mid_pdu:
            self._assoc.wire.sever()
        self._is_lent = False
        self._assoc.wire.give_back(self._reader.take_unread())

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
        """Wait for the next response, as :meth:`Dimse.receive` does."""
        expected = _RESPONSES.get(service)
        if expected is None:
            return super().receive(service, awaited, patience, serve=serve, glance=glance, idle=idle)
        if self._assoc.wire.is_interrupted:
            # Its descriptors may be closed by now.
            raise AssociationEnded("aborted by us")
        reader = self._borrow()
        # Only from here on does pynetdicom take nothing more: a message that it has begun to take is its to read on.
        if self._assoc.has_begun_to_receive:
            self.rest()
            return super().receive(service, awaited, patience, serve=serve, glance=glance, idle=idle)

        def idle_between_messages() -> None:
            try:
                idle()
            except Lull:
                # Within a message nobody can leave: what has come of it would be lost.
                if not self._is_mid_dataset:
                    raise

        waiting = Patience(
            self._assoc.wire, self._progress, patience, glance=glance, idle=idle_between_messages, turn=_TURN_SECONDS
        )
        while True:
            glance()
            waiting.renew()
            try:
                heard = reader.command(waiting)
                elements = _elements(heard)
                field = _number(elements, 0x0100)
                if field == expected:
                    return cast(M, self._response(service, awaited, heard, elements, waiting))
                if field == C_STORE_RQ and isinstance(serve, Keeping):
                    self._keep(serve, heard, elements, waiting, patience)
                    continue
                if reader.is_mid_pdu:
                    raise BadResponse("a request in the same PDU as the message before")
            except HandBack:
                pass
            self.rest()
            # pynetdicom's turn, for as long as it takes to the next response: a release, an abort, a rare request.
            return super().receive(service, awaited, patience, serve=serve, glance=glance, idle=idle)

    def take_instances(self, keeping: Keeping, patience: float) -> None:
        """Keep what the peer stores, instance by instance, until something else comes (PS3.7 9.1.1).

        That, and the end of the association, is pynetdicom's to read. ``patience`` is seconds without a byte, and how
        far an instance may be behind a rate of 1 KiB a second. Raises a refinement of AssociationFailure, after which
        the association is to be aborted.
        """
        wire, reader = self._assoc.wire, self._borrow()
        try:
            if self._assoc.has_begun_to_receive:
                return
            waiting = Patience(wire, self._progress, patience)
            while True:
                if wire.is_interrupted:
                    raise AssociationEnded("aborted by us")
                waiting.renew()
                heard = reader.command(waiting)
                elements = _elements(heard)
                if _number(elements, 0x0100) != C_STORE_RQ:
                    if reader.is_mid_pdu:
                        raise BadResponse("a request in the same PDU as the message before")
                    return
                self._keep(keeping, heard, elements, waiting, patience)
        except HandBack:
            pass
        finally:
            self.rest()

    def _borrow(self) -> Reader:
        if self._reader is None:
            self._reader = Reader(self._assoc.wire, self._progress)
        if not self._is_lent:
            self._assoc.wire.borrow()
            self._is_lent = True
        return self._reader

    def _ask(self, request: C_FIND | C_GET, context_id: int) -> None:
        """Send a request and its identifier (PS3.7 9.3.2.1, 9.3.3.1)."""
        command: dict[int, int | bytes] = {
            0x0002: str(request.AffectedSOPClassUID).encode("ascii"),
            0x0100: C_FIND_RQ if isinstance(request, C_FIND) else C_GET_RQ,
            0x0110: request.MessageID or 0,
            0x0700: request.Priority,
            0x0800: A_DATA_SET,
        }
        self._say(context_id, command, request.Identifier.getvalue() if request.Identifier is not None else b"")

    def _response(
        self, service: type, awaited: Awaited, heard: Heard, elements: dict[int, bytes], waiting: Patience
    ) -> Any:
        """Read a response to the end."""
        status = awaited.check(
            message_id=_number(elements, 0x0120), context_id=heard.context_id, status=_number(elements, 0x0900)
        )
        response: Any = service()
        response.MessageIDBeingRespondedTo = awaited.message_id
        response.Status = status
        if comment := elements.get(0x0902):
            response.ErrorComment = comment.rstrip(b"\0 ")[:64].decode("ascii", "replace")
        if isinstance(response, C_GET):
            response.NumberOfRemainingSuboperations = _number(elements, 0x1020)
            response.NumberOfCompletedSuboperations = _number(elements, 0x1021)
            response.NumberOfFailedSuboperations = _number(elements, 0x1022)
            response.NumberOfWarningSuboperations = _number(elements, 0x1023)
        reader = self._borrow()
        reader.take()
        if _number(elements, 0x0800) not in (None, NO_DATA_SET):
            identifier = bytearray()

            def add(*pieces: memoryview) -> None:
                for piece in pieces:
                    identifier.extend(piece)
                if len(identifier) > _LONGEST_IDENTIFIER:
                    raise BadResponse("an identifier without an end")

            self._read_dataset(heard.context_id, add, waiting)
            response.Identifier = BytesIO(identifier)
        return response

    def _keep(
        self,
        keeping: Keeping,
        heard: Heard,
        elements: dict[int, bytes],
        waiting: Patience,
        patience: float,
    ) -> None:
        """Let an instance flow into its file, and answer."""
        arrival = keeping.begin(_uid(elements, 0x0002), _uid(elements, 0x1000), heard.context_id)
        if arrival is None or _number(elements, 0x0800) in (None, NO_DATA_SET):
            raise BadResponse("an instance without its data set, or in a context that was never negotiated")
        self._borrow().take()
        pace = Pace(patience)

        def write(*pieces: memoryview) -> None:
            arrival.write(*pieces)
            pace.count(sum(map(len, pieces)))

        try:
            self._read_dataset(heard.context_id, write, waiting)
            status = keeping.keep(arrival)
        except BaseException:  # whatever it was goes on: half an instance must not stay
            arrival.discard()
            raise
        answer: dict[int, int | bytes] = {
            0x0002: elements.get(0x0002, b""),
            0x0100: C_STORE_RSP,
            0x0120: _number(elements, 0x0110) or 0,
            0x0800: NO_DATA_SET,
            0x0900: status,
            0x1000: elements.get(0x1000, b""),
        }
        self._say(heard.context_id, answer)

    def _read_dataset(self, context_id: int, write: Callable[[memoryview], object], waiting: Patience) -> None:
        """Read a data set. Where the association ends in its midst, raise what pynetdicom has seen of that end."""
        self._is_mid_dataset = True
        try:
            self._borrow().dataset(context_id, write, waiting)
        except HandBack:
            self.rest()
            if not self._witness.wait(_END_SECONDS):
                raise BadResponse("a PDU out of place, within a message") from None
            raise self._witness.failure() from None
        finally:
            self._is_mid_dataset = False

    def _say(self, context_id: int, command: Mapping[int, int | bytes], identifier: bytes = b"") -> None:
        """Send a command set, and the identifier that follows it."""
        framed = frame_message(encode_command(command), context_id, self._fragment, Fragment.COMMAND)
        if identifier:
            framed += frame_message(identifier, context_id, self._fragment, Fragment.DATA_SET)
        rest = memoryview(framed)
        wire = self._assoc.wire
        self._is_mid_pdu = True
        while rest:
            try:
                rest = rest[wire.connection.send(rest) :]
            except BlockingIOError:
                self._await_room()
            except OSError:
                # What the peer may have said before it went is read next, and tells why.
                wire.lose(Loss.RESET)
                break
        self._is_mid_pdu = False
        wire.expect_answer()

    def _await_room(self) -> None:
        wire, seconds = self._assoc.wire, self._assoc.dimse_timeout or 0.0
        poll = select.poll()
        poll.register(wire.fd, select.POLLOUT)
        poll.register(wire.wake_fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(seconds * 1000)]
        if wire.wake_fd in ready:
            raise AssociationEnded("aborted by us")
        if not ready:
            raise DimseTimeout(f"the peer took no byte for {seconds:g} s")


def _elements(heard: Heard) -> dict[int, bytes]:
    try:
        return read_elements(heard.command)
    except MalformedCommandError as error:
        raise BadResponse(str(error)) from error


def _number(elements: dict[int, bytes], element: int) -> int | None:
    value = elements.get(element)
    return struct.unpack("<H", value)[0] if value is not None and len(value) == 2 else None


def _uid(elements: dict[int, bytes], element: int) -> str:
    return elements.get(element, b"").rstrip(b"\0 ").decode("latin-1")
