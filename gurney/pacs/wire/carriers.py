"""Two ways to carry C-STOREs over one association, with the same results: the wire fast path, and pynetdicom's own.

A carrier is entered for a run of instances. Inside, pynetdicom's reactor is paused exactly; the fast one has the wire
as well. Whatever the peer says that is no response goes to pynetdicom's state machine, which then tells how it ended.
"""

from __future__ import annotations

from contextlib import ExitStack
from io import BytesIO
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from pynetdicom.dimse_primitives import C_STORE

from gurney.pacs.errors import AssociationEnded, BadResponse
from gurney.pacs.progress import Progress
from gurney.pacs.throttle import Throttle
from gurney.pacs.wire.command import DimsePriority, encode_c_store_rq
from gurney.pacs.wire.dimse import Dimse
from gurney.pacs.wire.fast_store import Wire
from gurney.pacs.wire.instance import Payload
from gurney.pacs.wire.outgoing import Outgoing
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.reader import HandBack
from gurney.pacs.wire.response import Awaited, Response
from gurney.pacs.wire.witness import Witness

__all__ = ["Carrier", "FastCarrier", "PlainCarrier", "Prepared", "StoreCommand"]

_TURN_SECONDS = 0.2
_READ_STEP = 1 << 24
_END_SECONDS = 2.0


class StoreCommand(NamedTuple):
    """What the command set of one C-STORE-RQ says, and its context."""

    sop_class_uid: str
    sop_instance_uid: str
    priority: DimsePriority
    awaited: Awaited


class Prepared(NamedTuple):
    """A request that is ready to go out; ``size`` is that of its data set in bytes."""

    awaited: Awaited
    payload: Payload
    message: Outgoing | C_STORE

    @property
    def size(self) -> int:
        """Length of the data set in bytes."""
        return self.payload.size


