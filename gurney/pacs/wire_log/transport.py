"""A transport whose bytes are overheard on their way.

Beneath everything else: the fast path, pynetdicom's own way and whatever comes later are logged alike, above TLS, and
not a line of theirs knows of it. Where nothing is logged there is none.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from gurney.pacs.errors import AssociationFailure
from gurney.pacs.wire.transport import Transport

__all__ = ["Ear", "LoggedTransport"]

_log = logging.getLogger(__name__)


class Ear(Protocol):
    """Whoever listens to one connection."""

    def opened(self) -> None:
        """Hear that the connection is there."""

    def sent(self, data: memoryview) -> None:
        """Hear what the system took."""

    def received(self, data: memoryview) -> None:
        """Hear what the system gave; nothing is the peer's end."""

    def failed(self, error: OSError) -> None:
        """Hear that the connection is lost."""

    def closed(self) -> None:
        """Hear that the connection is closed, once."""


class LoggedTransport:
    """Pass everything on, and let an ear hear it. What goes wrong in the ear never reaches the association."""

    def __init__(self, transport: Transport, ear: Ear) -> None:
        self._transport = transport
        self._ear = ear
        self._is_deaf = False
        self._is_closed = False
        self._hear(ear.opened)

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 once it is closed."""
        return self._transport.fileno()

    def recv(self, size: int, /) -> bytes:
        """Return what is there, at most so many bytes; nothing means that the peer has closed."""
        try:
            data = self._transport.recv(size)
        except BlockingIOError:
            raise
        except OSError as error:
            self._hear(self._ear.failed, error)
            raise
        self._hear(self._ear.received, memoryview(data))
        return data

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read what is there into a buffer and return its length; 0 means that the peer has closed."""
        try:
            length = self._transport.recv_into(buffer)
        except BlockingIOError:
            raise
        except OSError as error:
            self._hear(self._ear.failed, error)
            raise
        self._hear(self._ear.received, buffer[:length])
        return length

    def send(self, data: memoryview, /) -> int:
        """Send a beginning of the data and return its length."""
        try:
            length = self._transport.send(data)
        except BlockingIOError:
            raise
        except OSError as error:
            self._hear(self._ear.failed, error)
            raise
        self._hear(self._ear.sent, data[:length])
        return length

    def has_pending(self) -> bool:
        """Tell whether there is something to read of which ``poll`` knows nothing."""
        return self._transport.has_pending()

    def is_for_us(self) -> bool:
        """Tell, of a readable descriptor, whether a read would give bytes or the end."""
        return self._transport.is_for_us()

    def say_goodbye(self) -> None:
        """Tell the peer that nothing more will come, as far as that takes no waiting."""
        self._transport.say_goodbye()

    @property
    def failure(self) -> AssociationFailure | None:
        """Why the transport itself failed."""
        return self._transport.failure

    def shutdown(self, how: int, /) -> None:
        """End one or both directions under whichever thread uses it."""
        self._transport.shutdown(how)

    def close(self) -> None:
        """Close the descriptor."""
        self._transport.close()
        if not self._is_closed:
            self._is_closed = True
            self._hear(self._ear.closed)

    def getsockname(self) -> Any:
        """Return our address."""
        return self._transport.getsockname()

    def getpeername(self) -> Any:
        """Return the peer's address."""
        return self._transport.getpeername()

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """Set an option of the TCP socket."""
        self._transport.setsockopt(level, name, value)

    def _hear(self, hear: Callable[..., None], *what: object) -> None:
        if self._is_deaf:
            return
        try:
            hear(*what)
        except Exception as error:  # noqa: BLE001  (a full disk, or a mistake of ours: no image waits for a log)
            self._is_deaf = True
            _log.warning("wire_log_failed error=%s", type(error).__name__)
