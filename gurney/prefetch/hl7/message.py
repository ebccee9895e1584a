"""A message as far as we read it: its kind, and what stands at a place. Wrong messages are told apart from odd ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import hl7

from gurney.errors import GurneyError
from gurney.prefetch.hl7.escapes import unescaping

__all__ = ["Message", "Segment", "Unreadable", "read_message"]

# HL7 table 0211; Python knows most of them by another name.
_ENCODINGS: Final = {
    "ASCII": "latin-1",  # whoever says so and writes an umlaut has meant this
    **{f"8859/{n}": f"iso8859-{n}" for n in range(1, 16)},
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "ISO IR87": "iso2022_jp",
    "ISO IR14": "shift_jis",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
_LONGEST_HEADER: Final = 4096
_NULL: Final = '""'


class Unreadable(GurneyError):
    """Report bytes that are no HL7 message. ``message_id`` is its MSH-10, as far as that could be read."""

    permanent = True


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment; fields are counted from 1, as the standard does. What is not there is an empty text."""

    name: str
    _fields: Sequence[str] = field(repr=False)
    _separators: str = field(repr=False)
    _unescape: Callable[[str], str] = field(repr=False)

    def texts(self, number: int, component: int = 1, subcomponent: int = 1) -> Iterator[str]:
        """Yield what stands at a place, for each repetition of the field; null (2.5.3) is empty too."""
        repeat, between, within = self._separators[0], self._separators[1], self._separators[2]
        text = self._fields[number] if number < len(self._fields) else ""
        for repetition in text.split(repeat):
            # Undone last: what was escaped is no separator.
            part = _nth(_nth(repetition, between, component), within, subcomponent)
            yield "" if part == _NULL else self._unescape(part).strip()


def _nth(text: str, separator: str, n: int) -> str:
    parts = text.split(separator)
    return parts[n - 1] if n <= len(parts) else ""


@dataclass(frozen=True, slots=True)
class Message:
    """A message: its segments in order, and what an acknowledgement repeats of its header."""

    segments: tuple[Segment, ...] = field(repr=False)
    kind: str  # MSH-9.1, such as ORM
    event: str  # MSH-9.2, such as O01
    message_id: str = field(repr=False)
    told_at: str = field(repr=False)

    def header(self, number: int) -> str:
        """Return a field of MSH, its first repetition and component."""
        return next(self.segments[0].texts(number))


def read_message(block: bytes, encoding: str) -> Message:
    """Read a message; ``encoding`` is of one that does not say its own (MSH-18). Raises Unreadable."""
    encoding = _encoding_of(block, encoding)
    text = block.decode(encoding, errors="replace").replace("\r\n", "\r").replace("\n", "\r")
    try:
        parsed = hl7.parse(text.replace("\0", ""))
    except (hl7.ParseException, IndexError, ValueError, AssertionError):
        raise Unreadable("it does not begin with a whole MSH segment") from None
    separators = str(parsed.separators)
    inner = separators[2] + separators[3] + separators[4]
    unescape = unescaping(str(parsed.esc), separators[1] + separators[3] + separators[2] + separators[4], encoding)
    segments = tuple(
        Segment(str(one[0]), [str(part) for part in one], inner, unescape) for one in parsed if str(one[0])
    )
    if not segments or segments[0].name != "MSH":
        raise Unreadable("it does not begin with an MSH segment")
    if sum(one.name == "MSH" for one in segments) > 1:
        # Two messages in one may be of two patients, who would be taken for one.
        raise Unreadable("there is more than one MSH segment")
    header = segments[0]
    kind, event = (next(header.texts(9, n)) for n in (1, 2))
    if not kind:
        raise Unreadable("its type (MSH-9) is missing")
    return Message(segments, kind, event, next(header.texts(10)), next(header.texts(7)))


def _encoding_of(block: bytes, default: str) -> str:
    """Return what MSH-18 names. Up to there every encoding that HL7 knows is ASCII, but for UTF-16."""
    head = block[:_LONGEST_HEADER].split(b"\r", 1)[0]
    fields = head.split(head[3:4] or b"|")
    said = fields[17].split(b"~")[0].strip().decode("ascii", "replace") if len(fields) > 17 else ""
    return _ENCODINGS.get(said, default)
