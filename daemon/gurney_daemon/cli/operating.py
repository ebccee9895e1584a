"""``retry``, ``cancel``, ``release``, ``prove``: act on many items at once, after saying how many.

Which ones is said by transfer, study, destination and state, alone or together. Everything must be asked for by name.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from sqlalchemy import Connection

from gurney.ledger import destinations, operations, reconciling, reports
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.models.predicates import PROVABLE
from gurney.ledger.operations import CANCELLABLE, RETRYABLE
from gurney.ledger.proving.anew import prove_again
from gurney.ledger.selection import Selection
from gurney.transfer.breaker import Shown
from gurney.transfer.states import ItemState
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, State, Unknown, known_destination
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.hindrance import hindrance
from gurney_daemon.cli.retrieving import ask_again, take_back
from gurney_daemon.cli.tables import counts, legible

__all__ = ["register"]

_Transfer = Annotated[int | None, typer.Option("--transfer", metavar="ID", help="Items of this transfer.")]
_Study = Annotated[str, typer.Option("--study", metavar="UID", help="Items of this study.")]
_To = Annotated[str, typer.Option("--to", metavar="NAME", help="Items for this destination.")]
_Retrieval = Annotated[int | None, typer.Option("--retrieval", metavar="ID", help="This retrieval, and no item.")]
_All = Annotated[bool, typer.Option("--all", help="Every item there is, where nothing else is said.")]
_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]

_Found = dict[str, dict[str, int]]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("retry")(retry)
    app.command("cancel")(cancel)
    app.command("release")(release)
    app.command("prove")(prove)


def retry(
    ctx: typer.Context,
    transfer: _Transfer = None,
    study: _Study = "",
    to: _To = "",
    state: State = None,
    retrieval: _Retrieval = None,
    every: _All = False,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Try items again that failed, died, were cancelled or wait for their next try; each has its whole budget.

    The destinations concerned are probed at once, and asked again for what they have refused before.
    """
    edge: Edge = ctx.obj
    if retrieval is not None:
        _check_alone(transfer is not None, study, to, state, every)
        ask_again(edge, retrieval, as_json=as_json)
        return
    selection = _select(transfer, study, to, state, every=every, allowed=RETRYABLE)
    with edge.ledger() as ledger:
        found = _look(ledger, selection, RETRYABLE)
        changed = 0
        bells: list[Bell] = []
        if found:
            _agree(found, "try them again", yes=yes)
            changed, bells = operations.retry(ledger, selection, edge.actor)
        # Also where nothing has failed: an open breaker may keep everything waiting.
        concerned = sorted({*found, to} - {""})
        for name in concerned:
            ledger.transact(destinations.probe_now, name)
            bells += reconciling.due_bells(ledger, name)
        edge.ring(ledger, bells)
        _warn_of_pauses(ledger, concerned)
    _report(changed, found, "go again", as_json=as_json)


