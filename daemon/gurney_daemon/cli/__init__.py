"""The command line. Each module owns the commands of one concern; this one puts them together.

Exit codes: 0 done; 1 it failed, and said why; 2 wrong usage or a bad configuration.
"""

from __future__ import annotations

import sys

import click
import typer

from gurney.errors import ConfigError, GurneyError
from gurney_daemon.cli import configuring, running
from gurney_daemon.cli.edge import Edge

__all__ = ["app", "main"]

app = typer.Typer(
    name="gurney",
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
    ctx.obj = Edge(config)


running.register(app)
configuring.register(app)


def main() -> None:
    """Run a command; say in one line what went wrong, without a traceback."""
    try:
        code = app(standalone_mode=False)
    except ConfigError as error:
        sys.exit(_say(error, 2))
    except GurneyError as error:
        sys.exit(_say(error, 1))
    except click.exceptions.Abort:
        sys.exit(_say("interrupted", 1))
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    sys.exit(code if isinstance(code, int) else 0)


def _say(what: object, code: int) -> int:
    print(f"gurney: {what}", file=sys.stderr)  # noqa: T201 - the last words of a command
    return code
