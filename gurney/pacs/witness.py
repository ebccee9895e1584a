"""How an association came to its end, as its state machine saw it.

pynetdicom tells its caller that an association is over, but often not why. A witness listens to the PDUs and the
transitions (PS3.8 9.2.3) and names the cause, the same for the wire fast path and for pynetdicom's own way.
"""

from __future__ import annotations

import threading

from pynetdicom import evt
from pynetdicom.events import Event
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ

from gurney.pacs._seams import PacedAssociation
from gurney.pacs.errors import (
    AcseTimeout,
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    AssociationRejected,
    BadResponse,
    ClosedAtRequest,
)

__all__ = ["Witness"]


class Witness:
    """Watch one association from its request to its end."""

    def __init__(self, assoc: PacedAssociation) -> None:
        self._wire = assoc.wire
        self._rejection: tuple[int, int, int] | None = None
        self._abort: tuple[int, int] | None = None
        self._causes: list[str] = []
        self._ended = threading.Event()
        assoc.witness(evt.EVT_PDU_RECV, self._on_pdu)
        assoc.witness(evt.EVT_FSM_TRANSITION, self._on_transition)

    def _on_pdu(self, event: Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            self._rejection = (event.pdu.result or 0, event.pdu.source or 0, event.pdu.reason_diagnostic or 0)
        elif isinstance(event.pdu, A_ABORT_RQ):
            self._abort = (event.pdu.source or 0, event.pdu.reason_diagnostic or 0)

    def _on_transition(self, event: Event) -> None:
        if event.action in _ENDINGS:
            self._causes.append(event.action)
            self._ended.set()

    def wait(self, seconds: float) -> bool:
        """Wait until the association has met its end, and tell whether it has."""
        return self._ended.wait(seconds)

    @property
    def has_ended(self) -> bool:
        """Tell whether the association has met its end."""
        return self._ended.is_set()

    def refusal(self, peer: str) -> AssociationFailure:
        """Say why no association came about."""
        if self._rejection is not None:
            return AssociationRejected(*self._rejection)
        if self._abort is not None:
            return ClosedAtRequest("aborted")
        if not self._causes or self._causes[0] == _ABORTED_BY_US:
            return AcseTimeout(f"{peer} did not answer the association request in time")
        if self._causes[0] == _INVALID:
            return ClosedAtRequest("something that is not DICOM")
        return ClosedAtRequest(self._wire.loss or "closed by the peer")

    def failure(self) -> AssociationFailure:
        """Say why an established association is over."""
        cause = self._causes[0] if self._causes else _LOST
        if self._abort is not None:
            return AssociationAborted(*self._abort)
        if cause == _INVALID:
            return BadResponse("a PDU that is invalid or out of place")
        if cause == _RELEASED:
            return AssociationLost("released by the peer without being asked")
        if cause == _ABORTED_BY_US:
            return AssociationEnded("aborted by us")
        return AssociationLost(f"connection {self._wire.loss or 'lost'}")


_REJECTED, _ABORTED, _LOST, _INVALID, _RELEASED, _ABORTED_BY_US = "AE-4", "AA-3", "AA-4", "AA-8", "AR-2", "AA-1"
_ENDINGS = frozenset({_REJECTED, _ABORTED, _LOST, _INVALID, _RELEASED, _ABORTED_BY_US})
"""Actions of the state machine that end an association (PS3.8 tables 9-6 to 9-9)."""
