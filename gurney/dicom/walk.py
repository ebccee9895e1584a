"""Walk the elements of a data set to its end, so that "complete" means that every length led to where it said.

A parser that reads until it is content calls most truncated files fine. This walk touches every element header, keeps
the few values it was asked for, passes over all others by their length, and never holds more than a window of bytes.
Nesting is a list of frames, not recursion, so that depth is a number to compare and never a stack that overflows.

What lies *inside* a value of defined length can't move the end of the data set. There the walk descends only to measure
depth: what it can't follow there (some vendors write implicit items into explicit sequences) is passed over.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from gurney.dicom.dictionary import SEQUENCES
from gurney.dicom.encodings import IMPLICIT_LE, Encoding
from gurney.dicom.errors import Part10Error, Reason, TruncatedError
from gurney.dicom.policy import ReadPolicy
from gurney.dicom.sources import Source, is_unwritten

__all__ = ["PixelData", "Walk"]

_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXEL_DATA: Final = 0x7FE00010
# Pixel Data, and its floating-point forms (PS3.3 C.7.6.24, C.7.6.25).
_PIXELS: Final = frozenset({_PIXEL_DATA, 0x7FE00008, 0x7FE00009})
# Nothing but image data has a reason to be longer than this.
_PLAUSIBLE_LENGTH: Final = 0x7FFFFFFF
_WINDOW: Final = 64 * 1024
# Fragments are whole frames: between two of their headers lies nothing worth reading.
_FRAGMENT_WINDOW: Final = 512
# Reading a header needs up to 12 bytes.
_HEADER: Final = 12
_STOP: Final = -1
# What is overlooked inside a value of defined length: if the bytes really end there, they end for what encloses it too.
_PASSED_OVER: Final = frozenset({Reason.CORRUPT, Reason.BAD_LENGTH, Reason.TRUNCATED})
_NOTHING: Final[frozenset[int]] = frozenset()

# What a frame holds: elements, items of elements, or items of bytes (PS3.5 A.4).
_ELEMENTS, _ITEMS, _FRAGMENTS = range(3)


class _Frame(NamedTuple):
    """Something open, the outermost being the data set. ``end`` is its own if ``defined``, else its encloser's."""

    holds: int
    end: int
    defined: bool
    encoding: Encoding


class PixelData(NamedTuple):
    """The top-level pixel data: where its value starts, and its length, None where it is encapsulated."""

    start: int
    length: int | None


@lru_cache(maxsize=64)
def _notable(wanted: frozenset[int], encoding: Encoding) -> dict[int, int]:
    """Map the keys at which the quick pass does more than skip: to the tag to keep, or to _STOP."""
    stops = {0, _ITEM, _ITEM_END, _SEQUENCE_END} | _PIXELS
    if not encoding.explicit:
        # Without a VR, only the dictionary tells a sequence of defined length from text.
        stops |= SEQUENCES
    notable = {encoding.key(tag): tag for tag in wanted}
    notable.update((encoding.key(tag), _STOP) for tag in stops)
    return notable


