"""Progress for whoever watches a terminal; elsewhere nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from gurney_daemon.cli.tables import console

__all__ = ["Bar", "bar"]


class Bar:
    """A line of progress."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        """Show one task of a running display."""
        self._progress, self._task = progress, task

    def show(self, done: int, words: str) -> None:
        """Say how much is done, and what of it is what."""
        self._progress.update(self._task, completed=done, words=words)


@contextmanager
def bar(title: str, total: int | None = None) -> Iterator[Bar]:
    """Show progress on standard error while the block runs; ``total`` None: nobody knows how much there is."""
    out = console(to_stderr=True)
    how_much = (
        (BarColumn(), MofNCompleteColumn()) if total is not None else (SpinnerColumn(), TextColumn("{task.completed}"))
    )
    words = TextColumn("{task.fields[words]}", markup=False)
    columns = (TextColumn("{task.description}"), *how_much, words, TimeElapsedColumn())
    with Progress(*columns, console=out, transient=True, disable=not out.is_terminal) as progress:
        yield Bar(progress, progress.add_task(title, total=total, words=""))
