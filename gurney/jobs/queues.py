"""Queue names: ``<pool>.stat``, ``<pool>.work`` and ``<pool>.retrieve``.

Three queues a pool and no more, however many destinations there are: a queue for each destination was measured at three
times the latency and five times the CPU with a thousand of them. The message names the destination; the queue only says
who can do the work (the pool: workers that read the same spool) and how urgent it is (the lane).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from gurney.errors import ConfigError

__all__ = ["Lane", "queue_name", "queue_names"]

# No dot, which separates pool from lane; no comma or space, which separate queues on Celery's command line.
_POOL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Lane(StrEnum):
    """How urgent a ring is. Members are listed in the order in which a worker serves them."""

    STAT = "stat"
    WORK = "work"
    RETRIEVE = "retrieve"  # its workers ask an archive and wait for it: they must not keep those who send


def queue_name(pool: str, lane: Lane) -> str:
    """Name the queue on which ``pool`` hears rings of ``lane``.

    Raises :class:`ConfigError` for a pool name that could not be told from another or from Celery's own syntax.
    """
    if not _POOL_NAME.fullmatch(pool):
        raise ConfigError(
            f"{pool!r} can't name a pool of workers: use 1 to 64 letters, digits, '-' or '_', "
            "beginning with a letter or a digit"
        )
    return f"{pool}.{lane.value}"


def queue_names(pool: str, lanes: Iterable[Lane]) -> tuple[str, ...]:
    """List the queues that a worker of ``pool`` serves, the urgent lane first, each once.

    The order matters: on Redis a worker asks its queues in this order, so STAT is heard before anything that waited.
    """
    wanted = set(lanes)
    if not wanted:
        raise ConfigError(f"a worker of pool {pool!r} must serve at least one lane of {', '.join(Lane)}")
    return tuple(queue_name(pool, lane) for lane in Lane if lane in wanted)
