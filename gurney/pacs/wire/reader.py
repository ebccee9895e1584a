"""What comes in on a lent wire, message by message: command sets to look at, data sets as they stream by (PS3.8 E)."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import NamedTuple

from gurney.pacs.errors import BadResponse
from gurney.pacs.progress import Progress
from gurney.pacs.wire.patience import Patience
from gurney.pacs.wire.pdu import P_DATA_TF, Fragment
from gurney.pacs.wire.wire_socket import LONGEST_PDU, Loss, WireSocket

__all__ = ["HandBack", "Heard", "Reader"]

_BUFFER = 1 << 20
# A command set has a dozen short elements; one that fills this has no end.
_LONGEST_COMMAND = 1 << 16
# With less room than this at the end of the buffer, what is in it moves to the front first.
_LEAST_ROOM = 1 << 14
# The system writes 1,024 pieces at a time, and a header may go before them.
_MOST_PIECES = 512

_PDU = Struct(">BBI").unpack_from
_PDV = Struct(">IBB").unpack_from
_PDU_HEADER = _PDV_HEADER = 6


class HandBack(Exception):
    """Ask to give the wire back: what came, or came to an end, is for pynetdicom to read. A signal, not an error."""


class Heard(NamedTuple):
    """A whole command set, still encoded, and the ID of its context."""

    context_id: int
    command: bytes


class Reader:
    """Read messages from a lent wire through one buffer.

    :meth:`command` shows a command set and leaves it there, so that a message which is for somebody else can go back
    with the wire; :meth:`take` takes it. The data set that a command announces is to be read before the next command.
    """

    def __init__(self, wire: WireSocket, progress: Progress, size: int = _BUFFER) -> None:
        self._wire = wire
        self._socket = wire.connection
        self._progress = progress
        self._buffer = bytearray(size)
        self._view = memoryview(self._buffer)
        self._at = self._end = 0
        # Of the PDU that is being read, the bytes that are still to come; and where a command that was shown ends.
        self._pdu_left = 0
        self._shown = (0, 0)

    @property
    def has_unread(self) -> bool:
        """Tell whether there are bytes that nobody has taken."""
        return self._end > self._at

    @property
    def is_mid_pdu(self) -> bool:
        """Tell whether something follows in the PDU that was read last."""
        return self._pdu_left > 0

    @property
    def is_at_other_pdu(self) -> bool:
        """Tell whether what is unread begins with another PDU than P-DATA-TF."""
        return self._pdu_left == 0 and self._end > self._at and self._buffer[self._at] != P_DATA_TF

    def take_unread(self) -> bytes:
        """Give out what was received and not taken; nothing when a PDU was left in the middle."""
        unread = b"" if self._pdu_left else bytes(self._view[self._at : self._end])
        self._at = self._end = self._pdu_left = 0
        return unread

    def command(self, patience: Patience) -> Heard:
        """Show the next command set.

        Raises :class:`HandBack` for any other PDU and for the end of the connection, BadResponse for what is no
        command set, and what ``patience`` raises.
        """
        parts: list[bytes] = []
        at, left = 0, self._pdu_left
        while True:
            while not left:
                self._need(at + _PDU_HEADER, patience)
                left = self._pdu_length(at)
                at += _PDU_HEADER
                if at > _LONGEST_COMMAND:
                    raise BadResponse("a command set without an end")
            self._need(at + _PDV_HEADER, patience)
            item_length, context_id, control = _PDV(self._buffer, self._at + at)
            if item_length < 2 or item_length + 4 > left:
                raise BadResponse("a PDV that does not fit into its PDU")
            if not control & Fragment.COMMAND:
                raise BadResponse("a data set without a command set")
            end = at + 4 + item_length
            if end > _LONGEST_COMMAND:
                raise BadResponse("a command set without an end")
            self._need(end, patience)
            if item_length == 2 or parts:
                # It comes piece by piece; that each piece comes in time says nothing of the whole.
                patience.check()
            parts.append(bytes(self._view[self._at + at + _PDV_HEADER : self._at + end]))
            at, left = end, left - 4 - item_length
            if control & Fragment.LAST:
                self._shown = (at, left)
                return Heard(context_id, parts[0] if len(parts) == 1 else b"".join(parts))

    def take(self) -> None:
        """Take the command set that was shown."""
        length, self._pdu_left = self._shown
        self._at += length

    def dataset(self, context_id: int, write: Callable[..., object], patience: Patience) -> None:
        """Read the data set of the command that was taken, and give it to ``write``, several pieces at a time.

        The pieces are views of the buffer, valid only until the next bytes are read. Raises as :meth:`command` does; a
        message that was cut off is then lost.
        """
        pieces: list[memoryview] = []

        def need(count: int) -> None:
            if self._end - self._at < count or len(pieces) == _MOST_PIECES:
                write(*pieces)
                pieces.clear()
                self._need(count, patience)

        while True:
            while not self._pdu_left:
                patience.check()
                need(_PDU_HEADER)
                self._pdu_left = self._pdu_length(0)
                self._at += _PDU_HEADER
            need(_PDV_HEADER)
            item_length, its_context_id, control = _PDV(self._buffer, self._at)
            if item_length < 2 or item_length + 4 > self._pdu_left:
                raise BadResponse("a PDV that does not fit into its PDU")
            if control & Fragment.COMMAND or its_context_id != context_id:
                raise BadResponse("a message that begins within another")
            self._at += _PDV_HEADER
            self._pdu_left -= item_length + 4
            left = item_length - 2
            if left:
                patience.renew()
            else:
                patience.check()
            while left:
                need(1)
                length = min(left, self._end - self._at)
                pieces.append(self._view[self._at : self._at + length])
                self._at += length
                left -= length
            if control & Fragment.LAST:
                write(*pieces)
                return

    def receive(self) -> bool:
        """Take in what is there, without waiting; False if there is nothing. Raises :class:`HandBack` at the end."""
        if self._at == self._end:
            self._at = self._end = 0
        elif len(self._buffer) - self._end < _LEAST_ROOM:
            self._move_up()
        if self._end == len(self._buffer):
            raise BadResponse("more than anything that we asked for")
        try:
            count = self._socket.recv_into(self._view[self._end :])
        except BlockingIOError:
            return False
        except OSError as error:
            self._wire.lose(Loss.RESET)
            raise HandBack from error
        if not count:
            self._wire.lose(Loss.CLOSED)
            raise HandBack
        self._end += count
        self._progress.mark()
        return True

    def _pdu_length(self, at: int) -> int:
        """Return the length of the P-DATA-TF whose header is there."""
        kind, _, length = _PDU(self._buffer, self._at + at)
        if kind != P_DATA_TF:
            # A message that it cuts off is none any more.
            self._at += at
            self._pdu_left = 0
            raise HandBack
        if length > LONGEST_PDU:
            self._wire.lose(Loss.OVERLONG)
            raise BadResponse(f"a PDU of {length} bytes: longer than any that we expect")
        return int(length)

    def _need(self, count: int, patience: Patience) -> None:
        """Wait until ``count`` bytes that nobody has taken are in the buffer."""
        while self._end - self._at < count:
            if self._at + count > len(self._buffer):
                self._move_up()
            if not self.receive():
                patience.wait()

    def _move_up(self) -> None:
        self._buffer[: self._end - self._at] = self._buffer[self._at : self._end]
        self._end -= self._at
        self._at = 0
