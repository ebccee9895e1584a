"""What was probably meant, where a file is no TOML or a rule is no CEL. No hint repeats a value: it may be a secret."""

from __future__ import annotations

import re

__all__ = ["cel_remedy", "toml_remedy"]

_KEY = r"""^\s*(?:[\w.-]+|"[^"]*"|'[^']*')\s*"""
_TOML = (
    (re.compile(_KEY + "=="), 'Write one "=" between key and value.'),
    (re.compile(_KEY + ":"), 'Write "=" between key and value.'),
    (re.compile(_KEY + r"=\s*(?:#|$)"), 'Write a value behind the "=".'),
    (re.compile(r"[=\[,]\s*[“”„‘’«]"), "Write straight quotes, \" or '."),
    (re.compile(r"=\s*(?:true|false|yes|no|on|off)\b", re.IGNORECASE), "Write true or false, in small letters."),
    (re.compile(r"""=[^#]*"[^"]*\\"""), "Write single quotes around what has a backslash in it."),
    (re.compile(r"=\s*\[?\s*[A-Za-z_/~.]"), 'Put quotes around a text: key = "value".'),
)
_CEL = (
    (re.compile(r"(?<![=!<>])(={1,3})(?!=)"), 'Compare with "==".'),
    (re.compile(r"<>"), 'Compare with "!=".'),
    (re.compile(r"(?<!&)&(?!&)|\band\b", re.IGNORECASE), 'Join conditions with "&&".'),
    (re.compile(r"(?<!\|)\|(?!\|)|\bor\b", re.IGNORECASE), 'Join conditions with "||".'),
    (re.compile(r"\bnot\b", re.IGNORECASE), 'Negate with "!( )".'),
)
_MORE = {
    "Cannot overwrite a value": "Keep one: a key is written once in its table.",
    "Cannot declare": "Keep one header, or write each of several entries as [[table]].",
}


def toml_remedy(line: str, complaint: str) -> str:
    """Return what to do about a line of which tomllib complains."""
    for start, remedy in _MORE.items():
        if complaint.startswith(start):
            return remedy
    return next((remedy for slip, remedy in _TOML if slip.search(line)), "Correct the line.")


def cel_remedy(when: str, position: int) -> str:
    """Return what to do where the CEL library can't read on; nothing where that can't be told."""
    for slip, remedy in _CEL:
        for found in slip.finditer(when):
            # The library stumbles over an unknown word itself, or over what stands behind it.
            if found.start() <= position <= found.end() + 1 and found[0] != "==":
                return remedy
    return ""
