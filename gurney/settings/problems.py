"""What is wrong with a configuration: where, what, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from gurney.errors import ConfigError

__all__ = ["InvalidSettingsError", "KeyPath", "Origin", "Origins", "Problem", "Provenance", "Severity"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way from the root of the configuration to a key: ``("remote", 0, "port")``."""


class Severity(StrEnum):
    """An error stops every command; a warning is shown and lived with."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Where a value was written.

    ``source`` is a file's path or an environment variable's name; ``line`` and ``column`` count from 1 and are 0
    where there is none to count.
    """

    source: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


Origins: TypeAlias = Mapping[KeyPath, Origin]
"""The origin of each key that was written anywhere; a key at its default has none."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake: ``key`` reads ``remote[archive].port``, ``remedy`` is for the person who edits the file."""

    severity: Severity
    origin: Origin
    key: str
    message: str
    remedy: str

    @property
    def is_error(self) -> bool:
        return self.severity is Severity.ERROR

    def __str__(self) -> str:
        subject = f"{self.key}: " if self.key else ""
        stop = "" if self.message.endswith((".", "?")) else "."
        return f"{self.origin}: {self.severity}: {subject}{self.message}{stop} {self.remedy}"

    def as_dict(self) -> dict[str, str | int]:
        """Flatten for ``--json``."""
        return {
            "severity": str(self.severity),
            "source": self.origin.source,
            "line": self.origin.line,
            "column": self.origin.column,
            "key": self.key,
            "message": self.message,
            "remedy": self.remedy,
        }


@dataclass(frozen=True, slots=True)
class Provenance:
    """How settings came to be; settings that say the same are equal, wherever they say it."""

    source: str = field(default="configuration", compare=False)
    origins: Origins = field(default_factory=dict, compare=False)
    problems: tuple[Problem, ...] = field(default=(), compare=False)


class InvalidSettingsError(ConfigError):
    """Refuse a configuration with everything that is wrong with it, so that one round of edits is enough.

    ``problems`` holds the warnings too; at least one is an error.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        # What refuses stands last, where people look first.
        told = sorted(self.problems, key=lambda problem: problem.is_error)
        super().__init__("\n".join(map(str, told)))
