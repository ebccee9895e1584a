"""Durations, ages, sizes and disk reserves as people write them: ``"30m"``, ``"5y"``, ``"20GB"``, ``"10%"``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, PlainSerializer

__all__ = [
    "Age",
    "Duration",
    "Reserve",
    "ReserveField",
    "Size",
    "format_duration",
    "parse_age",
    "parse_duration",
    "parse_rate",
    "parse_reserve",
    "parse_size",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Calendars differ by a day or two; no prior is more or less relevant for that.
_DAYS = {"d": 1.0, "w": 7.0, "mo": 365.25 / 12, "y": 365.25}
_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z%]+)\s*")


def parse_duration(value: Any) -> float:
    """Return seconds for a number of seconds or a text such as ``"90s"``, ``"30m"``, ``"12h"``, ``"2d"``."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _SECONDS:
        raise ValueError('is not a duration; write a number and ms, s, m, h or d, such as "90s"')
    return float(match[1]) * _SECONDS[match[2]]


def format_duration(seconds: float) -> str:
    """Write a duration in the largest unit that needs no fraction."""
    for unit in ("d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{seconds / _SECONDS[unit]:.0f}{unit}"
    return f"{seconds:g}s"


Duration = Annotated[
    float, BeforeValidator(parse_duration), Field(gt=0, allow_inf_nan=False), PlainSerializer(format_duration)
]


def parse_age(value: Any) -> int:
    """Return days for a number of days or a text such as ``"90d"``, ``"8w"``, ``"18mo"``, ``"5y"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _DAYS:
        raise ValueError('is not an age; write a number and d, w, mo or y, such as "5y"')
    return round(float(match[1]) * _DAYS[match[2]])


def _format_age(days: int) -> str:
    return f"{days}d"


Age = Annotated[int, BeforeValidator(parse_age), Field(ge=1), PlainSerializer(_format_age)]
"""Days."""


def parse_size(value: Any) -> int:
    """Return bytes for a number of bytes or a text such as ``"20GB"`` (decimal units)."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in _BYTES:
        raise ValueError('is not a size; write a number and B, kB, MB, GB or TB, such as "20GB"')
    return int(float(match[1]) * _BYTES[match[2]])


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=1)]
"""Bytes."""


@dataclass(frozen=True, slots=True)
class Reserve:
    """Disk space to leave free: a share of the filesystem (0 to 1) or a number of bytes."""

    share: float = 0.0
    size: int = 0

    def of(self, total: int) -> int:
        """Return the bytes to leave free on a filesystem of ``total`` bytes."""
        return max(int(self.share * total), self.size)

    def __str__(self) -> str:
        return f"{self.share * 100:g}%" if self.share else f"{self.size}B"


def parse_reserve(value: Any) -> Reserve:
    """Return the reserve for a text such as ``"10%"`` or ``"20GB"`` (decimal units, as disks are sold)."""
    if isinstance(value, Reserve):
        return value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is not None and match[2] == "%" and float(match[1]) < 100:
        return Reserve(share=float(match[1]) / 100)
    if match is not None and match[2] in _BYTES:
        return Reserve(size=int(float(match[1]) * _BYTES[match[2]]))
    raise ValueError('is not an amount of disk space; write a share below 100% or a size, such as "10%" or "20GB"')


ReserveField = Annotated[Reserve, BeforeValidator(parse_reserve), PlainSerializer(str)]


_RATES = {"bit/s": 1 / 8, "kbit/s": 1e3 / 8, "Mbit/s": 1e6 / 8, "Gbit/s": 1e9 / 8} | {
    f"{unit}/s": float(n) for unit, n in _BYTES.items()
}
_RATE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+/s)\s*")


def parse_rate(text: str) -> float | None:
    """Return bytes a second for a text such as ``"20Mbit/s"`` or ``"2.5MB/s"``; None, no limit, for an empty one."""
    if not text:
        return None
    match = _RATE.fullmatch(text)
    if match is None or match[2] not in _RATES or float(match[1]) == 0:
        raise ValueError('is no rate; write a number and kbit/s, Mbit/s, kB/s or MB/s, such as "20Mbit/s"')
    return float(match[1]) * _RATES[match[2]]
