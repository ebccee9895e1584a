"""A measured row, its bar, and how both are printed."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Figure", "machine"]


@dataclass(frozen=True)
class Figure:
    """One row: a sample per round, and the bar that their median must reach, or stay below."""

    name: str
    samples: Sequence[float]
    bar: float | None = None
    at_most: bool = False
    unit: str = "x"

    @property
    def median(self) -> float:
        """What counts: noise moves single rounds."""
        return statistics.median(self.samples)

    @property
    def is_met(self) -> bool:
        """Whether the bar is reached; a row without one is for information."""
        if self.bar is None:
            return True
        return self.median <= self.bar if self.at_most else self.median >= self.bar

    def __str__(self) -> str:
        """Put it on one line of the table."""
        measured = f"{_short(self.median)} ({_short(min(self.samples))}-{_short(max(self.samples))}) {self.unit}"
        if self.bar is None:
            return f"{self.name:58} {measured:32}"
        wanted = f"{'<=' if self.at_most else '>='} {_short(self.bar)}"
        return f"{self.name:58} {measured:32} {wanted:12} {'met' if self.is_met else 'NOT MET'}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def machine() -> str:
    """Say what the figures were measured on: without it they mean nothing."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "CPU"
    )
    memory = next((int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), 0)
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} x {cpu}, {memory / 2**20:.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}; load {load}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
