"""``quarantine``: files that were refused, why, and what is decided on them."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from gurney.ledger.quarantine import Quarantined, quarantined
from gurney.settings import Settings
from gurney.transfer.routing import compile_routes
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson, known_source
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.tables import console, duration, legible, table
from gurney_daemon.configured import every_door, present_spool, spool_of
from gurney_daemon.ingest.quarantine import FORCIBLE, Released, SourceDoor, discard, release

__all__ = ["register"]

_Ids = Annotated[list[int], typer.Argument(metavar="ID...", help="The files, as `gurney quarantine list` shows them.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    quarantine = typer.Typer(help="Decide on files that were refused.", no_args_is_help=True)
    quarantine.command("list")(list_files)
    quarantine.command("release")(release_files)
    quarantine.command("discard")(discard_files)
    app.add_typer(quarantine, name="quarantine")


def list_files(
    ctx: typer.Context,
    source: Annotated[str, typer.Option("--source", metavar="NAME", help="Only those of this source.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Only those refused for this.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="How many to list.")] = 500,
    after: Annotated[int, typer.Option("--after", metavar="ID", help="Go on with those after this one.")] = 0,
    as_json: AsJson = False,
) -> None:
    """List refused files with the reason. Their names are shown as modalities chose them: some name patients."""
    edge: Edge = ctx.obj
    with edge.ledger() as ledger:
        now = ledger.now()
        with ledger.read() as conn:
            if source:
                known_source(conn, edge.reach, source)
            files = quarantined(conn, source=source, reason=reason, after_id=after, limit=limit)
    if as_json:
        more = files[-1].file_id if len(files) == limit else None
        print_json({"files": [_document(file, now) for file in files], "next_after": more})
        return
    columns = ("ID", "SOURCE", "REASON", "DETAIL", "BYTES", "AGE", "FILE")
    rows = (
        (file.file_id, file.source, file.reason, file.detail, file.size, duration(now - file.changed_at), file.path)
        for file in files
    )
    console().print(table(columns, rows))
    if len(files) == limit:
        typer.echo(f"more: --after {files[-1].file_id}", err=True)


def release_files(
    ctx: typer.Context,
    ids: _Ids,
    force: Annotated[
        list[str] | None,
        typer.Option("--force", metavar="REASON", help="Overlook this reason; may be given again. Kept in the trail."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Check refused files again and take in those that pass now; exit 1 unless all do."""
    forced = sorted(set(force or ()))
    if never := [reason for reason in forced if reason not in FORCIBLE]:
        raise typer.BadParameter(
            f"{', '.join(map(repr, never))} can't be overlooked; what can is {', '.join(sorted(FORCIBLE))}",
            param_hint="--force",
        )
    edge: Edge = ctx.obj
    settings = edge.settings
    with edge.ledger() as ledger:
        released = release(
            list(dict.fromkeys(ids)),
            ledger=ledger,
            spool=spool_of(settings, ledger),
            doors=_doors(settings),
            ring=partial(edge.ring, ledger),
            actor=edge.actor,
            force=forced,
        )
    if as_json:
        print_json(
            {
                "files": [
                    {
                        "id": one.file_id,
                        "accepted": one.accepted,
                        "reason": one.reason,
                        "detail": one.detail,
                        "needs": list(one.needs),
                    }
                    for one in released
                ]
            }
        )
    else:
        console().print(table(("ID", "NOW", "REASON", "DETAIL", "TAKES"), map(_row, released)))
    if not all(one.accepted for one in released):
        raise typer.Exit(1)


def _row(one: Released) -> tuple[object, ...]:
    takes = " ".join(f"--force {reason}" for reason in one.needs)
    return one.file_id, "accepted" if one.accepted else "still refused", one.reason, one.detail, takes


def discard_files(ctx: typer.Context, ids: _Ids, as_json: AsJson = False) -> None:
    """Decide that refused files are not wanted. Our copies go; what lies in a watched folder stays."""
    edge: Edge = ctx.obj
    wanted = list(dict.fromkeys(ids))
    with edge.ledger() as ledger:
        discarded = discard(wanted, ledger=ledger, spool=present_spool(edge.reach, ledger), actor=edge.actor)
    if as_json:
        print_json({"files": [{"id": file_id} for file_id in discarded]})
    else:
        typer.echo(f"{several(len(discarded), 'file')} discarded")


def _document(file: Quarantined, now: float) -> dict[str, object]:
    return {
        "id": file.file_id,
        "source": file.source,
        "door": file.door,
        "reason": file.reason,
        "detail": file.detail,
        "bytes": file.size,
        "age_seconds": round(now - file.changed_at, 1),
        # For eyes, as the table shows it: not every name is text, and not every reader of JSON takes half a character.
        "file": legible(file.path),
    }


def _doors(settings: Settings) -> dict[str, SourceDoor]:
    rules = compile_routes(settings.route_rules)
    return {name: SourceDoor(source, routes) for name, (source, routes) in every_door(settings, rules).items()}
