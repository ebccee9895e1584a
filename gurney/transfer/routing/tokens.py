"""Cut a CEL expression into tokens: enough to see which tags it asks for, and how its conditions hang together.

The grammar is left to the CEL library, which has accepted the text before it comes here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["CLOSING", "OPENING", "Token", "is_call", "matching", "tokenize"]

OPENING: Final = frozenset("([{")
CLOSING: Final = frozenset(")]}")

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<text>(?:[rR][bB]?|[bB][rR])(?:\"\"\".*?\"\"\"|'''.*?'''|"[^"\n]*"|'[^'\n]*')
      | [bB]?(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]?)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<mark>&&|\|\||==|!=|<=|>=|.)
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of an expression: ``kind`` is text, number, name or mark; ``start`` and ``end`` are offsets."""

    kind: str
    text: str
    start: int
    end: int


def tokenize(expression: str) -> list[Token]:
    """Cut an expression into tokens, without spaces and comments."""
    return [
        Token(found.lastgroup or "mark", found.group(), found.start(), found.end())
        for found in _TOKEN.finditer(expression)
        if found.lastgroup != "space"
    ]


def is_call(tokens: Sequence[Token], at: int) -> bool:
    """Tell whether the name at ``at`` is called."""
    return at + 1 < len(tokens) and tokens[at + 1].text == "("


def matching(tokens: Sequence[Token], at: int) -> int:
    """Return the index of the bracket that closes the one at ``at``."""
    depth = 0
    for index in range(at, len(tokens)):
        if tokens[index].kind == "mark":
            depth += (tokens[index].text in OPENING) - (tokens[index].text in CLOSING)
            if depth == 0:
                return index
    return len(tokens) - 1
