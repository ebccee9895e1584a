"""Text for people: tables and progress, and words from outside that can't take over a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

__all__ = ["COUNTED", "console", "counts", "duration", "legible", "table"]

COUNTED = ("ready", "running", "retry", "done", "warned", "failed", "dead", "held", "cancelled")
"""Item states in the order of a row of counts."""

# Without a terminal nothing is folded: whoever cuts the lines up wants them whole.
_PIPED_WIDTH = 10_000


def console(*, to_stderr: bool = False) -> Console:
    """Open standard output, or standard error, for tables; colours and folding on a terminal only."""
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _PIPED_WIDTH
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """Lay rows out under their columns; None shows as nothing, numbers stand to the right."""
    laid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    listed = [list(row) for row in rows]
    for index, name in enumerate(columns):
        numbers = any(isinstance(row[index], int) for row in listed)
        laid.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in listed:
        laid.add_row(*[Text(_cell(cell)) for cell in row])
    return laid


def _cell(value: object) -> str:
    if value is None:
        return ""
    return legible(value if isinstance(value, bytes) else str(value))


def legible(text: str | bytes) -> str:
    r"""Make a name or words from outside fit for one line of a terminal.

    What is not printable (line breaks, escape sequences, marks that turn the direction of writing) and bytes that are
    not UTF-8 become ``\n``, ``\x1b``, ``\u202e``. A backslash is doubled, so that two names never look the same.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(_legible(character) for character in text)


def _legible(character: str) -> str:
    if character == "\\":
        return "\\\\"
    if character.isprintable():
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def duration(seconds: float | None) -> str:
    """Say a duration in the one unit that fits it."""
    if seconds is None:
        return ""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def counts(report: Mapping[str, object]) -> str:
    """Say where items stand, leaving out the states that none is in."""
    return ", ".join(f"{report[state]} {state}" for state in COUNTED if report.get(state)) or "nothing"
