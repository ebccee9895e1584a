"""Every command by name, with the module that owns it.

A module is imported when its command is asked for, and imports at its top what it needs: the ledger's need SQLAlchemy,
those that ring need Celery, `echo` the DICOM stack. Imported all together they would cost every command a second.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

__all__ = ["COMMANDS", "Commands"]

COMMANDS = {
    "up": ("running", "Run everything on this machine under one supervisor."),
    "daemon": ("running", "Run the daemon alone: watch folders, ring the workers."),
    "worker": ("running", "Run this host's workers: they send."),
    "migrate": ("running", "Bring the ledger's schema to this version."),
    "send": ("sending", "Send files, or whole folders, to a remote."),
    "status": ("status", "Show how everything stands."),
    "transfers": ("reporting", "List transfers, the newest first."),
    "transfer": ("reporting", "Show one transfer with its items and their attempts."),
    "study": ("reporting", "Show where a study stands at each destination."),
    "retrieve": ("retrieving", "Retrieve a study, a series or an instance from a remote."),
    "retrievals": ("retrieving", "List retrievals, the newest first."),
    "retrieval": ("retrieving", "Show one retrieval, and what is missing of it."),
    "schedules": ("prefetching", "List when each rule of prefetch is next done."),
    "retry": ("operating", "Try again what failed, or waits for its next try."),
    "cancel": ("operating", "Cancel what is not done yet."),
    "prove": ("operating", "Ask again for proof that what was sent is there."),
    "release": ("operating", "Let go what is held back."),
    "pause": ("steering", "Send nothing more to a destination."),
    "resume": ("steering", "Send to a paused destination again."),
    "resend": ("steering", "Send a study again, all of it."),
    "echo": ("echoing", "Try to reach a remote, step by step."),
    "find": ("finding", "Ask a remote what it has."),
    "prefetch": ("prefetching", "Say which priors are wanted, and fetch them."),
    "reload": ("configuring", "Apply the configuration to what runs."),
    "quarantine": ("quarantining", "Decide on files that were refused."),
    "route": ("routes", "Ask the routing rules."),
    "config": ("configuring", "Check or show the configuration."),
}
"""The owner's module in this package, and what the list of commands says: one line of 80 columns."""


class Commands(TyperGroup):
    """A group whose commands are loaded when they are asked for; to list them takes none."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.commands: Any = _Loaded()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])


class _Loaded(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        module, _ = COMMANDS[name]
        return _commands_of(module)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


@cache
def _commands_of(module: str) -> Mapping[str, Any]:
    app = typer.Typer(rich_markup_mode=None)
    import_module(f"gurney_daemon.cli.{module}").register(app)
    return typer.main.get_group(app).commands
