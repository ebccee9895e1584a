"""The PDUs that make and end an association in words, whatever their bytes are (PS3.8 9.3, PS3.7 annex D.3.3).

Nothing here raises: a length that leads past the end is said, and what was there before it is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from struct import Struct
from typing import Final, NamedTuple

from gurney.dicom.dictionary import named_uid
from gurney.dicom.uids import uid_of
from gurney.pacs.contexts import ContextResult
from gurney.pacs.errors import AssociationAborted, AssociationRejected
from gurney.pacs.terms import UserIdentityKind

__all__ = ["PDU_NAMES", "Proposal", "association_lines", "escaped", "proposals_of", "uid_words"]

PDU_NAMES: Final[Mapping[int, str]] = {
    0x01: "A-ASSOCIATE-RQ",
    0x02: "A-ASSOCIATE-AC",
    0x03: "A-ASSOCIATE-RJ",
    0x04: "P-DATA-TF",
    0x05: "A-RELEASE-RQ",
    0x06: "A-RELEASE-RP",
    0x07: "A-ABORT",
}

_ITEM = Struct(">BBH")
# Version, reserved, called and calling AE title, reserved.
_FIXED = Struct(">HH16s16s32s")
_LONGEST_TEXT: Final = 64
_SHOWN_BYTES: Final = 8

_PROPOSED, _ANSWERED = 0x20, 0x21
_ABSTRACT_SYNTAX, _TRANSFER_SYNTAX = 0x30, 0x40


class Proposal(NamedTuple):
    """One context of an A-ASSOCIATE-RQ or AC: of the one it has no result, of the other no abstract syntax."""

    context_id: int
    result: int | None
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


def escaped(text: str | bytes, longest: int = _LONGEST_TEXT) -> str:
    r"""Make words from outside fit for one line: what is not printable becomes ``\x1b``, what is too long is cut."""
    if isinstance(text, bytes):
        text = text.decode("ascii", "backslashreplace")
    cut = text if len(text) <= longest else text[:longest] + "..."
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode() for char in cut
    )


def uid_words(raw: bytes) -> str:
    """Give a UID with its registered name, or say how many bytes there are of what is none."""
    uid = uid_of(raw)
    return named_uid(uid) if uid is not None else f"[{len(raw)} bytes that are no UID]"


def proposals_of(body: bytes) -> list[Proposal]:
    """Read the contexts of an A-ASSOCIATE-RQ or AC (PS3.8 9.3.2.2, 9.3.3.2)."""
    return [_proposal(kind, value) for kind, value in _items(body[_FIXED.size :]) if kind in {_PROPOSED, _ANSWERED}]


def association_lines(kind: int, body: bytes, proposed: Mapping[int, str]) -> Iterator[str]:
    """Say what an association PDU holds, a line for each thing; ``proposed`` names the abstract syntax of contexts."""
    match kind:
        case 0x01 | 0x02:
            yield from _request_or_acceptance(body, proposed)
        case 0x03 if len(body) >= 4:
            yield str(AssociationRejected(*body[1:4]))
        case 0x07 if len(body) >= 4:
            yield str(AssociationAborted(*body[2:4])).replace(" by the peer's application", " by the application")


def _request_or_acceptance(body: bytes, proposed: Mapping[int, str]) -> Iterator[str]:
    if len(body) < _FIXED.size:
        yield f"cut off after {len(body)} bytes"
        return
    version, _, called, calling, _ = _FIXED.unpack_from(body)
    yield f"calling AE title {_title(calling)}, called AE title {_title(called)}, protocol version {version}"
    for kind, value in _items(body[_FIXED.size :]):
        match kind:
            case 0x10:
                yield f"application context {uid_words(value)}"
            case 0x20 | 0x21:
                yield _context_words(_proposal(kind, value), proposed)
            case 0x50:
                for sub_kind, sub_value in _items(value):
                    yield _user_item_words(sub_kind, sub_value)
            case _:
                yield _unknown(kind, value)


def _title(raw: bytes) -> str:
    return escaped(raw.strip(b" \0"))


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Cut data into items (PS3.8 9.3.2): type and value; the last one is what there is of it."""
    at = 0
    while at + _ITEM.size <= len(data):
        kind, _, length = _ITEM.unpack_from(data, at)
        at += _ITEM.size
        yield kind, data[at : at + length]
        at += length


