"""Everything in one process, when no broker server can be had: the daemon, and a worker whose slots are threads.

A makeshift, and shown as one: a crash takes everything down at once, and slots share one interpreter. The ledger is as
safe as ever.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from importlib import import_module

from gurney.jobs import Lane, PoolKind
from gurney.observability import get_logger
from gurney.settings import Settings
from gurney_daemon.service import DRAIN_SECONDS, run_daemon

__all__ = ["run_in_one_process"]

IN_PROCESS = "memory://"

log = get_logger(__name__)


def run_in_one_process(
    settings: Settings,
    drain_seconds: float = 60.0,
    *,
    answer: Callable[[int, str], object] = lambda _begun, _refused: None,
) -> None:
    """Run the daemon, with the worker in a thread beside it, until SIGTERM; slots have so long to end.

    ``answer`` is told when a reload was asked for (nanoseconds of the monotonic clock), and that it takes a restart.
    """
    # The two homes know nothing of each other; only this makeshift puts them together.
    worker = import_module("gurney_workers.worker")
    lanes, slots_wanted = [Lane.STAT, Lane.WORK], settings.workers.processes
    if settings.retrieve is not None:
        lanes, slots_wanted = [*lanes, Lane.RETRIEVE], slots_wanted + settings.workers.retrievers
    slots = threading.Thread(
        target=worker.run_worker,
        args=(settings, lanes, slots_wanted, PoolKind.THREADS),
        kwargs={"broker_url": IN_PROCESS},
        name="worker",
        daemon=True,
    )

    def refuse_reload() -> None:
        reason = "everything runs in one process, without a broker server: restart `gurney up`"
        log.error("reload_refused", reason=reason)
        answer(time.monotonic_ns(), reason)

    @cache
    def end_slots() -> None:
        worker.stop_worker()
        slots.join(drain_seconds)

    slots.start()
    try:
        run_daemon(
            settings,
            IN_PROCESS,
            on_reload=refuse_reload,
            # The daemon may hang in a share, and then this process ends with it.
            on_stop=end_slots,
            drain_seconds=min(drain_seconds, DRAIN_SECONDS),
        )
    finally:
        end_slots()  # once; here where the daemon could not even start
        if slots.is_alive():
            # Python would wait at its end for every thread of the pool, and one that hangs in a file never ends.
            log.critical("slots_abandoned", reason="they did not drain in time; their leases will run out")
            os._exit(os.EX_IOERR)
