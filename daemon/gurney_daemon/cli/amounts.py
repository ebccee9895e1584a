"""How many there are of something, in words."""

from __future__ import annotations

__all__ = ["several"]


def several(n: int, thing: str) -> str:
    """Say a number of things: "1 file", "2 files"."""
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
