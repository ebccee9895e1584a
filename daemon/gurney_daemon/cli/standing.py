"""How this installation stands: its own services, apart from the peers that it sends to.

Only our own faults count: a PACS that is down is its destination's state, not ours. So one look serves people, scripts
and the health check of a container.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from gurney.errors import LedgerError
from gurney.jobs import Doorbell, Lane, embedded_url, make_app, queue_name
from gurney.ledger import reports
from gurney.ledger.deaths import living
from gurney.ledger.proving import standing as proofs
from gurney.ledger.retrieving import reports as retrievals
from gurney.ledger.spools import known_spools
from gurney.ledger.workers import RESTARTING
from gurney.settings import Settings
from gurney.transfer.windows import parse_window
from gurney_daemon.cli.edge import Edge
from gurney_daemon.received import MESSAGES, RETRIEVED

__all__ = ["RESTARTS_WITHIN", "SEEN_WITHIN", "somebody_sends", "status_report"]

Report = dict[str, Any]

SEEN_WITHIN = 60.0
"""Seconds after which a process that was not heard of counts as gone; each announces itself more often."""

RESTARTS_WITHIN = 120.0
"""Seconds that a restart may take: to drain, and to start."""

_DAEMON = "daemon"
_STANDBY = "standby"
_RECEIVE = "receive"
_WAITING = ("ready", "running", "retry")

# Who runs is told by the ledger alone: where that can't be read, neither "ok" nor "FAULT" would be true.
_UNTOLD = "only the ledger could tell"
_NOT_KNOWN: Report = {"ok": None, "seen": None, "processes": {}, "error": _UNTOLD}


def status_report(edge: Edge) -> Report:
    """Look at everything once. Never raises for a service that is down: that is what it reports."""
    settings = edge.reach
    seen = _look_at_ledger(edge)
    announced = seen["announced"]
    folders = _sources(edge, announced, [watch.name for watch in settings.watch], received=False)
    listening = [receiver.name for receiver in settings.receiver]
    if settings.retrieve is not None:
        listening.append(RETRIEVED)
    if settings.hl7 is not None:
        listening.append(MESSAGES)
    receivers = _sources(edge, announced, listening, received=True)
    needed = bool(folders or receivers) or _waits(seen["destinations"])
    daemon, workers = (
        _NOT_KNOWN if announced is None else _announced(announced, daemons=daemons, needed=needed)
        for daemons in (True, False)
    )
    services = {
        "ledger": seen["ledger"],
        "broker": _broker(settings, seen["pools"], needed=needed, daemons=daemon["seen"]),
        "daemon": daemon,
        "workers": workers,
    }
    return {
        "ok": all(service["ok"] is not False for service in services.values()),
        "services": services,
        "destinations": seen["destinations"],
        "folders": folders,
        "receivers": receivers,
        "retrieves": seen["retrieves"],
        "proofs": seen["proofs"],
        "sources": seen["sources"],
        "configuration": _configuration(edge),
    }


def _configuration(edge: Edge) -> Report:
    """Say whether a start would find a good configuration.

    A wrong one is no fault of what runs, which has its own since it started. Were it one, a health check would have
    everything restarted, and the start would find just that file.
    """
    mistakes = edge.configuration.mistakes
    return {"ok": not mistakes, "mistakes": len(mistakes), "error": str(mistakes[0]) if mistakes else ""}


def _sources(edge: Edge, processes: Mapping[str, Report] | None, names: list[str], *, received: bool) -> Report:
    """Say of each watched folder, or receiver, how it fares: by the daemon that serves it, else by one that stands by.

    ``names`` are the configured ones.
    """
    told: Report = {}
    if processes is None:
        return {name: {"state": "not_known", "why": _UNTOLD, "since": None, "ok": None} for name in names}
    for process in processes.values():
        found = {
            name: {key: value for key, value in health.items() if key != "door"}
            for name, health in process["folders"].items()
            if (health.get("door") == _RECEIVE) is received
        }
        if edge.configuration.mistakes:
            names = [*names, *found]  # with what the daemons have started with
        if process["seen_seconds"] <= SEEN_WITHIN:
            for name, health in found.items():
                if name not in told or told[name]["state"] == _STANDBY:
                    told[name] = health
    state = "not_listening" if received else "unwatched"
    nobody = {"state": state, "why": "no daemon runs", "since": None, "ok": False}
    return {name: told.get(name, nobody) for name in names}


def _look_at_ledger(edge: Edge) -> Report:
    """Read what the ledger knows in one short look; ``announced`` is None where it can't be read."""
    kind = "sqlite" if edge.reach.is_sqlite else "postgresql"
    try:
        with edge.ledger() as ledger:
            now = ledger.now()
            with ledger.read() as conn:
                return {
                    "ledger": {"ok": True, "kind": kind, "draining": reports.is_draining(conn), "error": ""},
                    "destinations": _destinations(conn, now, _windows(edge)),
                    "retrieves": retrievals.standing(conn),
                    "proofs": proofs.standing(conn, now),
                    "sources": reports.source_states(conn),
                    "announced": living(reports.worker_states(conn, now)),
                    "pools": {place.name for place in known_spools(conn)},
                }
    except LedgerError as error:
        return {
            "ledger": {"ok": False, "kind": kind, "draining": False, "error": str(error)},
            **{name: {} for name in ("destinations", "retrieves", "proofs", "sources", "pools")},
            "announced": None,
        }


