"""What an association sends and receives through: TCP as it is, or TLS over it, behind one interface.

Everything above knows a :class:`Transport` only. It does not block: what can't be done at once raises BlockingIOError,
and ``poll`` on its descriptor tells when to try again. TLS adds two things of which ``poll`` knows nothing: bytes that
are here already, decrypted, and messages of TLS itself that make a descriptor readable without a byte for us.
"""

from __future__ import annotations

import socket
from typing import Any, Protocol

from gurney.pacs.errors import AssociationFailure

__all__ = ["PlainSocket", "Transport"]


class Transport(Protocol):
    """A connected stream that does not block."""

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 once it is closed."""

    def recv(self, size: int, /) -> bytes:
        """Return what is there, at most so many bytes; nothing means that the peer has closed."""

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read what is there into a buffer and return its length; 0 means that the peer has closed."""

    def send(self, data: memoryview, /) -> int:
        """Send a beginning of the data and return its length. After a BlockingIOError go on with the same data."""

    def has_pending(self) -> bool:
        """Tell whether there is something to read of which ``poll`` knows nothing: ask before each wait."""

    def is_for_us(self) -> bool:
        """Tell, of a readable descriptor, whether a read would give bytes or the end; else it has been dealt with."""

    def say_goodbye(self) -> None:
        """Tell the peer that nothing more will come, as far as that takes no waiting."""

    @property
    def failure(self) -> AssociationFailure | None:
        """Why the transport itself failed, where it knows better than that the connection was lost."""

    def shutdown(self, how: int, /) -> None:
        """End one or both directions under whichever thread uses it."""

    def close(self) -> None:
        """Close the descriptor."""

    def getsockname(self) -> Any:
        """Return our address."""

    def getpeername(self) -> Any:
        """Return the peer's address."""

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """Set an option of the TCP socket."""


class PlainSocket(socket.socket):
    """TCP as it is."""

    failure = None

    def has_pending(self) -> bool:
        """Tell that ``poll`` knows everything."""
        return False

    def is_for_us(self) -> bool:
        """Tell that every byte is for us."""
        return True

    def say_goodbye(self) -> None:
        """Say nothing: TCP's own end follows."""
