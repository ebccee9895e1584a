"""``retrieve``, ``retrievals``, ``retrieval``: fetch from an archive through the ledger, and see what has come."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Annotated, Any

import typer

from gurney.dicom.uids import is_valid_uid
from gurney.errors import ConfigError, GurneyError
from gurney.ledger import destinations, reports
from gurney.ledger.database import Ledger
from gurney.ledger.following import items_to, look_at
from gurney.ledger.retrieving import reports as retrievals
from gurney.ledger.retrieving import requests
from gurney.ledger.retrieving.requests import Request
from gurney.transfer.retrieving import RetrievalState
from gurney.transfer.states import SETTLED, ItemState, Priority
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, Unknown, Urgency, configured_remote, known_destination
from gurney_daemon.cli.bars import bar
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.standing import somebody_sends
from gurney_daemon.cli.tables import console, counts, duration, legible, table
from gurney_daemon.configured import destination_spec

__all__ = ["ask_again", "register", "take_back"]

Report = dict[str, Any]

_PAUSE = 0.5
_GOES_ON = frozenset({"waiting", "running"})
_HERE = frozenset({"done", "warned"})
_ARRIVED = frozenset({ItemState.DONE, ItemState.WARNED})


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("retrieve")(retrieve)
    app.command("retrievals")(list_retrievals)
    app.command("retrieval")(show_retrieval)


def _uid(text: str) -> str:
    if text and not is_valid_uid(text):
        raise typer.BadParameter(f"{text!r} is no UID: digits and dots, 64 characters at most")
    return text


def retrieve(
    ctx: typer.Context,
    source: Annotated[str, typer.Option("--from", metavar="NAME", help="The [[remote]] that has it.")],
    study: Annotated[str, typer.Option("--study", metavar="UID", parser=_uid, help="The study.")],
    series: Annotated[str, typer.Option("--series", metavar="UID", parser=_uid, help="One series of it.")] = "",
    instance: Annotated[str, typer.Option("--instance", metavar="UID", parser=_uid, help="One instance of that.")] = "",
    to: Annotated[list[str] | None, typer.Option("--to", metavar="NAME", help="A [[remote]] to send it on to.")] = None,
    folder: Annotated[str, typer.Option("--folder", metavar="DIR", help="A folder to put it into.")] = "",
    direct: Annotated[
        bool, typer.Option("--direct", help="Let the source itself send to the one named by --to.")
    ] = False,
    priority: Urgency = Priority.ROUTINE,
    wait: Annotated[bool, typer.Option("--wait", help="Until all is there; exit 0 only then.")] = False,
    as_json: AsJson = False,
) -> None:
    """Retrieve a study, a series or an instance. Complete is what has every instance that the source names."""
    edge: Edge = ctx.obj
    _check(edge, series, instance, to or [], folder, direct=direct)
    configured_remote(edge.settings, source)
    for name in to or []:
        configured_remote(edge.settings, name)
    request = Request(
        source,
        study,
        series,
        instance,
        forward_to=() if direct else tuple(dict.fromkeys(to or [])),
        folder=os.path.abspath(folder) if folder else "",
        direct_to=to[0] if direct and to else "",
        priority=priority,
    )
    with edge.ledger() as ledger:
        _introduce(edge, ledger, [source, *(to or [])])
        asked = ledger.transact(requests.ask, request, edge.actor)
        edge.ring(ledger, asked.bells)
        with ledger.read() as conn:
            is_served = somebody_sends(conn, ledger.clock.now(conn))
        if not is_served:
            typer.echo("no worker runs: it waits in the ledger until `gurney up` is started", err=True)
        if not asked.is_new:
            typer.echo("the same was asked for already, and is under way", err=True)
        report, failed = _follow(ledger, asked.retrieval_id) if wait else (_report(ledger, asked.retrieval_id), False)
    if as_json:
        print_json(report)
    else:
        typer.echo(_line(report))
        if not wait:
            typer.echo(f"how it goes: `gurney retrieval {asked.retrieval_id}`")
    if failed:
        raise typer.Exit(1)


def list_retrievals(
    ctx: typer.Context,
    source: str = typer.Option("", "--from", metavar="NAME", help="Only those from this source."),
    study: str = typer.Option("", "--study", metavar="UID", help="Only those of this study."),
    state: str = typer.Option("", "--state", metavar="STATE", help="Only those in this state, such as incomplete."),
    limit: int = typer.Option(50, "--limit", min=1, max=10_000, help="How many to list."),
    before: int | None = typer.Option(None, "--before", metavar="ID", help="Go on with those older than this one."),
    as_json: AsJson = False,
) -> None:
    """List retrievals, the newest first."""
    edge: Edge = ctx.obj
    wanted = _state(state)
    with edge.ledger() as ledger:
        now = ledger.now()
        with ledger.read() as conn:
            if source:
                known_destination(conn, source)
            found = retrievals.list_retrievals(
                conn, source=source, study_instance_uid=study, state=wanted, before_id=before, limit=limit
            )
            gates = retrievals.gate_states(conn)
    if as_json:
        more = found[-1]["id"] if len(found) == limit else None
        print_json({"now": now, "retrievals": found, "sources": gates, "next_before": more})
        return
    rows = (
        (
            one["id"],
            one["source"],
            one["study_instance_uid"],
            one["state"],
            f"{one['arrived']}/{one['expected'] or one['said'] or '?'}",
            one["direct_to"] or ", ".join(one["forward_to"]),
            duration(now - one["created_at"]),
            one["words"],
        )
        for one in found
    )
    console().print(table(("ID", "FROM", "STUDY", "STATE", "CAME", "TO", "AGE", "WHY"), rows))
    for name, ways in gates.items():
        for way, stand in ways.items():
            toward = "" if way == "itself" else f" towards {way}"
            typer.echo(legible(f"{name}{toward} is {stand['state']}: {stand['why']}"), err=True)
    if len(found) == limit:
        typer.echo(f"older ones: --before {found[-1]['id']}", err=True)


def show_retrieval(
    ctx: typer.Context,
    retrieval_id: int = typer.Argument(..., metavar="ID", help="The retrieval, as `gurney retrievals` lists it."),
    limit: int = typer.Option(1_000, "--limit", min=1, max=100_000, help="How many missing instances to list."),
    as_json: AsJson = False,
) -> None:
    """Show one retrieval, and each instance that is missing."""
    edge: Edge = ctx.obj
    with edge.ledger() as ledger:
        report = _report(ledger, retrieval_id, limit)
    if as_json:
        print_json(report)
        return
    typer.echo(_line(report))
    typer.echo(
        f"list of the source: {report['listing']}; named {report['expected']}, came {report['arrived']}, "
        f"missing {report['missing']}; rounds {report['rounds']}"
    )
    if report["missing_instances"]:
        rows = ((one["series_instance_uid"], one["sop_instance_uid"]) for one in report["missing_instances"])
        console().print(table(("SERIES", "MISSING INSTANCE"), rows))


def ask_again(edge: Edge, retrieval_id: int, *, as_json: bool) -> None:
    """Ask again for what is missing of one retrieval."""
    with edge.ledger() as ledger:
        _report(ledger, retrieval_id)
        changed, bells = ledger.transact(requests.again, [retrieval_id], edge.actor)
        edge.ring(ledger, bells)
    _say(changed, "asked for again", as_json=as_json)


def take_back(edge: Edge, retrieval_id: int, *, as_json: bool) -> None:
    """Cancel one retrieval; what has come stays."""
    with edge.ledger() as ledger:
        _report(ledger, retrieval_id)
        changed = ledger.transact(requests.cancel, [retrieval_id], edge.actor)
    _say(changed, "cancelled", as_json=as_json)


def _say(changed: list[int], done: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"retrievals": changed})
    else:
        typer.echo(f"{several(len(changed), 'retrieval')} {done}" if changed else "it is over: nothing was done")


def _check(edge: Edge, series: str, instance: str, to: list[str], folder: str, *, direct: bool) -> None:
    if instance and not series:
        raise typer.BadParameter("an instance is asked for with its series as well", param_hint="--instance")
    if direct and (len(to) != 1 or folder):
        raise typer.BadParameter("needs exactly one --to, and no --folder", param_hint="--direct")
    if edge.settings.retrieve is None:
        raise ConfigError(
            "nothing can be retrieved without a [retrieve] table: add one, with ae_title and port; the archive must "
            "know that AE title with our address"
        )


def _introduce(edge: Edge, ledger: Ledger, names: list[str]) -> None:
    """Tell the ledger of remotes of which no daemon has told it yet."""
    with ledger.read() as conn:
        known = reports.destination_names(conn, retired=False)
    for name in dict.fromkeys(names):
        if name not in known:
            remote = configured_remote(edge.settings, name)
            ledger.transact(destinations.introduce, destination_spec(edge.settings, remote), edge.actor)


def _report(ledger: Ledger, retrieval_id: int, limit: int = 1_000) -> Report:
    with ledger.read() as conn:
        report = retrievals.retrieval_report(conn, retrieval_id, limit=limit)
    if report is None:
        raise Unknown(f"the ledger has no retrieval {retrieval_id}")
    return report


def _follow(ledger: Ledger, retrieval_id: int) -> tuple[Report, bool]:
    """Wait until it is over, and what is sent on is there; tell whether anything is wanting."""
    try:
        with bar("retrieving") as shown:
            while True:
                report = _report(ledger, retrieval_id)
                shown.show(report["arrived"], report["words"])
                if report["state"] not in _GOES_ON:
                    break
                time.sleep(_PAUSE)
        sent = {name: _follow_sent(ledger, retrieval_id, name) for name in report["forward_to"]}
    except KeyboardInterrupt:
        raise GurneyError(
            f"interrupted: it goes on all the same; `gurney retrieval {retrieval_id}` shows how"
        ) from None
    lost = any(state not in _ARRIVED for states in sent.values() for state in states)
    if sent:
        report["sent"] = {name: {state.name.lower(): n for state, n in states.items()} for name, states in sent.items()}
    return report, lost or report["state"] not in _HERE


def _follow_sent(ledger: Ledger, retrieval_id: int, name: str) -> Counter[ItemState]:
    with ledger.read() as conn:
        uids = retrievals.arrived_uids(conn, retrieval_id)
        pending = items_to(conn, name, uids)
    states: Counter[ItemState] = Counter()
    with bar(f"sending to {name}", total=len(pending)) as shown:
        while pending:
            with ledger.read() as conn:
                looks = look_at(conn, pending)
            states.update(one.state for one in looks if one.state in SETTLED)
            pending = [one.item_id for one in looks if one.state not in SETTLED]
            shown.show(sum(states.values()), "")
            if pending:
                time.sleep(_PAUSE)
    return states


def _line(report: Report) -> str:
    words = f": {report['words']}" if report["words"] else ""
    sent = "".join(f"; {name}: {counts(states)}" for name, states in report.get("sent", {}).items())
    return legible(
        f"retrieval {report['id']} from {report['source']}: {report['state']}, "
        f"{several(report['arrived'], 'instance')} came{words}{sent}"
    )


def _state(word: str) -> RetrievalState | None:
    known = {state.name.lower(): state for state in RetrievalState}
    if word and word.lower() not in known:
        raise typer.BadParameter(f"{word!r} is no state: use {', '.join(known)}", param_hint="--state")
    return known[word.lower()] if word else None
