"""What an expression may not do, because it could run long.

CEL has no loops but its macros, and the library that evaluates it can't be interrupted. So macros inside
macros, long chains of ``+`` and heavy patterns are refused before they ever run. What is left ends within a
fraction of a second on the largest values that :mod:`gurney.transfer.routing.tags` lets through, and a usual
rule takes a microsecond.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final

from gurney.transfer.errors import ExpressionError
from gurney.transfer.routing.patterns import HEAVIEST, weigh
from gurney.transfer.routing.tokens import Token, is_call, matching

__all__ = ["LONGEST", "MACROS", "check_limits", "macros_of"]

LONGEST: Final = 2000
MOST_MACROS: Final = 8
MOST_PATTERNS: Final = 8
MOST_SUMS: Final = 16

MACROS: Final = frozenset({"all", "exists", "exists_one", "filter"})


def macros_of(tokens: Sequence[Token]) -> Iterator[int]:
    """Yield the index of each macro's name."""
    for at, token in enumerate(tokens):
        if token.text in MACROS and at and tokens[at - 1].text == "." and is_call(tokens, at):
            yield at


def check_limits(tokens: Sequence[Token]) -> None:
    """Refuse what could run long. Raises ExpressionError."""
    macros = list(macros_of(tokens))
    patterns = [at for at, token in enumerate(tokens) if token.text == "matches" and is_call(tokens, at)]
    sums = [at for at, token in enumerate(tokens) if token.text == "+"]
    counts = ((macros, MOST_MACROS, "macros"), (patterns, MOST_PATTERNS, "matches"), (sums, MOST_SUMS, "+"))
    for found, most, what in counts:
        if len(found) > most:
            raise ExpressionError(f"more than {most} {what}: make several rules of it", tokens[found[most]].start)
    for at in patterns:
        _check_pattern(tokens, at)
    for at in macros:
        for inner in range(at + 2, matching(tokens, at + 1)):
            if inner in macros:
                raise ExpressionError("a macro inside a macro could run long", tokens[inner].start)
            if inner in patterns:
                words = "matches inside a macro could run long; use contains, startsWith or endsWith"
                raise ExpressionError(words, tokens[inner].start)


def _check_pattern(tokens: Sequence[Token], at: int) -> None:
    literal = tokens[at + 2]
    if literal.kind != "text" or tokens[at + 3].text != ")" or tokens[at - 1].text != ".":
        raise ExpressionError('matches takes one literal pattern: t.Keyword.matches("...")', tokens[at].start)
    if weigh(_text_of(literal)) > HEAVIEST:
        raise ExpressionError("the pattern repeats too much; use smaller repetitions", literal.start)


def _text_of(literal: Token) -> str:
    """Return a text literal's value: its escapes are those of Python where patterns use them."""
    try:
        return str(ast.literal_eval(literal.text))
    except (SyntaxError, ValueError):
        return literal.text
