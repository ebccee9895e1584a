"""The upper layer in bytes (PS3.8 9.3), written anew: a fake that shared the code it tests would share its mistakes."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

__all__ = [
    "RELEASE_RP",
    "RELEASE_RQ",
    "AssociateRq",
    "Pdv",
    "Proposed",
    "abort",
    "accept",
    "associate",
    "command_set",
    "fragments",
    "p_data",
    "read_associate_ac",
    "read_associate_rq",
    "read_command_set",
    "read_p_data",
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
    """An A-ASSOCIATE-RQ (PS3.8 9.3.2).

    ``max_pdu`` is what the requestor takes, ``user_items`` all of its user information (PS3.7 D.3.3).
    """

    called_ae_title: str
    calling_ae_title: str
    contexts: tuple[Proposed, ...]
    titles: bytes
    max_pdu: int = 0
    user_items: tuple[tuple[int, bytes], ...] = ()


class Pdv(NamedTuple):
    """One fragment of a message (PS3.8 9.3.5.1)."""

    context_id: int
    control: int
    part: bytes

    @property
    def is_command(self) -> bool:
        """Tell whether it is of a command set."""
        return bool(self.control & 1)

    @property
    def is_last(self) -> bool:
        """Tell whether nothing follows of its command set, or data set."""
        return bool(self.control & 2)


def read_associate_rq(body: bytes) -> AssociateRq:
    """Read the body of an A-ASSOCIATE-RQ."""
    contexts, user_items = [], []
    for kind, item in _items(body[68:]):
        if kind == 0x20:
            syntaxes = list(_items(item[4:]))
            abstract = next(value.decode("ascii") for kind, value in syntaxes if kind == 0x30)
            transfers = tuple(value.decode("ascii") for kind, value in syntaxes if kind == 0x40)
            contexts.append(Proposed(item[0], abstract, transfers))
        elif kind == 0x50:
            user_items = _items(item)
    titles = body[4:20].decode().strip(), body[20:36].decode().strip()
    return AssociateRq(*titles, tuple(contexts), body[4:36], _max_pdu(user_items), tuple(user_items))


def accept(
    request: AssociateRq, max_pdu: int, judge: Callable[[Proposed], tuple[int, str]]
) -> tuple[bytes, Mapping[int, tuple[str, str]]]:
    """Return an A-ASSOCIATE-AC, and what was accepted: context ID to abstract and transfer syntax.

    Roles and extended negotiation are agreed to as proposed, and a user identity is taken.
    """
    accepted = {}
    items = [_item(0x10, _APPLICATION_CONTEXT)]
    for context in request.contexts:
        result, syntax = judge(context)
        if result == 0:
            accepted[context.context_id] = (context.abstract_syntax, syntax)
        transfer = _item(0x40, syntax.encode("ascii"))
        items.append(_item(0x21, bytes((context.context_id, 0, result, 0)) + transfer))
    user = _item(0x51, struct.pack(">I", max_pdu)) + _item(0x52, _IMPLEMENTATION_CLASS)
    items.append(_item(0x50, user + b"".join(_agreed(request.user_items))))
    body = b"\x00\x01\x00\x00" + request.titles + b"\0" * 32 + b"".join(items)
    return _pdu(0x02, body), accepted


def associate(
    called_ae_title: str, calling_ae_title: str, contexts: Iterable[Proposed], roles: Iterable[str] = ()
) -> bytes:
    """Return an A-ASSOCIATE-RQ; ``roles`` are the SOP classes that the requestor provides (PS3.7 D.3.3.4)."""
    items = [_item(0x10, _APPLICATION_CONTEXT)]
    for context in contexts:
        syntaxes = _item(0x30, context.abstract_syntax.encode("ascii"))
        syntaxes += b"".join(_item(0x40, syntax.encode("ascii")) for syntax in context.transfer_syntaxes)
        items.append(_item(0x20, bytes((context.context_id, 0, 0, 0)) + syntaxes))
    user = _item(0x51, struct.pack(">I", 0)) + _item(0x52, _IMPLEMENTATION_CLASS)
    for uid in roles:
        user += _item(0x54, struct.pack(">H", len(uid)) + uid.encode("ascii") + b"\x00\x01")
    items.append(_item(0x50, user))
    titles = called_ae_title.ljust(16).encode("ascii") + calling_ae_title.ljust(16).encode("ascii")
    return _pdu(0x01, b"\x00\x01\x00\x00" + titles + b"\0" * 32 + b"".join(items))


def read_associate_ac(body: bytes, proposed: Sequence[Proposed]) -> tuple[int, Mapping[int, tuple[str, str]]]:
    """Read the body of an A-ASSOCIATE-AC: the acceptor's Maximum Length, and what it accepted."""
    asked = {context.context_id: context.abstract_syntax for context in proposed}
    accepted, max_pdu = {}, 0
    for kind, item in _items(body[68:]):
        if kind == 0x21 and item[2] == 0:
            ((_, syntax),) = _items(item[4:])
            accepted[item[0]] = (asked[item[0]], syntax.decode("ascii"))
        elif kind == 0x50:
            max_pdu = _max_pdu(_items(item))
    return max_pdu, accepted


def reject(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ."""
    return _pdu(0x03, bytes((0, result, source, reason)))


def abort(source: int, reason: int) -> bytes:
    """Return an A-ABORT."""
    return _pdu(0x07, bytes((0, 0, source, reason)))


def fragments(
    context_id: int, message: bytes, size: int, *, is_command: bool, is_whole: bool = True
) -> Iterator[bytes]:
    """Cut a command set or a data set into PDVs; one that is not ``is_whole`` has no last fragment."""
    for at in range(0, max(1, len(message)), size):
        part = message[at : at + size]
        is_last = is_whole and at + size >= len(message)
        yield struct.pack(">IBB", len(part) + 2, context_id, is_command | is_last << 1) + part


def p_data(pdvs: bytes) -> bytes:
    """Put PDVs into one P-DATA-TF."""
    return _pdu(0x04, pdvs)


def read_p_data(body: bytes) -> list[Pdv]:
    """Read the body of a P-DATA-TF."""
    pdvs, at = [], 0
    while at < len(body):
        length, context_id, control = struct.unpack_from(">IBB", body, at)
        pdvs.append(Pdv(context_id, control, body[at + 6 : at + 4 + length]))
        at += 4 + length
    return pdvs


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


def _max_pdu(user_items: Iterable[tuple[int, bytes]]) -> int:
    return next((int.from_bytes(value, "big") for kind, value in user_items if kind == 0x51), 0)


def _agreed(user_items: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """Answer what stands in the user information besides the contexts (PS3.7 D.3.3.4, D.3.3.5, D.3.3.7)."""
    for kind, value in user_items:
        if kind in (0x54, 0x56):
            yield _item(kind, value)
        elif kind == 0x58 and value[1]:
            yield _item(0x59, b"\0\0")