def _windows(edge: Edge) -> Report:
    """Say of each remote whether its window is open now, and when that changes, by the clock on the wall."""
    zone = ZoneInfo(edge.reach.node.timezone)
    told: Report = {}
    for remote in edge.reach.remote:
        stand = parse_window(remote.window).stand(time.time(), zone)
        changes_at = None if stand.changes_at is None else datetime.fromtimestamp(stand.changes_at, zone).isoformat()
        told[remote.name] = {"open": stand.is_open, "changes_at": changes_at}
    return told


def _destinations(conn: Connection, now: float, windows: Report) -> Report:
    """Describe the destinations; ``busy_seconds`` says for how long one has kept us waiting for an association."""
    busy = reports.busy_since(conn)
    always = {"open": True, "changes_at": None}
    return {
        name: state
        | {
            "busy_seconds": max(0.0, round(now - busy[name], 1)) if name in busy else None,
            "window": windows.get(name, always),
        }
        for name, state in reports.destination_states(conn, now).items()
    }


def _waits(destinations: Mapping[str, Report]) -> bool:
    """Tell whether somebody must be there to send."""
    configured = [state for state in destinations.values() if not state["retired"]]
    return any(state[waiting] for state in configured for waiting in _WAITING)


def somebody_sends(conn: Connection, now: float) -> bool:
    """Tell whether a worker runs, or is to be back in a moment."""
    announced = living(reports.worker_states(conn, now))
    return bool(_announced(announced, daemons=False, needed=True)["ok"])


def _announced(processes: Mapping[str, Report], *, daemons: bool, needed: bool) -> Report:
    """Describe the daemons, or the workers, that have announced themselves."""
    # In an orderly restart nobody is there for a few seconds, and nothing is wrong.
    restarting = any(
        process["kind"] == RESTARTING and process["seen_seconds"] <= RESTARTS_WITHIN for process in processes.values()
    )
    kind = {
        name: process
        for name, process in processes.items()
        if process["kind"] != RESTARTING and (process["kind"] == _DAEMON) == daemons
    }
    seen = sum(process["seen_seconds"] <= SEEN_WITHIN for process in kind.values())
    error = ""
    if needed and not seen and not restarting:
        error = "no daemon runs" if daemons else "no worker runs, so nothing is sent"
    return {"ok": not error, "seen": seen, "processes": kind, "error": error}


def _broker(settings: Settings, pools: set[str], *, needed: bool, daemons: int | None) -> Report:
    """Ask the broker how many rings wait. The embedded one lives and ends with ``gurney up``.

    ``daemons`` is how many run, None where nobody knows: one that runs without a broker has it in its own process.
    """
    embedded = settings.broker_is_embedded
    url = settings.broker.url or embedded_url(settings.node.data_dir)
    if url is None and daemons is None:
        return {"ok": None, "kind": "embedded", "running": None, "queues": {}, "error": _UNTOLD}
    if url is None and daemons:
        return {"ok": True, "kind": "in process", "running": True, "queues": {}, "error": ""}
    queues = None if url is None else _queues(url, pools or {settings.spool.name})
    error = ""
    if queues is None and embedded and needed:
        error = "the embedded broker does not run: start it with 'gurney up'"
    elif queues is None and not embedded:
        error = "can't be reached: work waits in the ledger until it is back"
    kind = "embedded" if embedded else urlsplit(settings.broker.url).scheme
    return {"ok": not error, "kind": kind, "running": queues is not None, "queues": queues or {}, "error": error}


def _queues(url: str, pools: set[str]) -> dict[str, int] | None:
    """Count the rings in each queue; None where the broker does not answer."""
    doorbell = Doorbell(make_app(url))
    try:
        depths: dict[str, int] = {}
        for pool in sorted(pools):
            for lane in Lane:
                waiting = doorbell.waiting(pool, lane)
                if waiting is None:
                    return None
                depths[queue_name(pool, lane)] = waiting
        return depths
    finally:
        doorbell.close()
