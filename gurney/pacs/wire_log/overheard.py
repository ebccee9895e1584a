"""What passes in one direction of an association, cut into PDUs and messages again (PS3.8 9.3, annex E).

Bytes come as the socket took or gave them, in pieces of any length. Nothing here fails on them, and little of them is
kept: of an association PDU or a command set what a sane one may have, of a data set its beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from struct import Struct
from typing import Final, NamedTuple, Protocol

from gurney.pacs.wire.pdu import P_DATA_TF, Fragment

__all__ = ["MOST_KEPT", "Confidant", "Fragments", "Kept", "Overheard"]

MOST_KEPT: Final = 1 << 16
"""How many bytes of one PDU, command set or data set are kept."""

_KINDS: Final = range(0x01, 0x08)
# More kinds of fragments in turn than this, in one PDU, are not told: one or two are usual.
_MOST_FRAGMENTS: Final = 8
_PDU = Struct(">BBI")
_PDV = Struct(">IBB")


class Kept(NamedTuple):
    """The beginning of something, and how long it was in all."""

    beginning: bytes
    length: int

    @property
    def is_whole(self) -> bool:
        """Tell whether nothing of it is missing."""
        return len(self.beginning) == self.length


class Fragments(NamedTuple):
    """Fragments of one kind that follow each other in a PDU: their context and control, how many, how many bytes."""

    context_id: int
    control: int
    number: int
    length: int


class Confidant(Protocol):
    """Whoever is told what was overheard."""

    def on_pdu(self, kind: int, body: Kept) -> None:
        """Take a PDU other than P-DATA-TF."""

    def on_data(self, length: int, fragments: tuple[Fragments, ...]) -> None:
        """Take a P-DATA-TF of so many bytes; command sets and data sets that end in it are given next."""

    def on_command(self, context_id: int, command: Kept) -> None:
        """Take a command set."""

    def on_dataset(self, context_id: int, dataset: Kept) -> None:
        """Take a data set."""

    def on_nonsense(self, what: str) -> None:
        """Hear that nothing more of this direction can be followed, and why."""


class Overheard:
    """Follow one direction; :meth:`hear` takes its bytes as they pass."""

    def __init__(self, confidant: Confidant) -> None:
        self._confidant = confidant
        self._head = bytearray()
        self._kind = 0
        self._pdu_length = self._pdu_left = 0
        self._pdu = _Part()
        self._context_id = self._control = self._pdv_left = 0
        self._fragments: list[Fragments] = []
        self._command, self._dataset = _Part(), _Part()
        self._ended: list[Callable[[], None]] = []
        self._is_lost = False

    def hear(self, data: memoryview) -> None:
        """Go on with what has just passed."""
        at = 0
        while at < len(data) and not self._is_lost:
            at += self._take(data[at:])

    def _take(self, data: memoryview) -> int:
        """Take a beginning of it, and tell how much that was."""
        if not self._pdu_left:
            taken = self._take_head(data, _PDU.size)
            if len(self._head) == _PDU.size:
                self._begin_pdu()
            return taken
        if self._kind == P_DATA_TF and not self._pdv_left:
            taken = self._take_head(data, min(_PDV.size, self._pdu_left + len(self._head)))
            self._pdu_left -= taken
            if not self._pdu_left or len(self._head) == _PDV.size:
                self._begin_pdv()
        elif self._kind == P_DATA_TF:
            taken = min(len(data), self._pdv_left)
            self._pdu_left -= taken
            self._pdv_left -= taken
            self._part.add(data[:taken])
            if not self._pdv_left:
                self._end_pdv()
        else:
            taken = min(len(data), self._pdu_left)
            self._pdu_left -= taken
            self._pdu.add(data[:taken])
        if not self._pdu_left and not self._is_lost:
            self._end_pdu()
        return taken

    def _take_head(self, data: memoryview, size: int) -> int:
        taken = min(len(data), size - len(self._head))
        self._head += data[:taken]
        return taken

    def _begin_pdu(self) -> None:
        self._kind, _, self._pdu_length = _PDU.unpack(self._head)
        self._head.clear()
        if self._kind not in _KINDS:
            self._lose(f"no PDU begins with the byte {self._kind:02X}")
        elif self._pdu_length:
            self._pdu_left = self._pdu_length
        else:
            self._end_pdu()

    def _end_pdu(self) -> None:
        if self._kind == P_DATA_TF:
            fragments, self._fragments = tuple(self._fragments), []
            self._confidant.on_data(self._pdu_length, fragments)
            ended, self._ended = self._ended, []
            for tell in ended:
                tell()
        else:
            self._confidant.on_pdu(self._kind, self._pdu.taken())

    @property
    def _part(self) -> _Part:
        return self._command if self._control & Fragment.COMMAND else self._dataset

    def _begin_pdv(self) -> None:
        if len(self._head) < _PDV.size:
            self._lose("a P-DATA-TF ends within the header of a fragment")
            return
        length, self._context_id, self._control = _PDV.unpack(self._head)
        self._head.clear()
        if not 2 <= length <= self._pdu_left + 2:
            self._lose(f"a fragment of {length} bytes where {self._pdu_left + 2} are left of its PDU")
            return
        self._pdv_left = length - 2
        self._count(length - 2)
        if not self._pdv_left:
            self._end_pdv()

    def _count(self, length: int) -> None:
        last = self._fragments[-1] if self._fragments else None
        if last is not None and (last.context_id, last.control) == (self._context_id, self._control):
            self._fragments[-1] = last._replace(number=last.number + 1, length=last.length + length)
        elif len(self._fragments) < _MOST_FRAGMENTS:
            self._fragments.append(Fragments(self._context_id, self._control, 1, length))

    def _end_pdv(self) -> None:
        if not self._control & Fragment.LAST:
            return
        tell = self._confidant.on_command if self._control & Fragment.COMMAND else self._confidant.on_dataset
        self._ended.append(partial(tell, self._context_id, self._part.taken()))

    def _lose(self, why: str) -> None:
        self._is_lost = True
        self._confidant.on_nonsense(why)


class _Part:
    """Something of which the beginning is kept."""

    def __init__(self) -> None:
        self._beginning = bytearray()
        self._length = 0

    def add(self, data: memoryview) -> None:
        self._beginning += data[: MOST_KEPT - len(self._beginning)]
        self._length += len(data)

    def taken(self) -> Kept:
        kept = Kept(bytes(self._beginning), self._length)
        self._beginning, self._length = bytearray(), 0
        return kept
