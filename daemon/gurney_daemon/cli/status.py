"""``status``: one line per service, queue, destination and source. Also the health check of a container."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live

from gurney.observability import configure_logging
from gurney.transfer.breaker import Shown
from gurney_daemon.cli.amounts import several
from gurney_daemon.cli.asked import AsJson
from gurney_daemon.cli.edge import Edge, print_json
from gurney_daemon.cli.hindrance import next_probe
from gurney_daemon.cli.standing import status_report
from gurney_daemon.cli.tables import console, duration, table

__all__ = ["register"]

_REFRESH_SECONDS = 2.0
_PROBED = (Shown.HELD, Shown.OPEN)
_NOW = ("in_quarantine", "in_error")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    ctx: typer.Context,
    as_json: AsJson = False,
    watch: bool = typer.Option(False, "--watch", help="Show it again every two seconds, until Ctrl-C."),
) -> None:
    """Show how everything stands; exit 1 for a fault of our own. A PACS that is down is none."""
    edge: Edge = ctx.obj
    # What is amiss stands in the answer, in better words than a log's.
    configure_logging(level="error")
    if watch:
        if as_json:
            raise typer.BadParameter("--watch is for people, --json is one document: give one of them")
        _follow(edge)
        return
    report = status_report(edge)
    if as_json:
        print_json(report)
    else:
        console().print(_page(report))
    if not report["ok"]:
        raise typer.Exit(1)


def _follow(edge: Edge) -> None:
    with suppress(KeyboardInterrupt), Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(_page(status_report(edge)), refresh=True)
            time.sleep(_REFRESH_SECONDS)


def _page(report: dict[str, Any]) -> RenderableType:
    parts: list[RenderableType] = [table(("SERVICE", "STATE", ""), _services(report["services"]))]
    if queues := report["services"]["broker"]["queues"]:
        parts += ["", table(("QUEUE", "RINGS"), queues.items())]
    if destinations := report["destinations"]:
        columns = ("DESTINATION", "STATE", "READY", "RUNNING", "RETRY", "HELD", "FAILED", "OLDEST", "WHY")
        parts += ["", table(columns, _destinations(destinations))]
    if retrieves := report["retrieves"]:
        parts += ["", table(("RETRIEVES FROM", "OPEN", "WHY"), _retrieves(retrieves))]
    if proofs := report["proofs"]:
        headings = ("PROOF BY", "WANTED", "REQUESTED", "OVERDUE", "REFUSED", "OLDEST", "WHY")
        parts += ["", table(headings, _proofs(proofs))]
    if folders := report["folders"]:
        told = [(name, health["state"], health["why"]) for name, health in folders.items()]
        parts += ["", table(("FOLDER", "STATE", "WHY"), told)]
    if receivers := report["receivers"]:
        told = [(name, health["state"], health["why"]) for name, health in receivers.items()]
        parts += ["", table(("RECEIVER", "STATE", "WHY"), told)]
    if sources := report["sources"]:
        parts += ["", table(("SOURCE", "IN QUARANTINE NOW", "RULE FAILED NOW", "FILES SO FAR"), _sources(sources))]
    return Group(*parts)


def _retrieves(retrieves: dict[str, dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Tell what is open of each source, and which of its ways are not."""
    for name, stand in retrieves.items():
        ways = [
            f"{'' if way == 'itself' else f'towards {way} '}{one['state']}: {one['why']}"
            for way, one in stand["ways"].items()
        ]
        yield name, ", ".join(f"{n} {state}" for state, n in stand["open"].items()), "; ".join(ways)


def _proofs(proofs: dict[str, dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    """Tell how it stands with what each destination is to prove; ``OLDEST`` request without its answer."""
    for name, stand in proofs.items():
        counted = (stand[what] for what in ("wanted", "requested", "overdue", "refused"))
        yield name, *counted, duration(stand["oldest_seconds"]), stand["trouble"]


def _sources(sources: dict[str, dict[str, int]]) -> Iterator[tuple[object, ...]]:
    """Tell what waits for somebody's decision from what was counted since the source was first seen."""
    for name, counters in sources.items():
        so_far = {what: n for what, n in counters.items() if what not in _NOW}
        told = ", ".join(f"{n} {what.replace('_', ' ')}" for what, n in so_far.items())
        yield name, *(counters.get(what, 0) for what in _NOW), told


def _services(services: dict[str, dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    ledger, broker, daemon, workers = (services[name] for name in ("ledger", "broker", "daemon", "workers"))
    yield (
        "ledger",
        _word(ledger["ok"]),
        ledger["error"] or ledger["kind"] + (", draining" if ledger["draining"] else ""),
    )
    yield (
        "broker",
        _word(broker["ok"]),
        broker["error"] or broker["kind"] + ("" if broker["running"] else ", not running"),
    )
    for name, service in (("daemon", daemon), ("workers", workers)):
        yield name, _word(service["ok"]), service["error"] or f"{service['seen']} seen"


def _word(ok: bool | None) -> str:
    if ok is None:
        return "not known"
    return "ok" if ok else "FAULT"


def _destinations(destinations: dict[str, dict[str, Any]]) -> Iterator[tuple[object, ...]]:
    for name, state in destinations.items():
        yield (
            name + (" (retired)" if state["retired"] else ""),
            state["state"],
            state["ready"],
            state["running"],
            state["retry"],
            state["held"],
            state["failed"] + state["dead"],
            duration(state["oldest_seconds"]),
            _why(state),
        )


def _why(state: dict[str, Any]) -> str:
    """Say what matters of a destination: who paused it, else what keeps it and when it is tried again."""
    if state["paused_by"]:
        return f"paused by {state['paused_by']}"
    if not state["window"]["open"] and state["state"] == "closed":
        opens = datetime.fromisoformat(state["window"]["changes_at"])
        return f"outside its window, which opens {opens:%a %H:%M}"
    waits = state["state"] in _PROBED and not state["retired"]
    return _trouble(state) + (f"; next probe {next_probe(state)}" if waits else "")


def _trouble(state: dict[str, Any]) -> str:
    """Say why a destination is held, what went wrong last, or what its work waits for."""
    if state["hold_reason"]:
        return str(state["hold_reason"])
    if not state["last_error"] or _is_over(state):
        if state["ready"] and state["busy_seconds"] is not None:
            used = several(state["associations"], "association")
            return f"{used} in use, the oldest for {duration(state['busy_seconds'])}"
        return ""
    return f"{state['last_error']} ({duration(state['last_error_seconds'])} ago)"


def _is_over(state: dict[str, Any]) -> bool:
    """Tell whether the last error is history: something was stored since, and nothing waits or failed."""
    success = state["last_success_seconds"]
    troubled = state["retry"] + state["failed"] + state["dead"]
    return state["state"] == "closed" and not troubled and success is not None and success < state["last_error_seconds"]
