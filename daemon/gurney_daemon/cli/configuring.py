"""``config check``, ``config show``, ``reload``: look at the configuration before it is used."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gurney.settings import show
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.edge import Edge, print_json

__all__ = ["register"]

# Not that of `asked`, which comes with SQLAlchemy.
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    config = typer.Typer(help="Check or show the configuration.", no_args_is_help=True)
    config.command("check")(check_settings)
    config.command("show")(show_settings)
    app.add_typer(config, name="config")
    app.command("reload")(reload)


def check_settings(ctx: typer.Context, as_json: _AsJson = False) -> None:
    """Name every mistake with its line, key and remedy; exit 2 if there is an error."""
    edge: Edge = ctx.obj
    problems, mistakes = edge.configuration.problems, edge.configuration.mistakes
    if as_json:
        print_json({"ok": not mistakes, "problems": [problem.as_dict() for problem in problems]})
    else:
        for problem in problems:
            typer.echo(str(problem))
        warnings = len(problems) - len(mistakes)
        typer.echo(f"{several(len(mistakes), 'error')}, {several(warnings, 'warning')}", err=True)
    if mistakes:
        raise typer.Exit(2)


def show_settings(ctx: typer.Context, as_json: bool = typer.Option(False, "--json", help="JSON, not TOML.")) -> None:
    """Show the configuration in force, defaults included, secrets masked."""
    sys.stdout.write(show(ctx.obj.settings, "json" if as_json else "toml"))


def reload(ctx: typer.Context, as_json: _AsJson = False) -> None:
    """Apply the configuration: ``gurney up`` drains and restarts its processes; wait until it has. Else exit 1 or 2."""
    from gurney_daemon.reload_answer import ask_to_reload  # Celery comes with it, which nothing else here asks for

    edge: Edge = ctx.obj
    if edge.configuration.mistakes:
        typer.echo("nothing is reloaded: what runs goes on with the configuration that it has", err=True)
    pid = ask_to_reload(edge.settings.node.data_dir)
    if as_json:
        print_json({"pid": pid})
    else:
        typer.echo("the running processes have been restarted with the configuration", err=True)
