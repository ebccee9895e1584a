"""``transfers``, ``transfer``, ``study``: what the ledger knows of the way of each instance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer
from sqlalchemy import Connection

from gurney.ledger import reports
from gurney.ledger.retrieving.reports import list_retrievals
from gurney.transfer.states import ItemState
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, State, Unknown, known_destination
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.tables import COUNTED, console, counts, duration, legible, table

__all__ = ["register"]

Report = dict[str, Any]

# What a person looks for in a transfer; what is done is counted.
_NOT_DONE = tuple(state for state in ItemState if state not in {ItemState.DONE, ItemState.CANCELLED})


# The newest; `gurney retrievals --study` has all.
_RETRIEVALS_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("transfers")(list_transfers)
    app.command("transfer")(show_transfer)
    app.command("study")(show_study)


def list_transfers(
    ctx: typer.Context,
    to: str = typer.Option("", "--to", metavar="NAME", help="Only those to this destination."),
    study: str = typer.Option("", "--study", metavar="UID", help="Only those of this study."),
    state: State = None,
    limit: int = typer.Option(50, "--limit", min=1, max=10_000, help="How many to list."),
    before: int | None = typer.Option(None, "--before", metavar="ID", help="Go on with those older than this one."),
    as_json: AsJson = False,
) -> None:
    """List transfers, the newest first."""
    edge: Edge = ctx.obj
    with edge.ledger() as ledger:
        now = ledger.now()
        with ledger.read() as conn:
            if to:
                known_destination(conn, to)
            found = reports.list_transfers(
                conn, destination=to, study_instance_uid=study, state=state, before_id=before, limit=limit
            )
    if as_json:
        print_json({"now": now, "transfers": found, "next_before": found[-1]["id"] if len(found) == limit else None})
        return
    columns = ("ID", "DESTINATION", "STUDY", "GEN", "AGE", "ITEMS")
    rows = (
        (
            transfer["id"],
            transfer["destination"],
            transfer["study_instance_uid"],
            transfer["generation"],
            duration(now - transfer["created_at"]),
            counts(transfer),
        )
        for transfer in found
    )
    console().print(table(columns, rows))
    if len(found) == limit:
        typer.echo(f"older ones: --before {found[-1]['id']}", err=True)


def show_transfer(
    ctx: typer.Context,
    transfer_id: int = typer.Argument(..., metavar="ID", help="The transfer, as `gurney transfers` lists it."),
    item: int | None = typer.Option(None, "--item", metavar="ID", help="Every attempt of this one item."),
    state: State = None,
    every: bool = typer.Option(False, "--items", help="List every item, not only what is not done."),
    limit: int = typer.Option(1_000, "--limit", min=1, max=100_000, help="How many items to list."),
    after: int = typer.Option(0, "--after", metavar="ID", help="Go on with the items after this one."),
    as_json: AsJson = False,
) -> None:
    """Show one transfer with its items, or every attempt of one of them."""
    edge: Edge = ctx.obj
    wanted = (state,) if state is not None else () if every or as_json or item else _NOT_DONE
    with edge.ledger() as ledger:
        now = ledger.now()
        with ledger.read() as conn:
            if item is not None:
                limit, after = 1, item - 1
            found = reports.transfer_report(conn, transfer_id, states=wanted, limit=limit, after_id=after)
            if found is None:
                raise Unknown(f"the ledger has no transfer {transfer_id}")
            trail = None if item is None else _trail(conn, found, item)
    if trail is not None:
        _show_trail(found["items"][0], trail, now, as_json=as_json)
        return
    if as_json:
        more = found["items"][-1]["id"] if len(found["items"]) == limit else None
        print_json({"now": now, **found, "next_after": more})
        return
    _show_items(found, now)
    if len(found["items"]) == limit:
        typer.echo(f"more items: --after {found['items'][-1]['id']}", err=True)


def _trail(conn: Connection, transfer: Report, item: int) -> list[Report]:
    if not transfer["items"] or transfer["items"][0]["id"] != item:
        raise Unknown(
            f"transfer {transfer['id']} has no item {item}: `gurney transfer {transfer['id']} --items` lists them"
        )
    return reports.item_trail(conn, item)


def _show_items(transfer: Report, now: float) -> None:
    typer.echo(
        f"transfer {transfer['id']} of study {transfer['study_instance_uid']} to {transfer['destination']}, "
        f"generation {transfer['generation']}: {counts(transfer['counts'])}"
    )
    if not transfer["items"]:
        return
    columns = ("ITEM", "SOP INSTANCE", "STATE", "PROOF", "PRIORITY", "TRIES", "STATUS", "NEXT", "WHY")
    console().print(table(columns, (_item_row(item, now) for item in transfer["items"])))


def _item_row(item: Report, now: float) -> tuple[object, ...]:
    return (
        item["id"],
        item["sop_instance_uid"],
        item["state"],
        "" if item["proof"] == "none" else item["proof"],
        item["priority"],
        item["attempts"],
        item["status"],
        "" if item["due_at"] is None else f"in {duration(max(0.0, item['due_at'] - now))}",
        _why(item),
    )


def _why(item: Report) -> str:
    """Say what an item waits for, or how its last try ended; and which it is, where a SOP Instance UID came twice."""
    told = f"held for {item['held_for']}" if item["held_for"] else item["words"]
    if item["version"] == 1 and not item["superseded"]:
        return str(told)
    which = f"version {item['version']}" + (", superseded" if item["superseded"] else "")
    return f"{which}: {told}" if told else which


def _show_trail(item: Report, trail: list[Report], now: float, *, as_json: bool) -> None:
    if as_json:
        print_json({"now": now, "item": item, "attempts": trail})
        return
    typer.echo(f"item {item['id']}, instance {item['sop_instance_uid']}: {item['state']}")
    columns = ("AGO", "OUTCOME", "STATUS", "ENDPOINT", "BYTES", "SECONDS", "FENCE", "WORDS")
    console().print(table(columns, _attempt_rows(trail, now)))


def _attempt_rows(trail: list[Report], now: float) -> Iterator[tuple[object, ...]]:
    for attempt in trail:
        yield (
            duration(now - attempt["settled_at"]),
            attempt["outcome"],
            attempt["status"],
            attempt["endpoint"],
            attempt["bytes"],
            f"{attempt['seconds']:.3f}",
            attempt["fence"],
            f"{attempt['words']} ({attempt['comment']})" if attempt["comment"] else attempt["words"],
        )


def show_study(
    ctx: typer.Context,
    study: str = typer.Argument(..., metavar="UID", help="The Study Instance UID."),
    as_json: AsJson = False,
) -> None:
    """Show where a study's instances stand at each destination."""
    edge: Edge = ctx.obj
    with edge.ledger() as ledger, ledger.read() as conn:
        report = reports.study_report(conn, study)
        asked = list_retrievals(conn, study_instance_uid=study, limit=_RETRIEVALS_SHOWN)
    if report is None and not asked:
        raise Unknown(f"the ledger knows no study {study}")
    if as_json:
        empty = {"study_instance_uid": study, "instances": 0, "destinations": {}}
        print_json((report or empty) | {"retrievals": asked})
        return
    for one in asked:
        why = f": {one['words']}" if one["words"] else ""
        came = several(one["arrived"], "instance")
        typer.echo(legible(f"retrieval {one['id']} from {one['source']}: {one['state']}, {came} came{why}"))
    if report is None:
        typer.echo(f"study {study}: nothing of it is here yet")
        return
    typer.echo(f"study {study}: {report['instances']} instances in {len(report['series'])} series")
    for came in report["came_by"]:
        peer = f" from {came['calling_ae_title']} at {came['address']} to {came['called_ae_title']}"
        typer.echo(f"{came['instances']} by {came['door']} {came['source']}{peer if came['address'] else ''}")
    for told in report["not_routed"]:
        why = f": {told['why']}" if told["why"] else ""
        typer.echo(f"{told['instances']} {told['routing'].replace('_', ' ')}{why}")
    if report["open_conflicts"]:
        typer.echo(f"{report['open_conflicts']} instances came again with another content: somebody must decide")
    newest = {transfer["destination"]: transfer for transfer in report["transfers"]}
    columns = ("DESTINATION", "TRANSFER", "GEN", *(state.upper() for state in COUNTED))
    rows = (
        (name, newest[name]["id"], newest[name]["generation"], *(items[state] for state in COUNTED))
        for name, items in report["destinations"].items()
    )
    console().print(table(columns, rows))
    for name, by_proof in report["proofs"].items():
        typer.echo(f"{name}: " + ", ".join(f"{n} {proof}" for proof, n in by_proof.items()))
    for name, reason in report["reasons"].items():
        typer.echo(f"{name}: {several(reason['items'], 'item')}: {legible(reason['words'])}")