class Walk:
    """One pass over a data set: :meth:`run`, then read ``elements`` and ``pixel_data``.

    ``source`` gives the bytes, the data set starting at ``start``; ``window`` may hold what is already read of it, from
    position 0 on. Elements are kept whole, header included, because a slice is all that costs.
    """

    __slots__ = (
        "_at",
        "_base",
        "_data",
        "_frames",
        "_notable",
        "_policy",
        "_source",
        "_stop",
        "_wanted",
        "elements",
        "pixel_data",
    )

    def __init__(
        self,
        source: Source,
        encoding: Encoding,
        wanted: frozenset[int],
        policy: ReadPolicy,
        start: int,
        window: bytes,
    ) -> None:
        self._source = source
        self._wanted = wanted
        self._policy = policy
        self._base = 0
        self._data = window
        self._at = start
        self._frames = [_Frame(_ELEMENTS, source.end, True, encoding)]
        self._look_about()
        self.elements: dict[int, bytes] = {}
        self.pixel_data: PixelData | None = None

    def run(self) -> None:
        """Walk to the end.

        Raises TruncatedError where the bytes end first, and Part10Error with BAD_LENGTH, CORRUPT, TOO_DEEP or
        TRAILING_BYTES (something behind complete pixel data) where they make no sense.
        """
        more = True
        while more:
            try:
                more = self._step()
            except Part10Error as error:
                if error.reason not in _PASSED_OVER or not self._leave_defined():
                    raise

    # The quick pass: plain elements inside the window, most of every header. It overshoots the window rather than
    # compare every length with it, and then takes the last step back.

    def _pass_explicit(self) -> None:
        data, at, stop, notable, elements = self._data, self._at, self._stop, self._notable, self.elements
        encoding, value_limit = self._frames[-1].encoding, self._policy.value_limit
        read_header, read_long = encoding.read_header, encoding.read_long
        short_vrs, flat_vrs = encoding.short_vrs, encoding.flat_vrs
        before = at
        while at < stop:
            before = at
            key, vr, length = read_header(data, at)
            if vr in short_vrs:
                at += 8 + length
            elif vr in flat_vrs:
                length = read_long(data, at + 8)[0]
                at += 12 + length
            else:
                break
            if key in notable:
                tag = notable[key]
                if tag < 0 or length > value_limit:
                    at = before
                    break
                elements[tag] = data[before:at]
        self._at = at if at <= len(data) else before

    def _pass_implicit(self) -> None:
        data, at, stop, notable, elements = self._data, self._at, self._stop, self._notable, self.elements
        read_header, value_limit = self._frames[-1].encoding.read_header, self._policy.value_limit
        before = at
        while at < stop:
            before = at
            key, length = read_header(data, at)
            at += 8 + length
            if key in notable:
                tag = notable[key]
                if tag < 0 or length > value_limit:
                    at = before
                    break
                elements[tag] = data[before:at]
        self._at = at if at <= len(data) else before

    # The careful step: whatever the quick pass stopped at.

    def _step(self) -> bool:
        """Take what needs thought; False at the end of the data set."""
        frame = self._frames[-1]
        if frame.holds == _ELEMENTS and self._at < self._stop:
            if frame.encoding.explicit:
                self._pass_explicit()
            else:
                self._pass_implicit()
        position = self._base + self._at
        if position >= frame.end:
            if position == frame.end and frame.defined:
                return self._leave()
            if self._is_enclosed():
                raise Part10Error(Reason.CORRUPT, f"a value crosses the end of what encloses it at byte {frame.end}")
        header = self._peek(position, _FRAGMENT_WINDOW if frame.holds == _FRAGMENTS else _WINDOW)
        if not header and len(self._frames) == 1:
            return False
        if len(header) < 8:
            raise self._stray(position, header)
        self._take(position, header, frame)
        return True

    def _take(self, position: int, header: bytes, frame: _Frame) -> None:
        key, length = frame.encoding.read_item(header, 0)
        tag = frame.encoding.key(key)
        inside = frame.holds == _ELEMENTS
        if inside and tag >> 16 not in (0, 0xFFFE):
            self._element(position, tag, header)
        elif len(self._frames) > 1 and tag == (_ITEM_END if inside else _SEQUENCE_END):
            # What has a length may carry the needless delimiter too.
            self._at += 8
            self._leave()
        elif tag != _ITEM or inside:
            raise self._stray(position, header)
        elif frame.holds == _ITEMS:
            self._item(position, length)
        else:
            self._fragment(position, length)

    def _element(self, position: int, tag: int, header: bytes) -> None:
        frame = self._frames[-1]
        size, length = self._read_header(position, header)
        top = len(self._frames) == 1
        if top and tag in _PIXELS:
            self.pixel_data = PixelData(position + size, None if length == _UNDEFINED else length)
        if length == _UNDEFINED:
            self._at += size
            self._enter_undefined(position, tag, header)
            return
        after = position + size + length
        if after > frame.end:
            raise self._too_long(position, tag, length)
        if header[4:6] == b"SQ" if frame.encoding.explicit else tag in SEQUENCES:
            self._at += size
            self._enter(_Frame(_ITEMS, after, True, frame.encoding), position)
            return
        if top and tag in self._wanted:
            value = self._source.read_at(position + size, min(length, self._policy.value_limit))
            self.elements[tag] = header[:size] + value
        self._at += size + length

    def _read_header(self, position: int, header: bytes) -> tuple[int, int]:
        """Give the size of the header and the length of the value."""
        encoding = self._frames[-1].encoding
        if not encoding.explicit:
            return 8, encoding.read_item(header, 0)[1]
        _, vr, length = encoding.read_header(header, 0)
        if vr in encoding.short_vrs:
            return 8, length
        if vr in encoding.long_vrs:
            if len(header) < _HEADER:
                raise TruncatedError(f"the file ends inside the element header at byte {position}")
            return _HEADER, encoding.read_long(header, 8)[0]
        return self._guess_length(position, header)

    def _guess_length(self, position: int, header: bytes) -> tuple[int, int]:
        """Find header size and length of an element whose VR is unknown, by looking at what would follow.

        A VR of the future has a 32-bit length (PS3.5 7.1.2); writers that invent VRs mostly give them 16 bits; some
        leave the VR out of single elements. The first reading that leads to an element or to the end is taken.
        """
        self._move_window(position, _WINDOW)
        frame = self._frames[-1]
        encoding, end = frame.encoding, min(frame.end, self._source.end) - position
        readings = [(8, encoding.read_header(header, 0)[2]), (8, encoding.read_item(header, 0)[1])]
        if len(header) == _HEADER:
            readings.insert(0, (_HEADER, encoding.read_long(header, 8)[0]))
        for size, length in readings:
            after = size + length
            if after == end or (after + 8 <= len(self._data) and self._has_vr(encoding, after)):
                return size, length
        raise self._stray(position, header)

    def _has_vr(self, encoding: Encoding, at: int) -> bool:
        code = encoding.read_header(self._data, at)[1]
        return code in encoding.short_vrs or code in encoding.long_vrs

    def _enter_undefined(self, position: int, tag: int, header: bytes) -> None:
        frame = self._frames[-1]
        encoding = frame.encoding
        vr = header[4:6] if encoding.explicit else b"SQ"
        if tag == _PIXEL_DATA or vr in (b"OB", b"OW"):
            holds = _FRAGMENTS
        elif vr == b"SQ":
            holds = _ITEMS
        elif vr == b"UN":
            # A sequence of unknown content is implicit VR little endian whatever surrounds it (PS3.5 6.2.2).
            holds, encoding = _ITEMS, IMPLICIT_LE
        else:
            raise Part10Error(Reason.BAD_LENGTH, f"{_name(tag)} at byte {position} has no length, which its VR needs")
        self._enter(_Frame(holds, frame.end, False, encoding), position)

    def _item(self, position: int, length: int) -> None:
        sequence = self._frames[-1]
        self._at += 8
        if length == _UNDEFINED:
            self._enter(_Frame(_ELEMENTS, sequence.end, False, sequence.encoding), position)
        else:
            after = position + 8 + length
            if after > sequence.end:
                raise self._too_long(position, _ITEM, length)
            self._enter(_Frame(_ELEMENTS, after, True, sequence.encoding), position)

    def _fragment(self, position: int, length: int) -> None:
        """Pass one fragment (PS3.5 A.4): a few bytes to read, however long the frame."""
        if length == _UNDEFINED:
            raise Part10Error(Reason.BAD_LENGTH, f"the fragment at byte {position} has no length")
        if position + 8 + length > self._frames[-1].end:
            raise self._too_long(position, _ITEM, length)
        self._at += 8 + length

    # Frames and the window.

    def _enter(self, frame: _Frame, position: int) -> None:
        self._frames.append(frame)
        limit = self._policy.max_depth
        if len(self._frames) > 2 * limit + 1:
            raise Part10Error(Reason.TOO_DEEP, f"more than {limit} nested sequences at byte {position}")
        self._look_about()

    def _leave(self) -> bool:
        """Go on in what encloses the innermost frame; False if that was the data set itself."""
        self._frames.pop()
        if not self._frames:
            return False
        self._look_about()
        return True

    def _leave_defined(self) -> bool:
        """Go to the end of the innermost value of defined length; False if there is none."""
        if not self._is_enclosed():
            return False
        while not self._frames[-1].defined:
            self._frames.pop()
        self._at = self._frames[-1].end - self._base
        return self._leave()

    def _is_enclosed(self) -> bool:
        return any(frame.defined for frame in self._frames[1:])

    def _peek(self, position: int, window: int) -> bytes:
        """Give the next header's bytes, moving the window if it ends before them."""
        if self._at + _HEADER > len(self._data):
            self._move_window(position, window)
        return self._data[self._at : self._at + _HEADER]

    def _move_window(self, position: int, size: int) -> None:
        self._data = self._source.read_at(position, size)
        self._base, self._at = position, 0
        self._look_about()

    def _look_about(self) -> None:
        """Set the quick pass's bounds after the frame or the window has changed."""
        frame = self._frames[-1]
        readable, end = len(self._data) - _HEADER + 1, frame.end - self._base
        self._stop = readable if readable < end else end
        self._notable = _notable(self._wanted if len(self._frames) == 1 else _NOTHING, frame.encoding)

    # What is wrong, in words.

    def _too_long(self, position: int, tag: int, length: int) -> Part10Error:
        what = f"{_name(tag)} at byte {position} with {length} bytes"
        if self._is_enclosed():
            return Part10Error(Reason.CORRUPT, f"{what} is longer than what encloses it")
        if length > _PLAUSIBLE_LENGTH and tag >> 16 not in (0x7FE0, 0xFFFE):
            return Part10Error(Reason.BAD_LENGTH, f"{what} can't be true")
        return TruncatedError(f"{what} is longer than the rest of the file")

    def _stray(self, position: int, header: bytes) -> Part10Error:
        """Say what it means that no element, item or delimiter starts here."""
        where = f"at byte {position}"
        if self._is_enclosed():
            return Part10Error(Reason.CORRUPT, f"neither element nor item {where}")
        unwritten = is_unwritten(self._source.read_at(position, _WINDOW))
        if self.pixel_data is not None and len(self._frames) == 1 and (unwritten or len(header) >= 8):
            return Part10Error(Reason.TRAILING_BYTES, f"bytes that are no element follow the pixel data {where}")
        if len(header) < 8:
            return TruncatedError(f"the file ends inside a header or before a delimiter {where}")
        if unwritten:
            return TruncatedError(f"zeros where an element should be {where}: reserved, not yet written")
        return Part10Error(Reason.CORRUPT, f"neither element nor item {where}")


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
