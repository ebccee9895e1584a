"""What the demo shows on the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pydicom.uid import UID
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from gurney_daemon.demo.comparison import Row

__all__ = ["Bars", "show_bars", "show_differences", "show_table"]

_MOST_DIFFERENCES: Final = 20


class Bars:
    """How far the study has come, at its three stations."""

    def __init__(self, progress: Progress, total: int) -> None:
        """Begin at nothing of ``total`` instances."""
        self._progress = progress
        self._folder, self._accepted, self._stored = (
            progress.add_task(name, total=total) for name in ("in the folder", "in the ledger", "stored")
        )

    def update(self, *, in_folder: int, in_ledger: int, stored: int) -> None:
        """Show these numbers of instances."""
        self._progress.update(self._folder, completed=in_folder)
        self._progress.update(self._accepted, completed=in_ledger)
        self._progress.update(self._stored, completed=stored)


@contextmanager
def show_bars(console: Console, total: int) -> Iterator[Bars]:
    """Show progress while the block runs."""
    columns = (TextColumn("{task.description:>14}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield Bars(progress, total)


def show_table(console: Console, rows: Sequence[Row]) -> None:
    """Show the accounts, a line for each transfer syntax and one for all."""
    table = Table(box=SIMPLE_HEAD, show_footer=True)
    table.add_column("Transfer syntax", footer="All")
    for name, numbers in (
        ("Dropped", [row.dropped for row in rows]),
        ("Ledger", [row.in_ledger for row in rows]),
        ("Done", [row.done for row in rows]),
        ("PACS", [row.held for row in rows]),
        ("Identical", [row.identical for row in rows]),
    ):
        table.add_column(name, footer=str(sum(numbers)), justify="right")
    for row in rows:
        counts = (row.dropped, row.in_ledger, row.done, row.held, row.identical)
        table.add_row(UID(row.transfer_syntax_uid).keyword, *map(str, counts))
    console.print(table)


def show_differences(console: Console, differences: Sequence[str]) -> None:
    """Name what differs, the first of many."""
    for difference in differences[:_MOST_DIFFERENCES]:
        console.print(difference, markup=False, highlight=False, soft_wrap=True)
    if len(differences) > _MOST_DIFFERENCES:
        console.print(f"and {len(differences) - _MOST_DIFFERENCES} more", highlight=False)
