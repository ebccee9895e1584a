"""The other side of an association: what was agreed with it, and how messages go to it (PS3.7 6.3, 9, 10)."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Iterator, Mapping
from itertools import chain, repeat

from pydicom.uid import generate_uid

from gurney.pacs.testing.acts import Break, Counts, Operation, Respond, Stall
from gurney.pacs.testing.answers import Ask, Send
from gurney.pacs.testing.datasets import decode, encode
from gurney.pacs.testing.holdings import Held, as_held
from gurney.pacs.testing.link import Link
from gurney.pacs.testing.request import Message, number_of, read_message
from gurney.pacs.testing.upper_layer import command_set, fragments, p_data

__all__ = ["Peer"]

_NO_CONTEXT = 0x0122
"""What becomes of an instance that no context fits, as if the peer had refused it: SOP class not supported."""

_NO_DATA_SET, _A_DATA_SET = struct.pack("<H", 0x0101), struct.pack("<H", 0x0001)
_RESPONSE = 0x8000
_WRONG_CONTEXT_ID = 251
_DEFAULT_FRAGMENT = 16372
_NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1"})


class Peer:
    """Messages to and from one peer, one at a time. ``max_pdu`` is what it takes, 0 for no limit."""

    def __init__(self, link: Link, contexts: Mapping[int, tuple[str, str]], max_pdu: int = 0) -> None:
        self.link, self.contexts = link, contexts
        self._fragment = max_pdu - 6 if max_pdu else _DEFAULT_FRAGMENT
        self._message_id = 0
        self.cancelled: set[int] = set()
        self.waiting: deque[Message] = deque()
        """Requests that came while something else was awaited or said: they are served next, in order."""

    # --- Responses ----------------------------------------------------------------------------------------------------

    def hesitate(self, respond: Respond, context_id: int) -> None:
        """Do what comes before a response."""
        self.link.wait_at(respond.gate)
        if respond.delay:
            time.sleep(respond.delay)
        if respond.ask_first:
            self._request(Ask(), context_id)

    def respond(self, respond: Respond, request: Message) -> None:
        """Answer a request."""
        syntax = self.contexts[request.context_id][1]
        encoded = None if respond.dataset is None else encode(respond.dataset, syntax)
        elements = _response_elements(respond, request, has_data_set=encoded is not None)
        context_id = _WRONG_CONTEXT_ID if respond.wrong_context_id else request.context_id
        command = command_set(elements)
        pdvs = list(
            fragments(
                context_id,
                command,
                -(-len(command) // respond.pdvs),
                is_command=True,
                is_whole=respond.endless is None or encoded is not None,
            )
        )
        if respond.one_pdu:
            pdvs = [b"".join(pdvs)]
        rest: Iterator[bytes] = iter(())
        if encoded is not None:
            whole = respond.endless is None
            rest = fragments(context_id, encoded, self._fragment, is_command=False, is_whole=whole)
        if respond.endless is not None:
            more = fragments(context_id, respond.endless, 1 << 16, is_command=encoded is None, is_whole=False)
            rest = chain(rest, repeat(next(more)))
        self._send(chain(pdvs, rest), respond.middle, drip=respond.drip)

    # --- Requests of its own ------------------------------------------------------------------------------------------

    def store(self, send: Send, originator: tuple[str, int] | None = None) -> int:
        """Send an instance and return the status that it is answered with, 0 if that is not waited for.

        ``originator`` is the AE title and the Message ID of a C-MOVE (PS3.7 9.1.1.1).
        """
        if send.instance is None:
            raise ValueError("a Send of a script's own needs its instance")
        held = as_held(send.instance)
        context_id = send.context_id or self._context_for(held)
        if context_id is None:
            return _NO_CONTEXT
        encoded = send.dataset
        if encoded is None:
            _, syntax = self.contexts.get(context_id, ("", held.transfer_syntax_uid))
            encoded = _encoded_for(held, syntax)
        elements = {
            0x0002: _uid(send.sop_class_uid or held.sop_class_uid),
            0x0100: struct.pack("<H", Operation.C_STORE),
            0x0110: struct.pack("<H", self._next_message_id()),
            0x0700: struct.pack("<H", 0),
            0x0800: _A_DATA_SET,
            0x1000: _uid(send.sop_instance_uid or held.sop_instance_uid),
        }
        if originator is not None:
            elements[0x1030] = originator[0].ljust(16).encode("ascii")
            elements[0x1031] = struct.pack("<H", originator[1])
        command = fragments(context_id, command_set(elements), self._fragment, is_command=True)
        size, is_whole = send.fragment or self._fragment, send.endless is None
        parts = fragments(context_id, encoded, size, is_command=False, is_whole=is_whole)
        if send.endless is not None:
            more = fragments(context_id, send.endless, 1 << 16, is_command=False, is_whole=False)
            parts = chain(parts, repeat(next(more)))
        self.link.send(b"".join(map(p_data, command)))
        self._send(parts, send.middle, delay=send.delay)
        return self._await_response() if send.wait else 0

    def ask(self, ask: Ask, context_id: int) -> int:
        """Send a request and return the status that it is answered with, 0 if that is not waited for."""
        self._request(ask, context_id)
        return self._await_response() if ask.wait else 0

    def _request(self, ask: Ask, context_id: int) -> None:
        elements = {
            0x0002: _uid(ask.sop_class_uid),
            0x0100: struct.pack("<H", ask.operation),
            0x0110: struct.pack("<H", self._next_message_id()),
            0x0800: _NO_DATA_SET if ask.dataset is None else _A_DATA_SET,
            **({0x1000: _uid(ask.sop_instance_uid)} if ask.sop_instance_uid else {}),
            **ask.elements,
        }
        pdvs = fragments(context_id, command_set(elements), self._fragment, is_command=True)
        if ask.dataset is not None:
            encoded = encode(ask.dataset, self.contexts[context_id][1])
            pdvs = chain(pdvs, fragments(context_id, encoded, self._fragment, is_command=False))
        self._send(pdvs, None)

    def hear(self) -> None:
        """Take note of what the peer has said meanwhile; of a C-CANCEL above all."""
        while self.link.has_input():
            self._put_aside(read_message(self.link, self._note))

    def _await_response(self) -> int:
        while True:
            message = read_message(self.link, self._note)
            if message.command_field & _RESPONSE and number_of(message.elements, 0x0120) == self._message_id:
                return number_of(message.elements, 0x0900)
            self._put_aside(message)

    def _put_aside(self, message: Message) -> None:
        """Keep a request until its turn comes; a response that nobody awaits is forgotten."""
        if message.command_field != Operation.C_CANCEL and not message.command_field & _RESPONSE:
            self.waiting.append(message)

    def _note(self, message: Message) -> None:
        if message.command_field == Operation.C_CANCEL:
            self.cancelled.add(number_of(message.elements, 0x0120))

    def _next_message_id(self) -> int:
        self._message_id = self._message_id % 0xFFFF + 1
        return self._message_id

    def _context_for(self, held: Held) -> int | None:
        """Find a context for an instance as it is, else one that it can be recoded for."""
        fitting = {syntax: number for number, (uid, syntax) in self.contexts.items() if uid == held.sop_class_uid}
        if held.transfer_syntax_uid in fitting:
            return fitting[held.transfer_syntax_uid]
        if held.transfer_syntax_uid not in _NATIVE:
            return None
        return next((number for syntax, number in fitting.items() if syntax in _NATIVE), None)

    def _send(
        self, pdvs: Iterator[bytes], middle: Break | Stall | None, *, drip: float = 0.0, delay: float = 0.0
    ) -> None:
        for place, pdv in enumerate(pdvs):
            if delay:
                time.sleep(delay)
            self.link.send(p_data(pdv), drip)
            if middle is not None and place == 0:
                self.link.suffer(middle)


def _response_elements(respond: Respond, request: Message, *, has_data_set: bool) -> dict[int, bytes]:
    asked, field = request.elements, request.command_field
    message_id = number_of(asked, 0x0110)
    made: dict[int, bytes | None] = {
        0x0002: asked.get(0x0002) or asked.get(0x0003, b""),
        0x0100: struct.pack("<H", 0x8000 | field),
        0x0120: struct.pack("<H", message_id ^ 0x0100 if respond.wrong_message_id else message_id),
        0x0800: _A_DATA_SET if has_data_set else _NO_DATA_SET,
        0x0900: None if respond.status is None else struct.pack("<H", respond.status),
        0x0901: b"".join(struct.pack("<HH", tag >> 16, tag & 0xFFFF) for tag in respond.offending_elements) or None,
        0x0902: _padded(respond.comment.encode("ascii")) or None,
        0x1000: asked.get(0x1000) or asked.get(0x1001),
        0x1002: asked.get(0x1002),
        0x1008: asked.get(0x1008),
    }
    if field == Operation.N_CREATE and not made[0x1000]:
        made[0x1000] = _uid(generate_uid())
    counts = respond.counts or Counts()
    for element, count in zip(
        (0x1020, 0x1021, 0x1022, 0x1023),
        (counts.remaining, counts.completed, counts.failed, counts.warning),
        strict=True,
    ):
        made[element] = None if count is None else struct.pack("<H", count)
    made |= respond.elements
    return {element: value for element, value in made.items() if value is not None}


def _encoded_for(held: Held, transfer_syntax_uid: str) -> bytes:
    if transfer_syntax_uid == held.transfer_syntax_uid or transfer_syntax_uid not in _NATIVE:
        return held.encoded
    return encode(decode(held.encoded, held.transfer_syntax_uid), transfer_syntax_uid)


def _uid(uid: str) -> bytes:
    encoded = uid.encode("latin-1")
    return encoded + b"\0" * (len(encoded) % 2)


def _padded(text: bytes) -> bytes:
    return text + b" " * (len(text) % 2)
