"""A log of what passes on the wire, on demand: PDUs and messages in words, without whom they are about.

For an argument with another vendor, or with oneself. Each line carries the time, the association, and the direction::

    2026-03-01T20:15:01.123456Z 4f2a-1 -> C-FIND-RQ, message ID 1, ..., a data set follows
    2026-03-01T20:15:01.123502Z 4f2a-1 ->   (0010,0010) PN PatientName, 8 bytes [redacted]

It overhears the bytes beneath everything that speaks (:mod:`gurney.pacs.wire_log.transport`), so what it says is what
was said. What it holds of any PDU, message or data set is bounded, and bulk data are never written.
"""

from __future__ import annotations

import itertools
import logging
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from io import TextIOWrapper
from types import TracebackType
from typing import Final, Self, TypeAlias

from gurney.dicom.dictionary import named_uid
from gurney.pacs.contexts import ContextResult
from gurney.pacs.wire.pdu import Fragment
from gurney.pacs.wire.transport import Transport
from gurney.pacs.wire_log.association_words import PDU_NAMES, association_lines, proposals_of
from gurney.pacs.wire_log.command_words import command_words
from gurney.pacs.wire_log.element_words import element_lines
from gurney.pacs.wire_log.overheard import Fragments, Kept, Overheard
from gurney.pacs.wire_log.transport import LoggedTransport

__all__ = ["WireLevel", "WireLog"]

Target: TypeAlias = "str | os.PathLike[str] | logging.Logger | Callable[[str], object]"
"""Where lines go: a file that is added to, a logger, or a callable that takes each."""

_REQUEST, _ACCEPTANCE = 0x01, 0x02
_SENT, _RECEIVED, _NEITHER = "->", "<-", "--"
_numbers: Final = itertools.count(1)


class WireLevel(IntEnum):
    """How much a wire log tells."""

    DIMSE = 1
    """How associations begin and end, and each message."""
    PDU = 2
    """Each P-DATA-TF besides, with its fragments."""


