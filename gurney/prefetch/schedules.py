"""When a rule is done, which times were missed, and whose appointments count then; pure.

Times are seconds since the epoch. Cron and days go by the clock on the wall in the configured zone: in the night in
which it is moved, a time that is left out is done at the leap, one that comes twice is done once.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from math import floor
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

from gurney.settings import Prefetch
from gurney.settings.quantities import parse_duration

__all__ = ["LATE", "horizon", "is_scheduled", "missed", "next_time"]

LATE: Final = 300.0
"""Seconds after which a time that nobody has seen to counts as missed."""

_MOST_CAUGHT_UP: Final = 100
_SATURDAY: Final = 5


def is_scheduled(rule: Prefetch) -> bool:
    """Tell whether a rule is done by itself at set times."""
    return bool(rule.schedule) or rule.every is not None


def next_time(rule: Prefetch, zone: ZoneInfo, after: float) -> float:
    """Return the first time after another at which a scheduled rule is done."""
    times = []
    if rule.schedule:
        times.append(next(CronSim(rule.schedule, datetime.fromtimestamp(after, zone))).timestamp())
    if rule.every is not None:
        # Counted from the epoch, so that a restart moves nothing.
        times.append((floor(after / rule.every) + 1) * rule.every)
    return min(times)


def missed(rule: Prefetch, zone: ZoneInfo, due: float, now: float) -> list[float]:
    """Return the times from ``due`` until ``now`` that are to be seen to, by what the rule says of those that are late.

    At most a hundred: nobody's priors depend on more.
    """
    times = [due]
    while (following := next_time(rule, zone, times[-1])) <= now:
        times = [*times[-_MOST_CAUGHT_UP + 1 :], following]
    if rule.catch_up == "all":
        return times
    last = times[-1]
    return [] if rule.catch_up == "skip" and now - last > LATE else [last]


def horizon(text: str, at: float, zone: ZoneInfo, holidays: Collection[date] = ()) -> tuple[float, float]:
    """Return from when until before when appointments count, seen from a moment."""
    today = datetime.fromtimestamp(at, zone).date()
    match text:
        case "today":
            return at, _midnight(today + timedelta(days=1), zone)
        case "next_day":
            return _day(today + timedelta(days=1), zone)
        case "next_working_day":
            day = today + timedelta(days=1)
            while day.weekday() >= _SATURDAY or day in holidays:
                day += timedelta(days=1)
            return _day(day, zone)
        case _:
            return at, at + parse_duration(text)


def _day(day: date, zone: ZoneInfo) -> tuple[float, float]:
    return _midnight(day, zone), _midnight(day + timedelta(days=1), zone)


def _midnight(day: date, zone: ZoneInfo) -> float:
    return datetime.combine(day, time(), zone).timestamp()
