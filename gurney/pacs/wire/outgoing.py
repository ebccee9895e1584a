"""A C-STORE-RQ as the bytes of P-DATA-TF PDUs, one buffer at a time (PS3.8 9.3.5)."""

from __future__ import annotations

from gurney.pacs.wire.instance import Payload
from gurney.pacs.wire.pdu import HEADER, Fragment, frame_header, frame_message

__all__ = ["Outgoing"]

_MOST_GAPS = 1024
"""As many buffers as preadv takes (IOV_MAX)."""


class Outgoing:
    """A C-STORE-RQ on its way into PDUs, one buffer at a time."""

    def __init__(self, buffer: memoryview, fragment: int, context_id: int, command: bytes, payload: Payload) -> None:
        self._buffer = buffer
        self._fragment = fragment
        self._context_id = context_id
        self._head = frame_message(command, context_id, fragment, Fragment.COMMAND)
        self._full = frame_header(fragment, context_id, Fragment.DATA_SET)
        self._payload = payload
        self._position = 0
        self._left = max(1, -(-payload.size // fragment))
        self._filled: memoryview | None = None
        self.fill()

    @property
    def is_complete(self) -> bool:
        """Tell whether the last byte has been taken."""
        return self._filled is None and self._left == 0

    def fill(self) -> None:
        """Lay out the next PDUs. Raises :class:`~gurney.pacs.wire.instance.UnusableFileError`."""
        if self._filled is not None or self._left == 0:
            return
        buffer, fragment, header = self._buffer, self._fragment, HEADER.size
        at = len(self._head)
        buffer[:at] = self._head
        self._head = b""
        gaps = []
        taken = 0
        for _ in range(min(self._left, _MOST_GAPS, (len(buffer) - at) // (header + fragment))):
            self._left -= 1
            if self._left:
                buffer[at : at + header] = self._full
                length = fragment
            else:
                length = self._payload.size - self._position - taken
                buffer[at : at + header] = frame_header(length, self._context_id, Fragment.DATA_SET | Fragment.LAST)
            at += header
            gaps.append(buffer[at : at + length])
            at += length
            taken += length
        self._payload.read_into(gaps, self._position)
        self._position += taken
        self._filled = buffer[:at]

    def take(self) -> memoryview:
        """Return what is laid out; it must be sent before the next :meth:`fill`."""
        self.fill()
        filled, self._filled = self._filled, None
        if filled is None:
            raise AssertionError("nothing is left to send")
        return filled
