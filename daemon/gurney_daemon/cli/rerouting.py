"""``route again``: ask today's rules about instances that had no route, or whose rule failed."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial
from typing import Annotated

import typer
from sqlalchemy import Connection

from gurney.ledger import reports
from gurney.ledger.rerouting import AGAIN, UnroutedFilter, count_unrouted
from gurney.settings import Settings
from gurney.transfer.routing import compile_routes
from gurney.transfer.states import Routing
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, Unknown, known_source, routing_among
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.tables import console, table
from gurney_daemon.configured import every_door
from gurney_daemon.ingest.rerouting import RoutedAgain, route_again
from gurney_daemon.ingest.routes import DoorRoutes, RetrieveRoutes

__all__ = ["again"]

# Shown in this order; what follows the comma says what is to be done, if anything is.
_OUTCOMES: Mapping[str, str] = {
    "routed": "routed",
    "held": "held, as a rule says: `gurney release` lets them go",
    "filtered": "dropped, as a rule says",
    "no_route": "still without a route",
    "error": "whose rule still fails",
    "gone": "of which no file is left",
    "unreadable": "whose file can't be read from here: ask again where it can be",
    "no_door": "from a folder that is configured no longer",
    "changed": "that somebody else has decided on meanwhile",
}
_UNDONE = ("error", "unreadable")

_Found = Mapping[str, Mapping[str, int]]


def again(
    ctx: typer.Context,
    study: Annotated[str, typer.Option("--study", metavar="UID", help="Instances of this study.")] = "",
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="What this [[watch]] has brought.")] = "",
    every: Annotated[bool, typer.Option("--all", help="Everything, where nothing else is said.")] = False,
    state: Annotated[
        Routing | None,
        typer.Option(
            "--state",
            metavar="STATE",
            parser=routing_among(AGAIN),
            help="Only what the rules left as error, no_route or filtered; else error and no_route.",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask today's rules about what had no route, or whose rule failed, and send it as if it came in now.

    Nothing that is stored is sent a second time. Exit 1 when a rule still fails, or a file can't be read from here.
    """
    if bool(study or source) == every:
        raise typer.BadParameter("say which instances, by --study or --source; or else --all")
    edge: Edge = ctx.obj
    which = UnroutedFilter(UnroutedFilter().states if state is None else (state,), study, source)
    doors = _doors(edge.settings)
    with edge.ledger() as ledger:
        with ledger.read() as conn:
            _require(conn, edge.settings, which)
            found = count_unrouted(conn, which)
        done = RoutedAgain()
        if found:
            _agree(found, yes=yes)
            done = route_again(which, ledger=ledger, doors=doors, ring=partial(edge.ring, ledger), actor=edge.actor)
    if as_json:
        print_json(_document(found, done))
    else:
        _show(found, done)
    if any(done.outcomes[outcome] for outcome in _UNDONE):
        raise typer.Exit(1)


def _doors(settings: Settings) -> dict[str, DoorRoutes | RetrieveRoutes]:
    rules = compile_routes(settings.route_rules)
    return {name: routes for name, (_, routes) in every_door(settings, rules).items()}


def _require(conn: Connection, settings: Settings, which: UnroutedFilter) -> None:
    """Raise Unknown for a study or a source that there is not."""
    if which.source:
        known_source(conn, settings, which.source)
    study = which.study_instance_uid
    if study and reports.study_report(conn, study) is None:
        raise Unknown(f"the ledger knows no study {study}")


def _agree(found: _Found, *, yes: bool) -> None:
    """Say what is about to be decided on, and have it confirmed. Ends the command unless it is."""
    for source, by_state in found.items():
        told = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in by_state.items())
        typer.echo(f"{source}: {told}", err=True)
    if yes:
        return
    n = several(sum(sum(by_state.values()) for by_state in found.values()), "instance")
    if not sys.stdin.isatty():
        raise typer.BadParameter(f"{n} concerned; without a terminal to ask on, say --yes", param_hint="--yes")
    typer.confirm(f"{n}: ask the rules again?", abort=True, err=True)


def _document(found: _Found, done: RoutedAgain) -> dict[str, object]:
    return {
        "found": found,
        "items": done.items,
        **{outcome: done.outcomes[outcome] for outcome in _OUTCOMES},
        "why": [
            {"routing": state.name.lower(), "why": why, "instances": n} for (state, why), n in sorted(done.why.items())
        ],
    }


def _show(found: _Found, done: RoutedAgain) -> None:
    if not found:
        typer.echo("there is no such instance: nothing was done")
        return
    for outcome, told in _OUTCOMES.items():
        if n := done.outcomes[outcome]:
            typer.echo(
                f"{several(n, 'instance')} {told}"
                + (f", {several(done.items, 'item')} added" if outcome == "routed" else "")
            )
    if done.why:
        rows = ((state.name.lower().replace("_", " "), n, why) for (state, why), n in sorted(done.why.items()))
        console().print("", table(("ROUTING", "INSTANCES", "WHY"), rows))
