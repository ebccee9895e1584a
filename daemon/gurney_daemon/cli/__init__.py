"""The command line. Each module owns the commands of one concern; this one is the way in.

Exit codes: 0 done; 1 it failed, and said why; 2 wrong usage or a bad configuration.
"""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from gurney.errors import ConfigError, GurneyError
from gurney.observability import configure_logging
from gurney_daemon.cli.commands import Commands
from gurney_daemon.cli.edge import Edge

__all__ = ["app", "main"]

app = typer.Typer(
    name="gurney",
    cls=Commands,
    help="Carry DICOM studies where they are needed, instance by instance, and lose none on the way.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _edge(
    ctx: typer.Context,
    config: str | None = typer.Option(
        None, "--config", metavar="FILE", envvar="GURNEY_CONFIG", help="The configuration file (TOML)."
    ),
) -> None:
    # Standard output is the answer's. What runs for long sets up its logs anew, as its settings say.
    configure_logging(level="warning")
    ctx.obj = Edge(config)


def main() -> None:
    """Run a command; say in one line what went wrong, without a traceback."""
    try:
        # Typer ends the process itself: with 2 after wrong usage, with 1 when interrupted.
        app(prog_name="gurney")
    except ConfigError as error:
        _fail(error, 2)
    except GurneyError as error:
        _fail(error, 1)


def _fail(error: GurneyError, code: int) -> NoReturn:
    print(f"gurney: {error}", file=sys.stderr)  # noqa: T201 - the last words of a command
    sys.exit(code)
