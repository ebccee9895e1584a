"""One request with any number of responses, and how it is cancelled (PS3.7 9.1.2 to 9.1.4, 9.3.2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from pynetdicom.dimse_primitives import C_CANCEL, C_FIND, C_GET, C_MOVE, DIMSEPrimitive

from gurney.pacs.cancellation import Cancellation
from gurney.pacs.errors import AssociationEnded
from gurney.pacs.wire.dimse import Dimse, Lull, Serve
from gurney.pacs.wire.response import Awaited

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
        cancellation: Cancellation,
        has_news: Callable[[], bool] | None = None,
    ) -> None:
        self._dimse, self._service, self._awaited, self._serve = dimse, service, awaited, serve
        self._patience, self._cancel_patience = patience, cancel_patience
        self._cancellation = cancellation
        self._has_news = has_news
        self._is_left = self._is_passed_on = False
        self._until: float | None = None
        self.is_attended = True
        """Whether a thread sends or waits, and so sees by itself that somebody wants it to stop."""
        self.is_over = False

    @property
    def is_cancelled(self) -> bool:
        """Tell whether somebody wants it to stop."""
        return self._is_left or self._cancellation.is_wanted

    def cancel(self) -> None:
        """Ask the peer to stop; the receiving thread does it, within a moment."""
        self._cancellation.cancel()

    def leave(self) -> None:
        """Ask the peer to stop because nobody takes the rest; a cancellation that is shared with others stays unset."""
        self._is_left = True

    def receive(self) -> Any:
        """Wait for the next response; None in a lull in which ``has_news`` was true, after which the wait may go on.

        Raises AssociationEnded when the peer does not heed a C-CANCEL in time.
        """
        try:
            response: Any = self._dimse.receive(
                self._service, self._awaited, self._patience, serve=self._serve, glance=self._look, idle=self._rest
            )
        except Lull:
            return None
        self.is_over = response.Status not in _PENDING
        return response

    def pass_on(self) -> None:
        """Send a C-CANCEL, once, where the service has one. Call it only while holding the wire."""
        if self._is_passed_on or not issubclass(self._service, C_FIND | C_MOVE | C_GET):
            return
        self._is_passed_on = True
        cancel = C_CANCEL()
        cancel.MessageIDBeingRespondedTo = self._awaited.message_id
        self._dimse.send(cancel, self._awaited.context_id)

    def _rest(self) -> None:
        if self._has_news is not None and not self._is_left and self._has_news():
            raise Lull

    def _look(self) -> None:
        """Pass on a cancel. A service without C-CANCEL, or a peer that goes on all the same, ends the association."""
        if not self.is_cancelled:
            return
        if self._until is None:
            self.pass_on()
            if not self._is_passed_on:
                raise AssociationEnded("cancelled")
            # Counted from now: whoever takes the responses may have been busy with other things since the C-CANCEL.
            self._until = time.monotonic() + self._cancel_patience
        elif time.monotonic() > self._until:
            raise AssociationEnded(f"cancelled, and the peer went on for {self._cancel_patience:g} s")
