"""A TLS connection that behaves as a TCP socket which does not block."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from gurney.pacs.errors import AssociationFailure

__all__ = ["SecureSocket"]

T = TypeVar("T", bytes, int)

_LONGEST_RECORD = 1 << 14


class SecureSocket:
    """A TLS connection after its handshake, as a :class:`~gurney.pacs.wire.transport.Transport`.

    A read may find a message of TLS itself (a session ticket, a change of keys) and nothing else. So that a look does
    not take that for a byte of the peer's, :meth:`is_for_us` reads ahead by one record and keeps what it finds.

    Threads take turns: OpenSSL's connection, unlike a socket, can't be used by two at a time.
    """

    def __init__(
        self, connection: ssl.SSLSocket, explain: Callable[[ssl.SSLError], AssociationFailure] | None = None
    ) -> None:
        """Take over a connection whose handshake is done.

        ``explain`` puts into words what the peer's TLS says in place of its first byte: under TLS 1.3 a server looks
        at our certificate only after our side of the handshake has ended (RFC 8446 4.4.2.4).
        """
        self._connection = connection
        self._explain = explain
        self._turn = threading.Lock()
        self._ahead = b""
        self._end: OSError | bool = False
        self.failure: AssociationFailure | None = None

    def fileno(self) -> int:
        """Return the descriptor to poll, -1 once it is closed."""
        return self._connection.fileno()

    # --- Reading ------------------------------------------------------------------------------------------------------

    def recv(self, size: int, /) -> bytes:
        """Return what is there, at most so many bytes; nothing means that the peer has closed."""
        with self._turn:
            if not self._ahead:
                return self._read(lambda: self._connection.recv(size))
            taken, self._ahead = self._ahead[:size], self._ahead[size:]
            return taken

    def recv_into(self, buffer: memoryview, /) -> int:
        """Read what is there into a buffer and return its length; 0 means that the peer has closed."""
        with self._turn:
            if not self._ahead:
                return self._read(lambda: self._connection.recv_into(buffer))
            length = min(len(buffer), len(self._ahead))
            buffer[:length], self._ahead = self._ahead[:length], self._ahead[length:]
            return length

    def has_pending(self) -> bool:
        """Tell whether there is something to read of which ``poll`` knows nothing."""
        with self._turn:
            return bool(self._ahead or self._end) or (self._connection.fileno() >= 0 and self._connection.pending() > 0)

    def is_for_us(self) -> bool:
        """Tell, of a readable descriptor, whether a read would give bytes or the end."""
        with self._turn:
            self._look()
            return bool(self._ahead or self._end)

    def _read(self, read: Callable[[], T]) -> T:
        if isinstance(self._end, OSError):
            raise self._end
        try:
            found = read()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLError as error:
            if self._explain is not None:
                self.failure = self._explain(error)
            raise
        if found:
            self._explain = None
        return found

    def _look(self) -> None:
        """Read one record ahead, or remember how it ended."""
        if self._ahead or self._end:
            return
        try:
            self._ahead = self._read(lambda: self._connection.recv(_LONGEST_RECORD))
            self._end = not self._ahead
        except BlockingIOError:
            pass
        except OSError as error:
            self._end = error

    # --- Writing ------------------------------------------------------------------------------------------------------

    def send(self, data: memoryview, /) -> int:
        """Send a beginning of the data and return its length. After a BlockingIOError go on with the same data."""
        with self._turn:
            try:
                return self._connection.send(data)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise BlockingIOError from None
            except OSError:
                # A peer that refuses us says why before it closes, and what it said is still to be read.
                self._look()
                raise

    def say_goodbye(self) -> None:
        """Send close_notify (RFC 8446 6.1), without waiting for the peer's."""
        with self._turn, suppress(OSError, ValueError):
            self._connection.unwrap()

    # --- The end, and the rest of a socket ----------------------------------------------------------------------------

    def shutdown(self, how: int, /) -> None:
        """End one or both directions of the TCP connection, under whichever thread uses it."""
        # Not SSLSocket's own: it would let a read that follows take the peer's encrypted bytes for plain ones.
        socket.socket.shutdown(self._connection, how)

    def close(self) -> None:
        """Close the descriptor."""
        with self._turn:
            self._connection.close()

    def getsockname(self) -> Any:
        """Return our address."""
        return self._connection.getsockname()

    def getpeername(self) -> Any:
        """Return the peer's address."""
        try:
            return self._connection.getpeername()
        except OSError:
            # As in send.
            with self._turn:
                self._look()
            raise

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """Set an option of the TCP socket."""
        self._connection.setsockopt(level, name, value)
