"""``route list``: the studies that went nowhere, or not everywhere, and why."""

from __future__ import annotations

from typing import Annotated

import typer

from gurney.ledger.rerouting import UNDECIDED, UnroutedFilter, UnroutedStudy, unrouted_studies
from gurney.transfer.states import Routing
from gurney_daemon.cli.asked import AsJson, known_source, routing_among
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.tables import console, duration, table

__all__ = ["list_unrouted"]

_LISTED = (*UNDECIDED, Routing.FILTERED)


def list_unrouted(
    ctx: typer.Context,
    state: Annotated[
        Routing | None,
        typer.Option(
            "--state",
            metavar="STATE",
            parser=routing_among(_LISTED),
            help="Only what the rules left as error, no_route, held or filtered; else all but filtered.",
        ),
    ] = None,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="What this [[watch]] has brought.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many to list.")] = 500,
    as_json: AsJson = False,
) -> None:
    """List the studies whose rule failed, that no rule matched, or that a rule holds, with the words of the rules."""
    edge: Edge = ctx.obj
    which = UnroutedFilter(UNDECIDED if state is None else (state,), source=source)
    with edge.ledger() as ledger:
        now = ledger.now()
        with ledger.read() as conn:
            if source:
                known_source(conn, edge.reach, source)
            found = unrouted_studies(conn, which, limit + 1)
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json({"studies": [_document(one, now) for one in found], "more": more})
        return
    columns = ("STUDY", "SOURCE", "ROUTING", "INSTANCES", "AGE", "WHY")
    rows = (
        (
            one.study_instance_uid,
            one.source,
            one.routing.name.lower().replace("_", " "),
            one.instances,
            duration(now - one.since),
            one.why,
        )
        for one in found
    )
    console().print(table(columns, rows))
    if more:
        typer.echo(f"there are more: --limit {2 * limit}", err=True)


def _document(one: UnroutedStudy, now: float) -> dict[str, object]:
    return {
        "study_instance_uid": one.study_instance_uid,
        "source": one.source,
        "routing": one.routing.name.lower(),
        "instances": one.instances,
        "age_seconds": round(now - one.since, 1),
        "why": one.why,
    }
