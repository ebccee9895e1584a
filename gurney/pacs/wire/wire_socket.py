"""A connection that pynetdicom's upper-layer thread uses, and lends to the wire fast path."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
import termios
import threading
import time
from contextlib import suppress
from enum import Enum, auto
from typing import cast

from pynetdicom.association import Association
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire.turnstile import Turnstile

__all__ = ["LONGEST_PDU", "Loss", "WireSocket"]

LONGEST_PDU = 1 << 20
"""Longer PDUs are cut off at their header: nothing that a peer may send to an SCU comes near it."""

_PARTING_SECONDS = 0.5
# pynetdicom's upper-layer thread looks at its timers this often, and at all else when it is woken.
_TURN_SECONDS = 0.05


class Loss(Enum):
    """How a connection was lost; the first thing seen counts."""

    CLOSED = auto()  # the peer closed it
    RESET = auto()
    STALLED = auto()  # the peer took no byte, or did not finish a PDU, in time
    OVERLONG = auto()  # the peer announced a PDU longer than any that we expect
    ENDLESS = auto()  # the peer sent a message longer than any that we expect


class WireSocket(AssociationSocket):
    """A connection, TCP or TLS, that pynetdicom's upper-layer thread uses, and lends.

    pynetdicom asks :attr:`ready` in each turn of its loop. While the wire is lent the thread stands still there; that
    is the one place where it holds no half-read PDU and no unhandled event.
    """

    def __init__(self, assoc: Association, connection: Transport) -> None:
        self.connection = connection
        self.fd = connection.fileno()
        self.loss: Loss | None = None
        self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._nudge_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(self.wake_fd)
            raise
        self.is_interrupted = False
        self._ending = threading.Lock()
        self._is_severed = False
        self._unread = bytearray()
        self._turnstile = Turnstile(assoc.dul, wake=self.nudge)
        super().__init__(assoc, address=AddressInformation("0.0.0.0", 0))  # noqa: S104  (never bound: see below)

    # --- Lending ------------------------------------------------------------------------------------------------------

    def borrow(self) -> None:
        """Take the wire: when this returns, pynetdicom's upper-layer thread stands still."""
        self._turnstile.clear()

    def give_back(self, unread: bytes | bytearray | memoryview = b"") -> None:
        """Return the wire with the bytes that were read but not meant for the borrower."""
        self._unread += unread
        self.assoc.dul._idle_timer.restart()
        self._turnstile.set()

    @property
    def has_given_back(self) -> bool:
        """Tell whether bytes that a borrower gave back are still unread."""
        return bool(self._unread)

    def lose(self, loss: Loss) -> None:
        """Note how the connection was lost."""
        self.loss = self.loss or loss

    def interrupt(self) -> None:
        """Make every wait on this wire, by whichever thread, end at once and for good."""
        self.is_interrupted = True
        with self._ending:
            if self.wake_fd >= 0:
                os.eventfd_write(self.wake_fd, 1)

    def nudge(self) -> None:
        """Let pynetdicom's upper-layer thread look around at once: there is something to do."""
        with self._ending:
            if self._nudge_fd >= 0:
                os.eventfd_write(self._nudge_fd, 1)

    def sever(self) -> None:
        """Say nothing more: a PDU is half sent, so whatever follows would be read as its rest. Close with a reset."""
        self._is_severed = True

    def hang_up(self) -> None:
        """End the connection under a thread that is using it; the socket stays, or another would get its number."""
        self.sever()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def dispose(self) -> None:
        """Close what is still open, once. Only after both threads have ended."""
        self._shutdown_socket()
        with self._ending:
            if self.wake_fd >= 0:
                os.close(self.wake_fd)
                os.close(self._nudge_fd)
            self.wake_fd = self._nudge_fd = -1

    # --- What pynetdicom calls ----------------------------------------------------------------------------------------

    def _create_socket(self, address: AddressInformation) -> socket.socket:  # noqa: ARG002
        """Use the connection that is there in place of a new socket."""
        # pynetdicom itself only asks whether it is there: whatever is done with it is overridden here.
        return cast(socket.socket, self.connection)

    def connect(self, primitive: T_CONNECT) -> None:
        """Confirm the connection that is there (PS3.8 9.2, AE-1)."""
        self.assoc.requestor.address_info = AddressInformation.from_tuple(self.connection.getsockname())
        self._is_connected = True
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)
        self._ready.set()

    def accept(self) -> None:
        """Indicate the connection that is there, which the peer has made (PS3.8 9.2, AE-5)."""
        self._is_connected = True
        self._ready.set()
        self.event_queue.put("Evt5")

    @property
    def ready(self) -> bool:
        """Tell whether there are bytes to read; rest here while there is nothing to do, or the wire is lent."""
        if not self._turnstile.is_set() and self.event_queue.empty() and self.provider_queue.empty():
            self._turnstile.wait()
            return False
        if self.socket is None or not self._is_connected:
            return False
        return self.has_input() or self._rest()

    def _rest(self) -> bool:
        """Wait until there are bytes to read or there is something else to do, and tell which."""
        if self.assoc.dul.state_machine.current_state == "Sta13":
            return False  # nothing more to read: now it closes
        poll = select.poll()
        for fd in (self.fd, self.wake_fd, self._nudge_fd):
            poll.register(fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(_TURN_SECONDS * 1000)]
        if self._nudge_fd in ready:
            os.eventfd_read(self._nudge_fd)
        return self.fd in ready and self.connection.is_for_us()

    def recv(self, nr_bytes: int) -> bytearray:
        """Read so many bytes, or as many as come before the peer closes.

        Raises OSError when the peer resets the connection, needs longer than the network timeout for them, or
        announces more than any peer may send us.
        """
        if nr_bytes > LONGEST_PDU:
            self.lose(Loss.OVERLONG)
            raise OSError(f"a PDU of {nr_bytes} bytes")
        taken = self._unread[:nr_bytes]
        del self._unread[:nr_bytes]
        deadline = time.monotonic() + (self.assoc.network_timeout or 0.0)
        while len(taken) < nr_bytes:
            try:
                chunk = self.connection.recv(nr_bytes - len(taken))
            except BlockingIOError:
                if self.is_interrupted or not self._can_read(deadline - time.monotonic()):
                    self.lose(Loss.STALLED)
                    raise TimeoutError("the rest of a PDU did not come") from None
                continue
            except OSError:
                self.lose(Loss.RESET)
                raise
            if not chunk:
                self.lose(Loss.CLOSED)
                break
            taken += chunk
        return taken

    def send(self, bytestream: bytes) -> None:
        """Send all of it, else report the connection as closed (PS3.8 9.2, Evt17).

        The peer may take its time, provided that it takes some bytes within each DIMSE timeout. An interruption in the
        middle leaves a PDU half sent, and the wire severed.
        """
        rest = memoryview(bytestream)
        try:
            while rest and not self._is_severed:
                try:
                    rest = rest[self.connection.send(rest) :]
                except BlockingIOError:
                    self._await_room()
            self.expect_answer()
        except OSError:
            self.lose(Loss.RESET)
            self.event_queue.put("Evt17")

    def expect_answer(self) -> None:
        """Have what comes next acknowledged at once; for whoever has sent a message.

        A peer that writes its answer in two pieces and leaves Nagle's algorithm on, as Orthanc does, sends the second
        only when the first is acknowledged, and the system would put that off for 40 ms.
        """
        with suppress(OSError):
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _await_room(self) -> None:
        poll = select.poll()
        poll.register(self.connection, select.POLLOUT)
        if self.is_interrupted:
            patience = _PARTING_SECONDS
        else:
            patience = self.assoc.dimse_timeout or 0.0
            poll.register(self.wake_fd, select.POLLIN)
        ready = [fd for fd, _ in poll.poll(patience * 1000)]
        if not ready:
            self.lose(Loss.STALLED)
            self.sever()
            raise TimeoutError("the peer takes no bytes")
        if self.wake_fd in ready:
            self.sever()

    def has_input(self) -> bool:
        """Tell whether bytes, or the end, wait to be read."""
        return bool(self._unread) or (self._can_read(0.0) and self.connection.is_for_us())

    def unacknowledged(self) -> int:
        """Count the bytes that the peer's system has not confirmed yet; while they get fewer, there is progress."""
        try:
            return int.from_bytes(fcntl.ioctl(self.connection, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        except (OSError, ValueError):
            return 0

    def _can_read(self, seconds: float) -> bool:
        """Wait until there are bytes or the end to read; an interruption ends a wait early."""
        if self.connection.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        if seconds > 0:
            poll.register(self.wake_fd, select.POLLIN)
        deadline = time.monotonic() + seconds
        # In turns: whoever looks meanwhile may take in what is there, and poll then says nothing of it.
        while not self.connection.has_pending():
            left = deadline - time.monotonic()
            ready = poll.poll(max(0.0, min(left, _TURN_SECONDS)) * 1000)
            if ready or left <= 0:
                return any(fd != self.wake_fd for fd, _ in ready)
        return True

    def _shutdown_socket(self) -> None:
        """Close the connection for certain: pynetdicom leaves it open when the peer was faster."""
        with suppress(OSError):
            if self._is_severed:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.connection.say_goodbye()
                self.connection.shutdown(socket.SHUT_RDWR)
        self.connection.close()