class WireLog:
    """Write what passes on the associations of the SCUs that are given it, from any thread.

    ``target`` is a file to append to, made for its owner's eyes only; a logger, which gets each line at level INFO; or
    whatever takes a line. Values of data sets are left out unless they are UIDs or of a few tags that identify nobody
    (:data:`~gurney.pacs.wire_log.element_words.HARMLESS`), and so is the peer's Error Comment.
    ``reveal_patient_data=True`` shows them; what identifies a user, and bulk data, are never shown. A target that fails
    ends the log of an association, never the association.

    Close it, or use it as a context manager, where the target is a file.
    """

    def __init__(
        self, target: Target, *, level: WireLevel = WireLevel.DIMSE, reveal_patient_data: bool = False
    ) -> None:
        self.level = level
        self.reveal_patient_data = reveal_patient_data
        self._lock = threading.Lock()
        self._file: TextIOWrapper | None = None
        self._write: Callable[[str], object]
        if isinstance(target, logging.Logger):
            self._write = lambda line: target.info("%s", line)
        elif callable(target):
            self._write = target
        else:
            self._file = open(  # noqa: SIM115  (it is closed by close)
                target, "a", encoding="utf-8", opener=lambda path, flags: os.open(path, flags | os.O_CLOEXEC, 0o600)
            )
            self._write = self._append

    def overhear(self, transport: Transport, peer: str, secured: str = "") -> Transport:
        """Log what passes on a connection; ``peer`` and ``secured`` are said in its first line."""
        return LoggedTransport(transport, _Conversation(self, f"{os.getpid():x}-{next(_numbers)}", peer, secured))

    def write(self, association: str, direction: str, *lines: str) -> None:
        """Write lines of one association that belong together."""
        head = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ} {association} {direction} "
        with self._lock:
            for line in lines:
                self._write(head + line)

    def close(self) -> None:
        """Close the file; what associations say after that is not written."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _append(self, line: str) -> None:
        if self._file is not None and not self._file.closed:
            self._file.write(line + "\n")
            self._file.flush()


class _Conversation:
    """One association as its log tells it."""

    def __init__(self, log: WireLog, association: str, peer: str, secured: str) -> None:
        self._log, self._association = log, association
        self._peer = f"{peer}, {secured}" if secured else peer
        self.abstract_syntaxes: dict[int, str] = {}
        self.transfer_syntaxes: dict[int, str] = {}
        self._ways = {direction: _Way(self, direction) for direction in (_SENT, _RECEIVED)}
        self._is_over = False

    @property
    def level(self) -> WireLevel:
        return self._log.level

    @property
    def reveals(self) -> bool:
        return self._log.reveal_patient_data

    def opened(self) -> None:
        self.say(_NEITHER, f"connected to {self._peer}")

    def say(self, direction: str, *lines: str) -> None:
        for way in self._ways.values():
            way.settle()
        self._log.write(self._association, direction, *lines)

    def write(self, direction: str, *lines: str) -> None:
        """Write lines without settling first what is summed up."""
        self._log.write(self._association, direction, *lines)

    def sent(self, data: memoryview) -> None:
        self._ways[_SENT].overheard.hear(data)

    def received(self, data: memoryview) -> None:
        if data:
            self._ways[_RECEIVED].overheard.hear(data)
        else:
            self._end("connection closed by the peer")

    def failed(self, error: OSError) -> None:
        self._end(f"connection lost: {error.strerror or type(error).__name__}")

    def closed(self) -> None:
        self._end("connection closed")

    def _end(self, words: str) -> None:
        if not self._is_over:
            self._is_over = True
            self.say(_NEITHER, words)


class _Way:
    """What goes one way."""

    def __init__(self, conversation: _Conversation, direction: str) -> None:
        self._conversation, self._direction = conversation, direction
        self.overheard = Overheard(self)
        # P-DATA-TFs from the midst of a data set, alike but for their length: how many, and how many bytes.
        self._alike: tuple[int, int, int] | None = None

    def on_pdu(self, kind: int, body: Kept) -> None:
        conversation = self._conversation
        if kind in {_REQUEST, _ACCEPTANCE}:
            self._learn(body.beginning)
        lines = association_lines(kind, body.beginning, conversation.abstract_syntaxes)
        conversation.say(self._direction, f"{PDU_NAMES[kind]}, {body.length} bytes", *(f"  {line}" for line in lines))

    def on_data(self, length: int, fragments: tuple[Fragments, ...]) -> None:
        if self._conversation.level < WireLevel.PDU:
            return
        if len(fragments) == 1 and fragments[0].control == Fragment.DATA_SET:
            context_id = fragments[0].context_id
            if self._alike is not None and self._alike[0] == context_id:
                _, number, total = self._alike
                self._alike = (context_id, number + 1, total + length)
                return
            self.settle()
            self._alike = (context_id, 1, length)
            return
        self._conversation.say(self._direction, f"P-DATA-TF, {length} bytes: {_fragments_words(fragments)}")

    def settle(self) -> None:
        """Write what has been summed up so far."""
        if self._alike is not None:
            (context_id, number, total), self._alike = self._alike, None
            many = f"P-DATA-TF {number} times, {total} bytes in all" if number > 1 else f"P-DATA-TF, {total} bytes"
            self._conversation.write(self._direction, f"{many}: data set in context {context_id}")

    def on_command(self, context_id: int, command: Kept) -> None:
        conversation = self._conversation
        words = command_words(command.beginning, reveal=conversation.reveals)
        if not command.is_whole:
            words = f"a command set of {command.length} bytes"
        conversation.say(self._direction, f"{words}, in context {context_id}")

    def on_dataset(self, context_id: int, dataset: Kept) -> None:
        conversation = self._conversation
        syntax = conversation.transfer_syntaxes.get(context_id, "")
        named = named_uid(syntax) if syntax else "a context that was not negotiated"
        lines = element_lines(dataset, syntax, reveal=conversation.reveals) if syntax else ()
        conversation.say(
            self._direction,
            f"data set, {dataset.length} bytes, in context {context_id}: {named}",
            *(f"  {line}" for line in lines),
        )

    def on_nonsense(self, what: str) -> None:
        self._conversation.say(self._direction, f"nothing more can be followed this way: {what}")

    def _learn(self, body: bytes) -> None:
        for context_id, result, abstract_syntax, transfer_syntaxes in proposals_of(body):
            if result is None:
                self._conversation.abstract_syntaxes[context_id] = abstract_syntax
            elif result == ContextResult.ACCEPTED and transfer_syntaxes:
                self._conversation.transfer_syntaxes[context_id] = transfer_syntaxes[0]


def _fragments_words(fragments: tuple[Fragments, ...]) -> str:
    return "; ".join(
        f"{'command' if control & Fragment.COMMAND else 'data set'} in context {context_id}, {length} bytes"
        f"{f' in {number} fragments' if number > 1 else ''}{', last' if control & Fragment.LAST else ''}"
        for context_id, control, number, length in fragments
    )
