"""A TLS front for a port that speaks plain TCP, so that a fake PACS can be asked for its faults over TLS."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from tests.services.certificates import Authority, Issued

__all__ = ["TlsRelay", "server_side"]

_TURN_SECONDS = 0.05


def server_side(issued: Issued, *, trusts: Authority | None = None) -> ssl.SSLContext:
    """Make a server's context; with ``trusts`` it requires a certificate that this CA has issued."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if trusts is not None:
        context.load_verify_locations(trusts.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class TlsRelay:
    """Listen with TLS and pass on to a port of loopback, or, without one, shake hands and wait.

    A reset is passed on as a reset; an end without close_notify where ``is_polite`` is False.
    """

    def __init__(self, context: ssl.SSLContext, target: int | None = None, *, is_polite: bool = True) -> None:
        self._context, self._target, self._is_polite = context, target, is_polite
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept, name="TLS relay")]
        self._is_over = threading.Event()
        self.endings: list[str] = []
        """How each connection ended on the TLS side: "close_notify", "EOF" or the name of an error."""

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), name="TLS relay's connection")
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        try:
            secured = self._context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
        except OSError as error:
            self.endings.append(getattr(error, "reason", None) or type(error).__name__)
            connection.close()
            return
        with secured, socket.socket() as plain:
            if self._target is not None:
                plain.connect(("127.0.0.1", self._target))
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._pump(secured, plain)

    def _pump(self, secured: ssl.SSLSocket, plain: socket.socket) -> None:
        sources: list[socket.socket] = [secured] if self._target is None else [secured, plain]
        while not self._is_over.is_set():
            ready, _, _ = select.select(sources, [], [], 0 if secured.pending() else _TURN_SECONDS)
            try:
                if secured.pending() or secured in ready:
                    data = secured.recv(65536)
                    if not data:
                        self.endings.append("close_notify")
                        return
                    if self._target is not None:
                        plain.sendall(data)
            except ssl.SSLEOFError:
                self.endings.append("EOF")
                return
            except OSError as error:
                self.endings.append(type(error).__name__)
                return
            if plain in ready:
                try:
                    data = plain.recv(65536)
                except ConnectionResetError:
                    secured.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if not data:
                    if self._is_polite:
                        secured.settimeout(0)
                        with suppress(OSError):
                            secured.unwrap()
                    return
                secured.sendall(data)