def cancel(
    ctx: typer.Context,
    transfer: _Transfer = None,
    study: _Study = "",
    to: _To = "",
    state: State = None,
    retrieval: _Retrieval = None,
    every: _All = False,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Cancel what is not done yet. What is on the wire ends as the peer answers: stored is stored."""
    edge: Edge = ctx.obj
    if retrieval is not None:
        _check_alone(transfer is not None, study, to, state, every)
        take_back(edge, retrieval, as_json=as_json)
        return
    selection = _select(transfer, study, to, state, every=every, allowed=CANCELLABLE)
    with edge.ledger() as ledger:
        found = _look(ledger, selection, CANCELLABLE)
        changed = 0
        if found:
            _agree(found, "cancel them", yes=yes)
            changed = operations.cancel(ledger, selection, edge.actor)
    _report(changed, found, "cancelled", as_json=as_json)


def _check_alone(*others: object) -> None:
    if any(others):
        raise typer.BadParameter("stands alone: a retrieval is no item", param_hint="--retrieval")


def release(
    ctx: typer.Context,
    transfer: _Transfer = None,
    study: _Study = "",
    to: _To = "",
    every: _All = False,
    yes: _Yes = False,
    as_json: AsJson = False,
) -> None:
    """Let go what a rule holds back, or what waits until its series or study is complete."""
    edge: Edge = ctx.obj
    held = (ItemState.HELD,)
    selection = _select(transfer, study, to, None, every=every, allowed=held)
    with edge.ledger() as ledger:
        found = _look(ledger, selection, held)
        changed = 0
        if found:
            _agree(found, "let them go", yes=yes)
            changed, bells = operations.release_held(ledger, selection, edge.actor)
            edge.ring(ledger, bells)
    _report(changed, found, "released", as_json=as_json)


def prove(
    ctx: typer.Context,
    transfer: _Transfer = None,
    study: _Study = "",
    to: _To = "",
    every: _All = False,
    as_json: AsJson = False,
) -> None:
    """Ask destinations again for proof of what they stored and have not proven: it was refused, or never answered.

    By storage commitment, or by a query, as the configuration says of each. What is proven is not asked for again.
    """
    edge: Edge = ctx.obj
    selection = _select(transfer, study, to, None, every=every, allowed=PROVABLE)
    with edge.ledger() as ledger:
        with ledger.read() as conn:
            _require(conn, selection)
        asked = prove_again(ledger, selection, edge.actor)
    if asked is None:
        raise Unknown(
            f"{to or 'no destination'} is{'' if not to else ' not'} to prove what it stores: "
            "set commitment or verify of its [[remote]]"
        )
    if as_json:
        print_json({"items": asked})
    else:
        typer.echo(f"{several(asked, 'item')} to be proven" if asked else "all of it is proven, or nothing is stored")


def _warn_of_pauses(ledger: Ledger, names: Sequence[str]) -> None:
    """Say which destinations a person keeps from getting anything; every other one is tried at once."""
    now = ledger.now()
    with ledger.read() as conn:
        states = reports.destination_states(conn, now)
    for name in names:
        if states[name]["state"] == Shown.PAUSED:
            typer.echo(legible(hindrance(name, states[name])), err=True)


def _select(
    transfer: int | None, study: str, to: str, state: ItemState | None, *, every: bool, allowed: Sequence[ItemState]
) -> Selection:
    """Make a selection of what was asked for. Raises a usage error for nothing, or for a state that can't be meant."""
    said = transfer is not None or bool(study or to) or state is not None
    if said == every:
        raise typer.BadParameter("say which items, by --transfer, --study, --to or --state; or else --all")
    if state is not None and state not in allowed:
        words = ", ".join(one.name.lower() for one in allowed)
        raise typer.BadParameter(f"acts on items that are {words}", param_hint="--state")
    return Selection(transfer, study, to, () if state is None else (state,))


def _look(ledger: Ledger, selection: Selection, states: Sequence[ItemState]) -> _Found:
    """Count what was asked for, by destination and state. Raises Unknown when there is no such thing at all."""
    with ledger.read() as conn:
        _require(conn, selection)
        return reports.selected_items(conn, selection, *states)


def _require(conn: Connection, selection: Selection) -> None:
    if selection.destination:
        known_destination(conn, selection.destination)
    if selection.transfer_id is not None and reports.transfer_report(conn, selection.transfer_id, limit=1) is None:
        raise Unknown(f"the ledger has no transfer {selection.transfer_id}")
    study = selection.study_instance_uid
    if study and not reports.list_transfers(conn, study_instance_uid=study, limit=1):
        raise Unknown(f"the ledger has no transfer of a study {study}")


def _agree(found: _Found, deed: str, *, yes: bool) -> None:
    """Say what would be changed and have it confirmed. Ends the command unless it is."""
    for name, by_state in found.items():
        typer.echo(f"{name}: {counts(by_state)}", err=True)
    if yes:
        return
    n = sum(map(_total, found.values()))
    if not sys.stdin.isatty():
        raise typer.BadParameter(
            f"{several(n, 'item')} concerned; without a terminal to ask on, say --yes", param_hint="--yes"
        )
    typer.confirm(f"{several(n, 'item')}: {deed}?", abort=True, err=True)


def _report(changed: int, found: _Found, done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"items": changed, "destinations": found})
    else:
        typer.echo(f"{several(changed, 'item')} {done}" if found else "there is no such item: nothing was done")


def _total(by_state: dict[str, int]) -> int:
    return sum(by_state.values())
