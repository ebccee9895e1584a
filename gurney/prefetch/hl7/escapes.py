"""Undo the escapes of a text (HL7 v2.5.1, 2.7).

The library's own way writes a text that it can't undo into the log, and a patient with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

__all__ = ["unescaping"]

_HEXADECIMAL: Final = re.compile(r"X((?:[0-9A-Fa-f]{2})+)")
# Highlighting, other character sets: what says how the text looks, and is none.
_WITHOUT_TEXT: Final = re.compile(r"[HN]|[CM][0-9A-Fa-f]*|Z.*|X.*")


def unescaping(escape: str, separators: str, encoding: str) -> Callable[[str], str]:
    """Return what undoes the escapes of one message; it fails on no text.

    ``separators`` are those of fields, components, repetitions and subcomponents; ``encoding`` is that of the message,
    for hexadecimal data. What is no escape, such as half of one, stays as it stands.
    """
    if not escape.strip():
        return str
    mark = re.escape(escape)
    pattern = re.compile(f"{mark}([^{mark}]*){mark}")
    meant: dict[str, str] = dict(zip("FSRTE", (*separators, escape), strict=True))

    def undo(found: re.Match[str]) -> str:
        code: str = found[1]
        if code in meant:
            return meant[code]
        if hexadecimal := _HEXADECIMAL.fullmatch(code):
            # PostgreSQL keeps no NUL.
            return bytes.fromhex(hexadecimal[1]).decode(encoding, errors="replace").replace("\0", "")
        if code.startswith("."):
            return " "  # a new line, an indent
        return "" if _WITHOUT_TEXT.fullmatch(code) else found[0]

    return lambda text: pattern.sub(undo, text)
