"""Where a listener keeps what peers store: whoever has another place than a folder says so by an intake."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from pynetdicom.dimse_primitives import C_STORE, DimseServiceType

from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.wire.arrival import Arrival
from gurney.pacs.wire.dimse import Dimse
from gurney.pacs.wire.inbound import Inbox, IncomingDataset, Keeping, answer_to

__all__ = ["Calling", "Doorkeeper", "Intake", "IntakeKeeping", "Rejection"]

_SOP_CLASS_NOT_SUPPORTED = 0x0122


@dataclass(frozen=True, slots=True)
class Calling:
    """Who associates with a listener, from which address, and as whom it was called (PS3.8 9.3.2)."""

    calling_ae_title: str
    called_ae_title: str
    address: str


class Rejection(NamedTuple):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 9.3.4)."""

    result: int
    source: int
    reason: int


class Doorkeeper(Protocol):
    """What says who may associate with a listener, and with what; asked for each association, by any thread."""

    def rejection(self, calling: Calling) -> Rejection | None:
        """Say with which words a peer is turned away; None lets it in."""

    def takes(self, sop_class_uid: str, transfer_syntax_uid: str) -> bool:
        """Tell whether instances of a storage SOP class may be stored in a transfer syntax."""


class Intake(Protocol):
    """What takes instances from any number of associations at once.

    ``folder`` is where an instance that is on its way may lie, ``limit`` the most bytes that one may have.
    """

    folder: Path
    limit: int | None

    def inbox_for(self, calling: Calling) -> Inbox:
        """Give what keeps the instances of one association."""


class IntakeKeeping(Keeping):
    """Refuse an instance of another SOP class than its context's, and go on: a peer may send what it likes."""

    def __init__(self, inbox: Inbox, contexts: NegotiatedContexts, dimse: Dimse) -> None:
        super().__init__(inbox, contexts, dimse)
        self._dimse = dimse

    def __call__(self, message: DimseServiceType, context_id: int) -> bool:
        """Keep an instance that pynetdicom received and answer; False for any other message."""
        if isinstance(message, C_STORE) and not self._is_of(str(message.AffectedSOPClassUID), context_id):
            if isinstance(message.DataSet, IncomingDataset):
                message.DataSet.discard()
            self._dimse.send(answer_to(message, _SOP_CLASS_NOT_SUPPORTED), context_id)
            return True
        return super().__call__(message, context_id)

    def begin(self, sop_class_uid: str, sop_instance_uid: str, context_id: int) -> Arrival | None:
        """Begin to take an instance from the wire itself; None in a context that was never accepted."""
        if self.accepts(context_id) and not self._is_of(sop_class_uid, context_id):
            return Arrival(self.inbox.folder, sop_class_uid, sop_instance_uid, "", status=_SOP_CLASS_NOT_SUPPORTED)
        return super().begin(sop_class_uid, sop_instance_uid, context_id)

    def _is_of(self, sop_class_uid: str, context_id: int) -> bool:
        return self.syntax_of(sop_class_uid, context_id) is not None
