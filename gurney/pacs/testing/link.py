"""The connection beneath one association of the fake PACS, read and written in PDUs."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import deque
from contextlib import suppress
from typing import NoReturn

from gurney.pacs.testing.acts import Break, Gate, How, Stall
from gurney.pacs.testing.upper_layer import RELEASE_RP, RELEASE_RQ, Pdv, abort, read_p_data

__all__ = ["Link", "Over"]

_GLANCE = 0.02
_CHUNK = 1 << 18
_ESTABLISHED = 1
"""TCP_ESTABLISHED, the first byte of Linux's struct tcp_info."""


class Over(Exception):
    """Tell how an association ended: a signal, not an error."""

    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.ending = ending


class Link:
    """One connection. ``pace`` reads only so many bytes of P-DATA-TF a second."""

    def __init__(self, connection: socket.socket, pace: float = 0.0) -> None:
        self._socket = connection
        self._pace = pace
        self._unread = bytearray()
        self._pdvs: deque[Pdv] = deque()
        self._is_cut = False
        self.longest_pdu = 0
        self.on_release: Break | Stall | None = None
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    # --- In -----------------------------------------------------------------------------------------------------------

    def pdu(self) -> tuple[int, bytes]:
        """Receive one PDU: its type and its body."""
        kind, _, length = struct.unpack(">BBI", self._read(6))
        if kind == 0x04:
            self.longest_pdu = max(self.longest_pdu, length)
            if self._pace:
                time.sleep(length / self._pace)
        return kind, self._read(length)

    def pdv(self) -> Pdv:
        """Receive the next fragment of a message; any PDU but P-DATA-TF ends the association."""
        while not self._pdvs:
            kind, body = self.pdu()
            if kind == 0x05:
                if self.on_release is not None:
                    self.suffer(self.on_release)
                self.send(RELEASE_RP)
                raise Over("released")
            if kind != 0x04:
                raise Over("aborted" if kind == 0x07 else "lost")
            self._pdvs.extend(read_p_data(body))
        return self._pdvs.popleft()

    def has_input(self) -> bool:
        """Tell whether something of the peer's, or its end, waits to be read."""
        if self._pdvs or self._unread:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    def _read(self, length: int) -> bytes:
        while len(self._unread) < length:
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                raise Over("lost")
            self._unread += chunk
        data = bytes(self._unread[:length])
        del self._unread[:length]
        return data

    # --- Out ----------------------------------------------------------------------------------------------------------

    def send(self, data: bytes, drip: float = 0.0) -> None:
        """Send bytes; with ``drip`` one at a time, each after so many seconds."""
        if not drip:
            self._socket.sendall(data)
            return
        for byte in data:
            self._socket.sendall(bytes((byte,)))
            time.sleep(drip)

    # --- Waits and ends -----------------------------------------------------------------------------------------------

    def wait_at(self, gate: Gate | None) -> None:
        """Wait until a gate is open, or somebody cuts the connection."""
        while gate is not None and not gate.arrive(_GLANCE):
            if self._is_cut:
                raise Over("lost")

    def suffer(self, act: Break | Stall) -> NoReturn:
        """End the association, or fall silent until it has ended."""
        if isinstance(act, Stall):
            self.hold()
        if act.how is How.RELEASE:
            self.send(RELEASE_RQ)
            self.hold()
        if act.how in (How.ABORT, How.ABORT_AND_STAY):
            self.send(abort(act.source, act.reason))
        if act.how is How.ABORT_AND_STAY:
            self.hold()
        if act.how is How.RESET:
            self._reset_at_close()
        raise Over("ended by the script")

    def hold(self) -> NoReturn:
        """Keep the connection open without reading, until the peer has closed it or we are stopped."""
        self._socket.settimeout(_GLANCE)
        while True:
            time.sleep(_GLANCE)
            state = self._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
            if state != _ESTABLISHED:
                raise Over(self._parting())

    def cut(self) -> None:
        """Reset the connection from another thread, so that whoever waits on it ends."""
        self._is_cut = True
        with suppress(OSError):
            self._reset_at_close()
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _reset_at_close(self) -> None:
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _parting(self) -> str:
        """Tell from what the peer left behind whether it aborted."""
        with suppress(OSError):
            while chunk := self._socket.recv(1 << 16):
                if chunk.endswith(abort(0, 0)) or chunk.endswith(abort(2, 0)):
                    return "aborted"
        return "lost"
