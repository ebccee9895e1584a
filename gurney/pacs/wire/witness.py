"""How an association came to its end, as its state machine saw it.

pynetdicom tells its caller that an association is over, but often not why. A witness listens to the PDUs and the
transitions (PS3.8 9.2.3) and names the cause, the same for the wire fast path and for pynetdicom's own way.
"""

from __future__ import annotations

import threading
from enum import StrEnum

from pynetdicom.events import Event
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from gurney.pacs.errors import (
    AcseTimeout,
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    AssociationRejected,
    BadResponse,
    ClosedAtRequest,
    DimseTimeout,
)
from gurney.pacs.wire.paced_association import PacedAssociation
from gurney.pacs.wire.wire_socket import Loss

__all__ = ["Witness"]


class Ending(StrEnum):
    """Actions of the state machine that end an association (PS3.8 tables 9-6 to 9-9)."""

    REJECTED = "AE-4"
    ABORTED = "AA-3"
    LOST = "AA-4"
    INVALID = "AA-8"
    RELEASED = "AR-2"
    ABORTED_BY_US = "AA-1"


class Witness:
    """Watch one association from its request to its end."""

    def __init__(self, assoc: PacedAssociation, peer: str, *, is_secured: bool = False) -> None:
        self._assoc = assoc
        self._wire = assoc.wire
        self._peer = peer
        self._is_secured = is_secured
        self._was_idle = False
        self._rejection: tuple[int, int, int] | None = None
        self._abort: tuple[int, int] | None = None
        self._ending: Ending | None = None
        self._ended = threading.Event()
        assoc.watch(self._on_pdu, self._on_transition, lambda: self._end(Ending.INVALID))

    def _on_pdu(self, event: Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self._rejection = (event.pdu.result or 0, event.pdu.source or 0, event.pdu.reason_diagnostic or 0)
        elif isinstance(event.pdu, A_ABORT_RQ):
            self._abort = (event.pdu.source or 0, event.pdu.reason_diagnostic or 0)

    def _on_transition(self, event: Event) -> None:
        if event.action in _ACTIONS:
            # Nobody but pynetdicom itself aborts for that.
            self._was_idle = self._assoc.dul.idle_timer_expired()
            self._end(Ending(event.action))

    def _end(self, ending: Ending) -> None:
        self._ending = self._ending or ending
        self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the association has met its end, and tell whether it has."""
        return self._ended.wait(seconds)

    @property
    def has_ended(self) -> bool:
        """Tell whether the association has met its end."""
        return self._ended.is_set()

    def refusal(self) -> AssociationFailure:  # noqa: PLR0911 - one return for each cause is the clearest form
        """Say why no association came about."""
        if self._wire.connection.failure is not None:
            return self._wire.connection.failure
        if self._rejection is not None:
            return AssociationRejected(*self._rejection, peer=self._peer)
        if self._abort is not None:
            return self._closed("association aborted")
        if self._ending in (None, Ending.ABORTED_BY_US):
            return AcseTimeout(f"{self._peer} did not answer the association request in time")
        if self._ending is Ending.INVALID:
            return ClosedAtRequest(self._peer, "something that is not DICOM", "another service's port")
        if self._wire.loss is Loss.STALLED:
            return AcseTimeout(f"{self._peer} began to answer the association request and did not go on")
        return self._closed(_LOSSES[self._wire.loss])

    def _closed(self, how: str) -> ClosedAtRequest:
        return ClosedAtRequest(self._peer, how, _USUALLY_SECURED if self._is_secured else _USUALLY)

    def failure(self) -> AssociationFailure:
        """Say why an established association is over."""
        if self._abort is not None:
            return AssociationAborted(*self._abort)
        match self._ending:
            case Ending.INVALID:
                endless = self._wire.loss is Loss.ENDLESS
                return BadResponse(_LOSSES[Loss.ENDLESS] if endless else "a PDU that is invalid or out of place")
            case Ending.RELEASED:
                return AssociationLost("released by the peer without being asked")
            case Ending.ABORTED_BY_US if self._was_idle:
                return AssociationEnded(
                    f"{self._peer}: aborted by us, after nothing happened for {self._assoc.network_timeout:g} s "
                    "(timeouts.network): associate again, or allow more"
                )
            case Ending.ABORTED_BY_US:
                return AssociationEnded("aborted by us")
        return _LOST_BY.get(self._wire.loss, AssociationLost)(_LOSSES[self._wire.loss])


_USUALLY = "an unknown calling AE title or address, or a TLS port"
_USUALLY_SECURED = "an unknown calling AE title or address, or a certificate of ours that it does not take"

_LOSSES = {
    None: "connection lost",
    Loss.CLOSED: "connection closed by the peer",
    Loss.RESET: "connection reset by the peer",
    Loss.STALLED: "the peer took or gave no byte in time",
    Loss.OVERLONG: "a PDU longer than any that we expect",
    Loss.ENDLESS: "a message without an end",
}

_ACTIONS = frozenset(ending.value for ending in Ending)

_LOST_BY: dict[Loss | None, type[AssociationFailure]] = {Loss.OVERLONG: BadResponse, Loss.STALLED: DimseTimeout}
