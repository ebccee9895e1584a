"""When a remote may be sent to or asked: hours and weekdays, as the clocks on its walls show them.

Pure: whoever asks says what time it is, and in which zone. A span begins and ends by the wall clock, so in the night in
which that is moved it is an hour longer or shorter; a time that the clock leaps over is the moment of the leap.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["ALWAYS", "Stand", "Window", "parse_window"]

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_SPAN = re.compile(r"(?:([A-Za-z,\- ]+?)\s+)?(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})")
_EVERY_DAY: Final = frozenset(range(7))
_DAY: Final = 24 * 60
# A week, and the days on which spans begin that reach into it or out of it.
_LOOK_BACK, _LOOK_AHEAD = -2, 9


@dataclass(frozen=True, slots=True)
class Stand:
    """Whether a window is open, and when that changes (seconds since the epoch); None: it does not."""

    is_open: bool
    changes_at: float | None = None


@dataclass(frozen=True, slots=True)
class _Span:
    """Minutes after midnight, on each of the days on which it begins; what ends after 24 hours ends the next day."""

    days: frozenset[int]
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
    """Spans of the week. Without any it is always open."""

    spans: tuple[_Span, ...] = ()

    def stand(self, at: float, zone: ZoneInfo) -> Stand:
        """Tell how it stands at a moment (seconds since the epoch)."""
        if not self.spans:
            return Stand(is_open=True)
        for begin, end in _joined(sorted(self._around(datetime.fromtimestamp(at, zone).date(), zone))):
            if at < begin:
                return Stand(is_open=False, changes_at=begin)
            if at < end:
                # What is open for longer than we look ahead has no gap.
                return Stand(is_open=True, changes_at=end if end - at < 7 * 86_400 else None)
        raise AssertionError("each span comes again every week")

    def _around(self, today: date, zone: ZoneInfo) -> Iterator[tuple[float, float]]:
        for offset in range(_LOOK_BACK, _LOOK_AHEAD):
            day = today + timedelta(days=offset)
            for span in self.spans:
                if day.weekday() in span.days:
                    yield _moment(day, span.begin, zone), _moment(day, span.end, zone)


ALWAYS: Final = Window()
"""The window of a remote that has none."""


def parse_window(text: str) -> Window:
    """Read ``"Mon-Fri 18:00-06:00; Sat,Sun 00:00-24:00"``: spans with the days on which they begin.

    A span without days is of every day. Raises ValueError that says what is wrong.
    """
    if not text.strip():
        return ALWAYS
    return Window(tuple(_parse_span(part.strip()) for part in text.split(";") if part.strip()))


def _parse_span(text: str) -> _Span:
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f'"{text}" is no window; write days and hours, such as "Mon-Fri 18:00-06:00"')
    begin, end = (_minutes(match[i], match[i + 1], text) for i in (2, 4))
    if begin in (end, _DAY):
        raise ValueError(f'"{text}" lasts no time; all day is 00:00-24:00')
    days = _EVERY_DAY if match[1] is None else frozenset(_days(match[1]))
    return _Span(days, begin, end if end > begin else end + _DAY)


def _minutes(hours: str, minutes: str, text: str) -> int:
    total = int(hours) * 60 + int(minutes)
    if int(minutes) > 59 or total > _DAY:
        raise ValueError(f'"{text}" has no time of a day; hours are 00:00 to 24:00')
    return total


def _days(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = (side.strip() for side in part.partition("-"))
        begin = _day(first)
        end = _day(last) if last else begin
        yield from ((begin + n) % 7 for n in range((end - begin) % 7 + 1))


def _day(name: str) -> int:
    known = [day.lower() for day in _DAYS]
    if name.lower() not in known:
        raise ValueError(f'"{name}" is no day; use {", ".join(_DAYS)}')
    return known.index(name.lower())


def _moment(day: date, minutes: int, zone: ZoneInfo) -> float:
    wall = datetime.combine(day, time()) + timedelta(minutes=minutes)
    return wall.replace(tzinfo=zone).timestamp()


def _joined(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """Join what overlaps or touches."""
    begin, end = spans[0]
    for one_begin, one_end in spans[1:]:
        if one_begin <= end:
            end = max(end, one_end)
            continue
        yield begin, end
        begin, end = one_begin, one_end
    yield begin, end
