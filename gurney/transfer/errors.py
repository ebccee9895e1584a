"""Refinements of the error tree for this room.

ConfigError
└── RouteTableError      rules that can't be used; lists every mistake with its rule and position
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gurney.errors import ConfigError

__all__ = ["ExpressionError", "RouteMistake", "RouteTableError"]


class ExpressionError(ConfigError):
    """Refuse an expression, saying what is wrong at which offset (None: as a whole)."""

    def __init__(self, words: str, position: int | None = None) -> None:
        super().__init__(words)
        self.words = words
        self.position = position


@dataclass(frozen=True, slots=True)
class RouteMistake:
    """One mistake: in which rule, at which character of its ``when`` (from 0; None: elsewhere), and what to do."""

    rule: str
    position: int | None
    words: str

    def __str__(self) -> str:
        where = "" if self.position is None else f", character {self.position + 1} of when"
        return f"route {self.rule!r}{where}: {self.words}"


class RouteTableError(ConfigError):
    """Refuse a set of routing rules, naming every mistake at once."""

    def __init__(self, mistakes: Sequence[RouteMistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)
