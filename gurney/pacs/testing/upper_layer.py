"""The acceptor's side of the upper layer in bytes (PS3.8 9.3), written anew: a fake that shared the code that it
tests would share its mistakes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = [
    "RELEASE_RP",
    "RELEASE_RQ",
    "AssociateRq",
    "Proposed",
    "abort",
    "accept",
    "command_set",
    "p_data",
    "read_associate_rq",
    "read_command_set",
    "reject",
]

RELEASE_RQ = b"\x05\x00\x00\x00\x00\x04\x00\x00\x00\x00"
RELEASE_RP = b"\x06\x00\x00\x00\x00\x04\x00\x00\x00\x00"

_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_IMPLEMENTATION_CLASS = b"1.2.826.0.1.3680043.10.0.1"


@dataclass(frozen=True, slots=True)
class Proposed:
    """One presentation context that was proposed."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AssociateRq:
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2)."""

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[Proposed, ...]
    titles: bytes


def read_associate_rq(body: bytes) -> AssociateRq:
    """Read the body of an A-ASSOCIATE-RQ."""
    contexts = []
    for kind, item in _items(body[68:]):
        if kind == 0x20:
            syntaxes = list(_items(item[4:]))
            abstract = next(value.decode("ascii") for kind, value in syntaxes if kind == 0x30)
            transfers = tuple(value.decode("ascii") for kind, value in syntaxes if kind == 0x40)
            contexts.append(Proposed(item[0], abstract, transfers))
    return AssociateRq(body[4:20].decode().strip(), body[20:36].decode().strip(), tuple(contexts), body[4:36])


def accept(
    request: AssociateRq, max_pdu: int, judge: Callable[[Proposed], tuple[int, str]]
) -> tuple[bytes, Mapping[int, tuple[str, str]]]:
    """Return an A-ASSOCIATE-AC, and what was accepted: context ID to abstract and transfer syntax."""
    accepted = {}
    items = [_item(0x10, _APPLICATION_CONTEXT)]
    for context in request.contexts:
        result, syntax = judge(context)
        if result == 0:
            accepted[context.context_id] = (context.abstract_syntax, syntax)
        transfer = _item(0x40, syntax.encode("ascii"))
        items.append(_item(0x21, bytes((context.context_id, 0, result, 0)) + transfer))
    user = _item(0x51, struct.pack(">I", max_pdu)) + _item(0x52, _IMPLEMENTATION_CLASS)
    items.append(_item(0x50, user))
    body = b"\x00\x01\x00\x00" + request.titles + b"\0" * 32 + b"".join(items)
    return _pdu(0x02, body), accepted


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ."""
    return _pdu(0x03, bytes((0, result, source, reason)))


def abort(source: int, reason: int) -> bytes:
    """Return an A-ABORT."""
    return _pdu(0x07, bytes((0, 0, source, reason)))


def p_data(context_id: int, command: bytes, pdvs: int = 1, *, one_pdu: bool = False) -> bytes:
    """Return a command set as P-DATA-TF, cut into so many fragments."""
    size = -(-len(command) // pdvs)
    parts = [command[at : at + size] for at in range(0, len(command), size)]
    items = [
        struct.pack(">IBB", len(part) + 2, context_id, 3 if place == len(parts) - 1 else 1) + part
        for place, part in enumerate(parts)
    ]
    return _pdu(0x04, b"".join(items)) if one_pdu else b"".join(_pdu(0x04, item) for item in items)


def command_set(elements: Mapping[int, bytes]) -> bytes:
    """Return a command set with its group length."""
    body = b"".join(struct.pack("<HHI", 0, tag, len(value)) + value for tag, value in sorted(elements.items()))
    return struct.pack("<HHII", 0, 0, 4, len(body)) + body


def read_command_set(encoded: bytes) -> dict[int, bytes]:
    """Read a command set."""
    elements, at = {}, 0
    while at < len(encoded):
        _, tag, length = struct.unpack_from("<HHI", encoded, at)
        elements[tag] = encoded[at + 8 : at + 8 + length]
        at += 8 + length
    return elements


def _pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _items(encoded: bytes) -> list[tuple[int, bytes]]:
    items, at = [], 0
    while at + 4 <= len(encoded):
        kind, _, length = struct.unpack_from(">BBH", encoded, at)
        items.append((kind, encoded[at + 4 : at + 4 + length]))
        at += 4 + length
    return items
