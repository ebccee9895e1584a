"""A command set in words: the message, its fields, its status (PS3.7 9.3, 10.3, annex E)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gurney.dicom.status import Service, describe
from gurney.pacs.wire.command import DimsePriority, MalformedCommandError, read_elements
from gurney.pacs.wire_log.association_words import escaped, uid_words

__all__ = ["command_words"]

_MESSAGES: Final = {
    0x0001: "C-STORE",
    0x0010: "C-GET",
    0x0020: "C-FIND",
    0x0021: "C-MOVE",
    0x0030: "C-ECHO",
    0x0100: "N-EVENT-REPORT",
    0x0110: "N-GET",
    0x0120: "N-SET",
    0x0130: "N-ACTION",
    0x0140: "N-CREATE",
    0x0150: "N-DELETE",
}
_CANCEL: Final = 0x0FFF
_RESPONSE: Final = 0x8000
_STATUS, _FIELD, _DATA_SET_TYPE, _ERROR_COMMENT = 0x0900, 0x0100, 0x0800, 0x0902
_NO_DATA_SET: Final = 0x0101

# Its peer's own words may name a patient.
_HIDDEN: Final = "[redacted]"


def command_words(encoded: bytes, *, reveal: bool = False) -> str:
    """Say a whole command set in a line; the Error Comment only where patient data may be shown. Never raises."""
    try:
        found = read_elements(encoded)
    except MalformedCommandError as error:
        return f"a message that can't be read: {error}"
    field = _number(found.get(_FIELD, b""))
    words = [_name(field)]
    words += [f"{label} {say(found[element])}" for element, (label, say) in _FIELDS.items() if element in found]
    if _STATUS in found:
        words.append(f"status {_status_words(field, _number(found[_STATUS]))}")
    if _ERROR_COMMENT in found:
        comment = found[_ERROR_COMMENT].strip(b" \0")
        words.append(f"error comment {escaped(comment) if reveal else f'{len(comment)} bytes {_HIDDEN}'}")
    if unknown := found.keys() - _FIELDS.keys() - _TOLD:
        words.append("and " + ", ".join(f"(0000,{element:04X})" for element in sorted(unknown)))
    has_data_set = _number(found.get(_DATA_SET_TYPE, b"")) not in {None, _NO_DATA_SET}
    return ", ".join(words) + (", a data set follows" if has_data_set else "")


def _name(field: int | None) -> str:
    if field is None:
        return "a message without a command field"
    if field == _CANCEL:
        return "C-CANCEL-RQ"
    name = _MESSAGES.get(field & ~_RESPONSE)
    return f"{name}-{'RSP' if field & _RESPONSE else 'RQ'}" if name else f"a message of type {field:04X}"


def _status_words(field: int | None, status: int | None) -> str:
    if status is None:
        return "that can't be read"
    name = _MESSAGES.get((field or 0) & ~_RESPONSE, "")
    services = {service.value: service for service in Service}
    return describe(status, services.get(name, Service.C_ECHO))


def _number(raw: bytes) -> int | None:
    return int.from_bytes(raw, "little") if len(raw) == 2 else None


def _number_words(raw: bytes) -> str:
    number = _number(raw)
    return f"[{len(raw)} bytes]" if number is None else str(number)


def _priority_words(raw: bytes) -> str:
    known = {int(priority): priority.name.lower() for priority in DimsePriority}
    number = _number(raw)
    return _number_words(raw) if number is None else known.get(number, str(number))


def _tag_words(raw: bytes) -> str:
    pairs = [
        (int.from_bytes(raw[at : at + 2], "little"), int.from_bytes(raw[at + 2 : at + 4], "little"))
        for at in range(0, min(len(raw), 64) - 3, 4)
    ]
    return " ".join(f"({group:04X},{element:04X})" for group, element in pairs) or "none"


def _title_words(raw: bytes) -> str:
    return escaped(raw.strip(b" \0"), 16)


_FIELDS: Final[Mapping[int, tuple[str, Callable[[bytes], str]]]] = {
    0x0110: ("message ID", _number_words),
    0x0120: ("to message ID", _number_words),
    0x0002: ("affected SOP class", uid_words),
    0x0003: ("requested SOP class", uid_words),
    0x1000: ("affected SOP instance", uid_words),
    0x1001: ("requested SOP instance", uid_words),
    0x0600: ("move destination", _title_words),
    0x0700: ("priority", _priority_words),
    0x1002: ("event type ID", _number_words),
    0x1008: ("action type ID", _number_words),
    0x1005: ("attributes", _tag_words),
    0x1020: ("remaining", _number_words),
    0x1021: ("completed", _number_words),
    0x1022: ("failed", _number_words),
    0x1023: ("warning", _number_words),
    0x1030: ("move originator", _title_words),
    0x1031: ("its message ID", _number_words),
    0x0901: ("offending elements", _tag_words),
    0x0903: ("error ID", _number_words),
}
# Said otherwise, and the group's length, which is said by the PDU's.
_TOLD: Final = frozenset({0x0000, _FIELD, _DATA_SET_TYPE, _STATUS, _ERROR_COMMENT})
