"""How a worker runs: its queues, its slots, and what each of its processes does first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from enum import StrEnum

from celery import signals

from gurney.jobs.queues import Lane, queue_names

__all__ = ["PoolKind", "in_each_process", "worker_arguments"]


class PoolKind(StrEnum):
    """How a worker runs its slots, by Celery's names."""

    PREFORK = "prefork"  # a process a slot: time limits, and a crash that takes one batch
    THREADS = "threads"  # for the in-process broker
    SOLO = "solo"  # one slot, in the worker itself


def worker_arguments(
    pool: str, lanes: Iterable[Lane], *, concurrency: int, pool_kind: PoolKind = PoolKind.PREFORK
) -> list[str]:
    """Give the arguments for ``app.worker_main`` of a worker with ``concurrency`` slots for ``lanes`` of ``pool``.

    A host runs two workers: one slot for STAT alone, so that it never waits behind a long batch, and the rest for both.
    With the in-process broker ``worker_main`` runs in a thread of its own, and ends by ``app.control.shutdown()``.
    """
    queues = queue_names(pool, lanes)
    return [
        "--quiet",  # no banner among the logs
        "worker",
        f"--queues={','.join(queues)}",
        f"--pool={pool_kind.value}",
        f"--concurrency={concurrency}",
        # Two workers of one name would answer for each other in status and remote control.
        f"--hostname={'+'.join(queues)}.{os.getpid()}@%h",
        # Workers need not know of each other: the ledger's leases divide the work.
        "--without-gossip",
        "--without-mingle",
    ]


def in_each_process(pool_kind: PoolKind, begin: Callable[[], None], end: Callable[[], None]) -> None:
    """Call ``begin`` in every process that will run tasks, after the fork, and ``end`` before it ends in peace.

    For what a fork must not share: database engines, AEs, sockets. Celery logs and passes over what a callable raises,
    so the task must find out for itself when ``begin`` came to nothing.
    """
    # Celery tells a prefork child and a solo worker by one pair of signals, a worker with threads by another.
    threads = pool_kind is PoolKind.THREADS
    started = signals.worker_init if threads else signals.worker_process_init
    stopped = signals.worker_shutdown if threads else signals.worker_process_shutdown
    started.connect(lambda **_: begin(), weak=False)
    stopped.connect(lambda **_: end(), weak=False)
