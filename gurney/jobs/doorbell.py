"""Ring a pool of workers: "there is work for this destination", and no more than that.

A ring may be lost, late or doubled without harm: the reconciler rings again for whatever is due in the ledger. So a
ring never waits for a broker that is away, never raises, and never fills the memory of one that nobody listens to.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Final

from celery import Celery
from kombu.connection import Connection
from kombu.exceptions import OperationalError
from kombu.messaging import Producer

from gurney.jobs.app import RETRIEVE_TASK, SERVE_TASK
from gurney.jobs.queues import Lane, queue_name

__all__ = ["Doorbell"]

logger = logging.getLogger(__name__)

RING_SECONDS: Final = 60
"""How long an AMQP broker keeps a ring that nobody took. By its own clock: Celery's ``expires`` compares the clocks of
two hosts, and where they differ by more than this, every ring would be thrown away."""

_SOCKET_SECONDS: Final = 2.0
_CLOSE_SECONDS: Final = 1
_DEPTH_SECONDS: Final = 1.0


class Doorbell:
    """Ring through one connection, opened at the first ring and used again for every other.

    Safe to share between threads, and to carry over a fork: the child opens a connection of its own.
    """

    def __init__(self, app: Celery, *, pause: float = 1.0, most_waiting: int = 1000) -> None:
        """Prepare to ring through ``app``; nothing connects yet.

        After a failure no ring tries again for ``pause`` seconds, so that a thousand destinations don't wait out a
        thousand timeouts. ``most_waiting`` rings in a queue are enough: who comes back finds the rest in the ledger.
        """
        self._app = app
        self._pause = pause
        self._most_waiting = most_waiting
        self._broken = False
        self._pick_up()
        _doorbells.add(self)

    def _pick_up(self) -> None:
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._silent_until = float("-inf")
        self._fullness: dict[str, tuple[float, bool]] = {}

    def ring(self, pool: str, lane: Lane, destination: str, *, spool: str | None = None) -> bool:
        """Tell the workers of ``pool`` that ``destination`` has work; ``spool`` is the pool's own name unless given.

        True: the broker took it, or holds more than enough rings for this queue. False: the broker can't be reached,
        which is logged once an outage; the reconciler rings again. Raises :class:`ConfigError` for an impossible pool
        name, and nothing else.
        """
        queue = queue_name(pool, lane)
        task = RETRIEVE_TASK if lane is Lane.RETRIEVE else SERVE_TASK
        arguments = {"destination": destination, "spool": pool if spool is None else spool}
        return self._attempt(lambda producer: self._publish(producer, task, queue, arguments)) is not None

    def waiting(self, pool: str, lane: Lane) -> int | None:
        """Count the rings that no worker has taken yet, for status pages; None when the broker can't be reached."""
        queue = queue_name(pool, lane)
        return self._attempt(lambda producer: _depth(producer, queue))

    def close(self) -> None:
        """Close the connection; the next ring opens another."""
        with self._lock:
            if self._producer is not None:
                self._producer.connection.release()
                self._producer = None

    def _attempt(self, act: Callable[[Producer], int]) -> int | None:
        """Do one thing with the broker, or give None and leave it alone for a while. One thread at a time."""
        with self._lock:
            if time.monotonic() < self._silent_until:
                return None
            connection = _connection(self._app) if self._producer is None else self._producer.connection
            try:
                if self._producer is None:
                    self._producer = _connect(connection)
                answer = act(self._producer)
            except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
                self._give_up(connection, error)
                return None
            if self._broken:
                self._broken = False
                logger.info("broker.found", extra={"broker": connection.as_uri()})
            return answer

    def _give_up(self, connection: Connection, error: BaseException) -> None:
        if not self._broken:
            self._broken = True
            logger.warning("broker.lost", extra={"broker": connection.as_uri(), "error": str(error)})
        # Collected, not closed: closing says goodbye and waits for an answer.
        connection.collect(socket_timeout=_CLOSE_SECONDS)
        self._producer = None
        self._silent_until = time.monotonic() + self._pause

    def _publish(self, producer: Producer, task: str, queue: str, arguments: dict[str, str]) -> int:
        if self._is_full(producer, queue):
            return 0
        self._app.send_task(
            task,
            kwargs=arguments,
            queue=queue,
            producer=producer,
            retry=False,
            expiration=RING_SECONDS,
            timeout=_SOCKET_SECONDS,
            confirm_timeout=_SOCKET_SECONDS,
        )
        return 1

    def _is_full(self, producer: Producer, queue: str) -> bool:
        """Tell whether the queue's workers are away, so that more rings only fill the broker. Asks once a second."""
        now = time.monotonic()
        asked_at, full = self._fullness.get(queue, (float("-inf"), False))
        if now - asked_at >= _DEPTH_SECONDS:
            full = _depth(producer, queue) >= self._most_waiting
            self._fullness[queue] = (now, full)
        return full


def _connection(app: Celery) -> Connection:
    # The first two bound Redis, the next two AMQP; each transport passes over what it doesn't know.
    bounds = dict.fromkeys(
        ("socket_timeout", "socket_connect_timeout", "read_timeout", "write_timeout"), _SOCKET_SECONDS
    )
    connection: Connection = app.connection_for_write(connect_timeout=_SOCKET_SECONDS, transport_options=bounds)
    return connection


def _connect(connection: Connection) -> Producer:
    # Once for each of the broker's addresses: kombu's `connect` would try again after 2 s.
    connection.ensure_connection(max_retries=max(len(connection.alt) - 1, 0))
    return Producer(connection, auto_declare=False)


def _depth(producer: Producer, queue: str) -> int:
    # A declaration that changes nothing is the one question that every transport answers with a count.
    return int(producer.channel.queue_declare(queue=queue, durable=True, auto_delete=False).message_count)


_doorbells: weakref.WeakSet[Doorbell] = weakref.WeakSet()
_inherited: list[Producer] = []


def _after_fork() -> None:
    # The parent goes on speaking through the sockets that a child inherits, so here they are neither used nor closed,
    # and held so that no destructor says goodbye on them. A thread that the child lacks may have taken the lock.
    for doorbell in _doorbells:
        if doorbell._producer is not None:
            _inherited.append(doorbell._producer)
        doorbell._pick_up()


os.register_at_fork(after_in_child=_after_fork)
