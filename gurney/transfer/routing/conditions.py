"""The conditions of which a rule is made: what ``&&``, ``||`` and brackets join, down to single comparisons.

Only for people: ``gurney route explain`` shows which condition decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gurney.transfer.routing.tokens import CLOSING, OPENING, Token, matching

__all__ = ["Condition", "split"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A part of an expression: ``joint`` is ``&&`` or ``||`` and has ``parts``; "" is a single condition."""

    joint: str
    start: int
    end: int
    parts: tuple[Condition, ...] = ()

    def leaves(self) -> list[Condition]:
        """Return the single conditions from left to right."""
        return [leaf for part in self.parts for leaf in part.leaves()] if self.parts else [self]


def split(tokens: Sequence[Token]) -> Condition:
    """Split an expression's tokens, the loosest joint first; ``? :`` and ``!( )`` stay whole."""
    start, end = tokens[0].start, tokens[-1].end
    joints = _outermost(tokens)
    if not any(tokens[at].text == "?" for at in joints):
        for joint in ("||", "&&"):
            cuts = [at for at in joints if tokens[at].text == joint]
            if cuts:
                bounds = zip([-1, *cuts], [*cuts, len(tokens)], strict=True)
                return Condition(joint, start, end, tuple(split(tokens[a + 1 : b]) for a, b in bounds))
        if tokens[0].text == "(" and matching(tokens, 0) == len(tokens) - 1 and len(tokens) > 2:
            return split(tokens[1:-1])
    return Condition("", start, end)


def _outermost(tokens: Sequence[Token]) -> list[int]:
    """Return the indexes of the joints that stand in no bracket."""
    depth = 0
    found = []
    for index, token in enumerate(tokens):
        if token.kind == "mark":
            depth += (token.text in OPENING) - (token.text in CLOSING)
            if depth == 0 and token.text in {"&&", "||", "?"}:
                found.append(index)
    return found
