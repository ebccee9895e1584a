"""``pause``, ``resume``, ``resend``: what a destination gets, and when."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from gurney.errors import GurneyError
from gurney.ledger import destinations, reconciling, reports, resending
from gurney.ledger.database import Transaction
from gurney.ledger.resending import Resent
from gurney.transfer.states import Priority
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, Unknown, Urgency, configured_remote, known_destination
from gurney_daemon.cli.edge import Edge, print_json

__all__ = ["register"]

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The destination.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("pause")(pause)
    app.command("resume")(resume)
    app.command("resend")(resend)


def pause(ctx: typer.Context, name: _Name, as_json: AsJson = False) -> None:
    """Send nothing more to a destination after the instance on the wire, until it is resumed. Intake goes on."""
    state = _steer(ctx.obj, name, destinations.pause)
    if as_json:
        print_json(state)
    else:
        typer.echo(f"{name} is paused; `gurney resume {name}` goes on")


def resume(ctx: typer.Context, name: _Name, as_json: AsJson = False) -> None:
    """Send to a paused destination again, with a probe at once if it was down."""
    state = _steer(ctx.obj, name, destinations.resume)
    if as_json:
        print_json(state)
    else:
        typer.echo(f"{name} is resumed")


def _steer(edge: Edge, name: str, act: Callable[[Transaction, str, str], bool]) -> dict[str, object]:
    """Act on a destination that the ledger knows; return how it stands then."""
    with edge.ledger() as ledger:
        with ledger.read() as conn:
            known_destination(conn, name)
        ledger.transact(act, name, edge.actor)
        edge.ring(ledger, reconciling.due_bells(ledger, name))  # none where it is paused
        now = ledger.now()
        with ledger.read() as conn:
            state = reports.destination_states(conn, now)[name]
    return {"destination": name, "state": state["state"], "paused_by": state["paused_by"]}


def resend(
    ctx: typer.Context,
    study: Annotated[str, typer.Option("--study", metavar="UID", help="The Study Instance UID.")],
    to: Annotated[str, typer.Option("--to", metavar="NAME", help="The destination.")],
    priority: Urgency = Priority.ROUTINE,
    only_missing: Annotated[bool, typer.Option("--only-missing", help="Not served by this version.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a study again, all of it: a new generation of its transfer; the history stays as it is."""
    if only_missing:
        raise typer.BadParameter(
            "asking the destination what it lacks takes C-FIND, which this version does not serve; "
            "without --only-missing everything is sent again",
            param_hint="--only-missing",
        )
    edge: Edge = ctx.obj
    configured_remote(edge.settings, to)
    with edge.ledger() as ledger:
        with ledger.read() as conn:
            known_destination(conn, to)
            if reports.study_report(conn, study) is None:
                raise Unknown(f"the ledger knows no study {study}")
        resent = ledger.transact(_resend, study, to, edge.actor, priority)
        edge.ring(ledger, resent.bells)
    if as_json:
        print_json(
            {
                "transfer": resent.transfer_id,
                "generation": resent.generation,
                "instances": resent.instances,
                "without_file": resent.without_file,
            }
        )
        return
    typer.echo(
        f"transfer {resent.transfer_id}, generation {resent.generation}: {several(resent.instances, 'instance')}"
    )
    if resent.without_file:
        typer.echo(f"{several(resent.without_file, 'instance')} left out, whose files are gone", err=True)


def _resend(tx: Transaction, study: str, to: str, actor: str, priority: Priority) -> Resent:
    """Resend, unless nothing is left to send: an empty generation would look like a study that arrived."""
    resent = resending.resend(tx, study, to, actor, priority)
    if resent is None or not resent.instances:
        raise GurneyError(f"no file of study {study} is left here: nothing was sent again")
    return resent
