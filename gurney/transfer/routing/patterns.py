"""Estimate what a regular expression costs, before anything is matched with it.

The CEL library's expressions run in linear time, whatever the pattern; but a pattern is compiled at each use,
and repeated classes of Unicode characters make that slow: 50 times ``\\w`` takes 16 ms. So the size of what is
compiled is bounded.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["HEAVIEST", "weigh"]

HEAVIEST: Final = 300
"""The heaviest pattern that a rule may use: about 10 ms in the worst case."""

_PIECE: Final = re.compile(
    r"""
    (?P<wide>\\[pP](?:\{[^}]*\}|.)|\\[wWdDsSbB]|\.|\[\^(?:\\.|[^\]\\])*\]|\[[^\]]*\\[^\]]*\])
  | (?P<open>\((?:\?(?:P?<[A-Za-z_][A-Za-z0-9_]*>|[a-zA-Z-]*:?))?)
  | (?P<close>\))
  | (?P<repeat>\{(?P<low>[0-9]+),?(?P<high>[0-9]*)\})
  | (?P<atom>\\.|\[(?:\\.|[^\]\\])*\]|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_WIDE: Final = 6


def weigh(pattern: str) -> int:
    """Return a pattern's weight: its characters, classes counted several times, repetitions multiplied out."""
    groups = [0]
    last = 0
    for piece in _PIECE.finditer(pattern):
        match piece.lastgroup:
            case "open":
                groups.append(0)
                continue
            case "close" if len(groups) > 1:
                last = groups.pop()
            case "repeat":
                times = int(piece["high"] or piece["low"])
                groups[-1] += last * max(times - 1, 0)
                last *= max(times, 1)
                continue
            case "wide":
                last = _WIDE
            case _:
                last = 1
        groups[-1] += last
    return sum(groups)
