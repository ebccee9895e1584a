"""Run one Celery worker: its queues, its slots, and how it drains."""

from __future__ import annotations

import warnings
from typing import Any
from zoneinfo import ZoneInfo

import billiard.util
import celery.apps.worker
from celery import Celery, signals
from celery.exceptions import SecurityWarning

from gurney.jobs import Doorbell, Lane, PoolKind, in_each_process, worker_arguments
from gurney.ledger.database import Ledger
from gurney.ledger.terms import BatchLimits
from gurney.observability import get_logger
from gurney.pacs import RemoteAE
from gurney.settings import Settings
from gurney.settings.quantities import parse_rate
from gurney.settings.remotes import remote_ae
from gurney.transfer.windows import parse_window
from gurney_workers import process
from gurney_workers.app import worker_app
from gurney_workers.fetch import OwnDoor
from gurney_workers.folders import folders_of
from gurney_workers.peer import Peer
from gurney_workers.slot import Slot

__all__ = ["own_door_of", "peers_of", "run_worker", "stop_worker"]

log = get_logger(__name__)

_apps: list[Celery] = []


def run_worker(
    settings: Settings,
    lanes: tuple[Lane, ...],
    concurrency: int,
    pool_kind: PoolKind = PoolKind.PREFORK,
    *,
    broker_url: str = "",
) -> None:
    """Work until told to stop. SIGTERM drains: each slot ends at its next instance and gives its lease back.

    Raises BrokerError when there is no broker to listen to.
    """
    app = worker_app(settings, broker_url)

    def make() -> Slot:
        return Slot(
            Ledger(settings.ledger_url),
            Doorbell(app),
            peers_of(settings),
            pool=settings.spool.name,
            lanes=lanes,
            host_slots=settings.workers.processes,
            limits=BatchLimits(instances=settings.workers.batch_instances, ttl=settings.workers.lease_seconds),
            batch_seconds=settings.workers.batch_seconds,
            draining=process.is_draining,
            folders=folders_of(settings),
            own_door=own_door_of(settings),
            on_blocked=process.block if pool_kind is PoolKind.THREADS else process.quit_at_once,
        )

    # It warns root of messages that can run code; ours are JSON.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    # Billiard keeps what it has to say of processes that die from everybody else's handlers.
    billiard.util.get_logger().propagate = True
    # It prints past all logging that it is told to end; we log that, and every line of ours is JSON.
    celery.apps.worker.safe_say = _say_nothing
    process.prepare(make)
    in_each_process(pool_kind, process.begin, process.end)
    signals.worker_shutting_down.connect(_drain, weak=False)
    _apps.append(app)
    app.worker_main(worker_arguments(settings.spool.name, lanes, concurrency=concurrency, pool_kind=pool_kind))


def stop_worker() -> None:
    """End a worker that runs in a thread of this process, after the instances that it is sending."""
    process.drain()
    for app in _apps:
        app.control.shutdown()


def _say_nothing(*_: object) -> None:
    """Take the place of Celery's ``safe_say``."""


def _drain(**_: Any) -> None:
    process.drain()
    log.info("worker_draining")


def peers_of(settings: Settings) -> dict[str, Peer]:
    """Return the configured remotes as the framework wants them."""
    zone = ZoneInfo(settings.node.timezone)
    return {
        remote.name: Peer(
            remote_ae(remote),
            settings.calling_ae_title(remote),
            remote.fast_path,
            remote.retrieve,
            remote.max_retrieves,
            parse_window(remote.window),
            remote.window_stat,
            zone,
            parse_rate(remote.bandwidth),
            remote.max_instances_per_minute,
        )
        for remote in settings.remote
    }


def own_door_of(settings: Settings) -> OwnDoor | None:
    """Return where what we retrieve arrives, as our own workers reach it; None where nothing is to be retrieved."""
    retrieve = settings.retrieve
    if retrieve is None:
        return None
    host = _REACHED_AT.get(retrieve.host, retrieve.host)
    return OwnDoor(RemoteAE(retrieve.ae_title, host, retrieve.port), retrieve.move_grace)


# An address to listen at is not always one to call.
_REACHED_AT = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is called, not what is bound