def _proposal(kind: int, value: bytes) -> Proposal:
    head, items = value[:4].ljust(4, b"\0"), list(_items(value[4:]))
    abstract = [uid_of(uid) or "" for item, uid in items if item == _ABSTRACT_SYNTAX]
    transfer = tuple(uid_of(uid) or "" for item, uid in items if item == _TRANSFER_SYNTAX)
    return Proposal(head[0], head[2] if kind == _ANSWERED else None, "".join(abstract[:1]), transfer)


def _context_words(context: Proposal, proposed: Mapping[int, str]) -> str:
    sop_class = context.abstract_syntax or proposed.get(context.context_id, "")
    words = f"context {context.context_id} {named_uid(sop_class) if sop_class else '[no UID]'}"
    syntaxes = ", ".join(named_uid(uid) if uid else "[no UID]" for uid in context.transfer_syntaxes)
    if context.result is None:
        return f"{words} in {syntaxes}"
    if context.result == ContextResult.ACCEPTED:
        return f"{words}: accepted in {syntaxes}"
    known = {int(result): result.words for result in ContextResult}
    return f"{words}: {known.get(context.result, f'result {context.result}')}"


def _user_item_words(kind: int, value: bytes) -> str:
    """Say an item of the user information; what identifies a user is never shown, nor what nobody can read."""
    say = _USER_ITEMS.get(kind)
    return say(value) if say is not None else _unknown(kind, value)


def _operations_words(value: bytes) -> str:
    invoked, performed = _leading_number(value), _leading_number(value[2:])
    return f"asynchronous operations: {invoked or 'any'} invoked, {performed or 'any'} performed"


def _role_words(value: bytes) -> str:
    uid, rest = _leading_uid(value)
    roles = [name for name, taken in zip(("SCU", "SCP"), rest, strict=False) if taken]
    return f"role selection {uid}: {' and '.join(roles) or 'neither role'}"


def _extended_words(value: bytes) -> str:
    uid, rest = _leading_uid(value)
    shown = rest.hex(" ") if len(rest) <= _SHOWN_BYTES else f"{len(rest)} bytes"
    return f"extended negotiation {uid}: {shown}"


def _identity_words(value: bytes) -> str:
    known = {int(kind): kind.name.lower() for kind in UserIdentityKind}
    kind = value[0] if value else 0
    return f"user identity: {known.get(kind, f'type {kind}')} [never shown]"


# PS3.8 annex D.1, PS3.7 annex D.3.3.
_USER_ITEMS: Final[Mapping[int, Callable[[bytes], str]]] = {
    0x51: lambda value: f"maximum length {int.from_bytes(value[:4]) or 'unlimited'}",
    0x52: lambda value: f"implementation class {uid_words(value)}",
    0x53: _operations_words,
    0x54: _role_words,
    0x55: lambda value: f"implementation version {escaped(value)}",
    0x56: _extended_words,
    0x57: lambda value: f"common extended negotiation {_leading_uid(value)[0]}",
    0x58: _identity_words,
    0x59: lambda value: f"user identity response, {max(len(value) - 2, 0)} bytes [never shown]",
}


def _leading_number(value: bytes) -> int:
    return int.from_bytes(value[:2])


def _leading_uid(value: bytes) -> tuple[str, bytes]:
    length = _leading_number(value)
    return uid_words(value[2 : 2 + length]), value[2 + length :]


def _unknown(kind: int, value: bytes) -> str:
    return f"item {kind:02X}, {len(value)} bytes"
