"""How this installation stands: its own services, apart from the peers that it sends to.

Only our own faults count: a PACS that is down is its destination's state, not ours. So one look serves people, scripts
and the health check of a container.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from gurney.errors import LedgerError
from gurney.jobs import Doorbell, Lane, embedded_url, is_in_process, make_app, queue_name
from gurney.ledger import reports
from gurney.ledger.spools import known_spools
from gurney.settings import Settings
from gurney_daemon.cli.edge import Edge

__all__ = ["SEEN_WITHIN", "status_report"]

Report = dict[str, Any]

SEEN_WITHIN = 60.0
"""Seconds after which a worker that was not heard of counts as gone; it announces itself every few."""

_RECONCILER = "reconciler"
_WAITING = ("ready", "running", "retry")


def status_report(edge: Edge) -> Report:
    """Look at everything once. Never raises for a service that is down: that is what it reports."""
    settings = edge.settings
    seen = _look_at_ledger(edge)
    needed = bool(settings.watch) or _waits(seen["destinations"])
    daemon = _daemon(seen["roles"], needed=needed)
    services = {
        "ledger": seen["ledger"],
        "broker": _broker(settings, seen["pools"], needed=needed, daemon_runs=daemon["running"]),
        "daemon": daemon,
        "workers": _workers(seen["workers"], needed=needed),
    }
    return {
        "ok": all(service["ok"] for service in services.values()),
        "services": services,
        "destinations": seen["destinations"],
        "sources": seen["sources"],
    }


def _look_at_ledger(edge: Edge) -> Report:
    """Read what the ledger knows in one short look."""
    kind = "sqlite" if edge.settings.is_sqlite else "postgresql"
    try:
        with edge.ledger() as ledger:
            now = ledger.now()
            with ledger.read() as conn:
                return {
                    "ledger": {"ok": True, "kind": kind, "draining": reports.is_draining(conn), "error": ""},
                    "destinations": reports.destination_states(conn, now),
                    "sources": reports.source_states(conn),
                    "workers": reports.worker_states(conn, now),
                    "roles": reports.role_states(conn, now),
                    "pools": {place.name for place in known_spools(conn)},
                }
    except LedgerError as error:
        return {
            "ledger": {"ok": False, "kind": kind, "draining": False, "error": str(error)},
            **{name: {} for name in ("destinations", "sources", "workers", "roles", "pools")},
        }


def _waits(destinations: Mapping[str, Mapping[str, Any]]) -> bool:
    """Tell whether somebody must be there to send."""
    return any(state[waiting] for state in destinations.values() for waiting in _WAITING)


def _daemon(roles: Mapping[str, str], *, needed: bool) -> Report:
    holder = roles.get(_RECONCILER, "")
    return {
        "ok": bool(holder) or not needed,
        "running": bool(holder),
        "holder": holder,
        "error": "" if holder or not needed else "no daemon runs: start it with 'gurney up'",
    }


def _workers(workers: Mapping[str, Mapping[str, Any]], *, needed: bool) -> Report:
    alive = {name: worker for name, worker in workers.items() if worker["seen_seconds"] <= SEEN_WITHIN}
    return {
        "ok": bool(alive) or not needed,
        "seen": len(alive),
        "slots": sum(worker["slots"] for worker in alive.values()),
        "processes": dict(workers),
        "error": "" if alive or not needed else "no worker was seen in the last minute: nothing is sent",
    }


def _broker(settings: Settings, pools: set[str], *, needed: bool, daemon_runs: bool) -> Report:
    """Ask the broker how many rings wait. Of the embedded one we expect no more than of ``gurney up``, its owner."""
    url = settings.broker.url or embedded_url(settings.node.data_dir)
    kind = "embedded" if settings.broker_is_embedded else urlsplit(url or "").scheme
    if url is None or is_in_process(url):
        in_process = url is not None or daemon_runs
        return {
            "ok": in_process or not needed,
            "kind": "in process" if in_process else kind,
            "queues": {},
            "error": "" if in_process or not needed else "the embedded broker does not run: start it with 'gurney up'",
        }
    queues = _queues(url, pools or {settings.spool.name})
    optional = settings.broker_is_embedded and not needed
    return {
        "ok": queues is not None or optional,
        "kind": kind,
        "queues": queues or {},
        "error": ""
        if queues is not None or optional
        else "can't be reached: work waits in the ledger until it is back",
    }


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