class Carrier(Protocol):
    """How requests of a run go out. All but ``prepare`` raise refinements of AssociationFailure."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def prepare(self, command: StoreCommand, payload: Payload) -> Prepared:
        """Make a request ready; the one before may still await its response."""

    def check_quiet(self) -> None:
        """Raise if the association has ended, or is just ending, before anything is in flight."""

    def send(self, prepared: Prepared) -> None:
        """Send a request; raise UnusableFileError when its file fails on the way."""

    def receive(self, prepared: Prepared) -> Response:
        """Return the response to the request sent last."""

    def leave(self) -> None:
        """Let pynetdicom have everything back, because the association is to end."""


class PlainCarrier:
    """pynetdicom carries; each instance is held in memory once."""

    def __init__(
        self,
        assoc: PacedAssociation,
        witness: Witness,
        patience: float,
        progress: Progress,
        throttle: Throttle | None = None,
    ) -> None:
        self._throttle = throttle
        self._assoc = assoc
        self._witness = witness
        self._patience = patience
        self._progress = progress
        self._dimse = Dimse(assoc, witness, progress)
        self._pause = ExitStack()

    def __enter__(self) -> Self:
        self._pause.enter_context(self._assoc.paused())
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pause.close()

    def prepare(self, command: StoreCommand, payload: Payload) -> Prepared:
        """Read the data set into a primitive."""
        primitive = C_STORE()
        primitive.MessageID = command.awaited.message_id
        primitive.AffectedSOPClassUID = command.sop_class_uid
        primitive.AffectedSOPInstanceUID = command.sop_instance_uid
        primitive.Priority = int(command.priority)
        primitive.DataSet = BytesIO(self._read(payload))
        return Prepared(command.awaited, payload, primitive)

    def check_quiet(self) -> None:
        """Look for what the upper-layer thread has met, or is about to meet."""
        if self._assoc.wire.is_interrupted:
            raise AssociationEnded("aborted by us")
        if self._witness.has_ended or (self._assoc.wire.has_input() and self._witness.wait(_TURN_SECONDS)):
            raise self._witness.failure()

    def send(self, prepared: Prepared) -> None:
        """Queue the request."""
        if not isinstance(prepared.message, C_STORE):
            raise TypeError("prepared by another carrier")
        if self._throttle is not None:
            self._hold_back(self._throttle, prepared.size)
        self._dimse.send(prepared.message, prepared.awaited.context_id)

    def receive(self, prepared: Prepared) -> Response:
        """Wait for the response."""
        return self._dimse.respond(C_STORE, prepared.awaited, self._patience)

    def leave(self) -> None:
        """Nothing is held that pynetdicom needs to end."""

    def _hold_back(self, throttle: Throttle, size: int) -> None:
        while seconds := throttle.wait:
            if self._witness.wait(min(seconds, _TURN_SECONDS)):
                raise self._witness.failure()
            self.check_quiet()
            self._progress.mark()
        throttle.take(size)

    def _read(self, payload: Payload) -> bytearray:
        """Read the whole data set in steps that even a slow share takes in good time."""
        whole = bytearray(payload.size)
        with memoryview(whole) as view:
            for at in range(0, payload.size, _READ_STEP):
                payload.read_into([view[at : at + _READ_STEP]], at)
                self._progress.mark()
        return whole


class FastCarrier:
    """The wire fast path carries; pynetdicom gets the wire whenever something unexpected comes."""

    def __init__(
        self,
        assoc: PacedAssociation,
        witness: Witness,
        max_pdu: int,
        patience: float,
        progress: Progress,
        throttle: Throttle | None = None,
    ) -> None:
        self._assoc = assoc
        self._witness = witness
        self._patience = patience
        self._wire = Wire(assoc.wire, max_pdu, patience, progress, throttle)
        self._dimse = Dimse(assoc, witness, progress)
        self._pause = ExitStack()
        self._is_lent = False

    def __enter__(self) -> Self:
        self._pause.enter_context(self._assoc.paused())
        self._borrow()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._give_back()
        self._pause.close()

    def prepare(self, command: StoreCommand, payload: Payload) -> Prepared:
        """Lay out the command set and the beginning of the data set."""
        awaited = command.awaited
        encoded = encode_c_store_rq(
            command.sop_class_uid, command.sop_instance_uid, awaited.message_id, command.priority
        )
        return Prepared(awaited, payload, self._wire.prepare(awaited.context_id, encoded, payload))

    def check_quiet(self) -> None:
        """Look at the wire, and let pynetdicom have its turn when something lies there."""
        if self._witness.has_ended:
            raise self._witness.failure()
        try:
            if self._assoc.has_begun_to_receive:
                raise HandBack
            self._wire.check_quiet()
        except HandBack:
            self._give_back()
            self._pause.close()
            if self._witness.wait(_TURN_SECONDS):
                raise self._witness.failure() from None
            self.__enter__()

    def send(self, prepared: Prepared) -> None:
        """Send the request from the file to the socket."""
        if not isinstance(prepared.message, Outgoing):
            raise TypeError("prepared by another carrier")
        try:
            self._wire.send(prepared.message)
        except HandBack:
            self._give_back()
            if not self._witness.wait(_END_SECONDS):
                raise BadResponse("a PDU that is invalid or out of place, while we were sending") from None
            raise self._witness.failure() from None

    def receive(self, prepared: Prepared) -> Response:
        """Read the response, or let pynetdicom read what came in its place and then wait on."""
        try:
            return self._wire.receive(prepared.awaited)
        except HandBack:
            self._give_back()
            response = self._dimse.respond(C_STORE, prepared.awaited, self._patience)
            self._borrow()
            return response

    def leave(self) -> None:
        """Give the wire back; a PDU that was cut off must stay the last thing said."""
        if self._wire.is_mid_pdu:
            self._assoc.wire.sever()
        self._give_back()

    def _borrow(self) -> None:
        self._assoc.wire.borrow()
        self._is_lent = True

    def _give_back(self) -> None:
        if self._is_lent:
            self._is_lent = False
            self._assoc.wire.give_back(self._wire.take_unread())
