"""One request with any number of responses, and how it is cancelled (PS3.7 9.1.2 to 9.1.4, 9.3.2.3)."""

from __future__ import annotations

import threading
import time
from typing import Any

from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE, DIMSEPrimitive

from gurney.pacs.dimse import Dimse, Serve
from gurney.pacs.errors import AssociationEnded
from gurney.pacs.response import Awaited

__all__ = ["Conversation"]

_PENDING = frozenset({0xFF00, 0xFF01})


class Conversation:
    """What was asked, and how far its answer has come. One thread receives; any may cancel."""

    def __init__(
        self,
        dimse: Dimse,
        service: type[DIMSEPrimitive],
        awaited: Awaited,
        patience: float,
        cancel_patience: float,
        serve: Serve,
    ) -> None:
        self._dimse, self._service, self._awaited, self._serve = dimse, service, awaited, serve
        self._patience, self._cancel_patience = patience, cancel_patience
        self._wanted = threading.Event()
        self._until: float | None = None
        self.is_over = False

    @property
    def is_cancelled(self) -> bool:
        """Tell whether somebody wants it to stop."""
        return self._wanted.is_set()

    def cancel(self) -> None:
        """Ask the peer to stop; the receiving thread does it, within a moment."""
        self._wanted.set()

    def receive(self) -> Any:
        """Wait for the next response. Raises AssociationEnded when the peer does not heed a C-CANCEL in time."""
        response: Any = self._dimse.receive(
            self._service, self._awaited, self._patience, serve=self._serve, glance=self._look
        )
        self.is_over = response.Status not in _PENDING
        return response

    def _look(self) -> None:
        """Pass on a wish to cancel, once; what has no C-CANCEL, or goes on all the same, ends with the association."""
        if not self._wanted.is_set():
            return
        if self._until is None:
            if not issubclass(self._service, C_FIND | C_MOVE | C_GET):
                raise AssociationEnded("cancelled")
            self._until = time.monotonic() + self._cancel_patience
            cancel = C_CANCEL()
            cancel.MessageIDBeingRespondedTo = self._awaited.message_id
            self._dimse.send(cancel, self._awaited.context_id)
        elif time.monotonic() > self._until:
            raise AssociationEnded(f"cancelled, and the peer went on for {self._cancel_patience:g} s")
