"""The Celery application: a doorbell and nothing else.

The ledger is the truth (``docs/adr/0001-the-broker-is-a-doorbell.md``), so every setting here would rather lose a
message than repeat or delay one: early ack, no ETA, no retry, no result, and no ring held behind a busy slot.
"""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import urlsplit

from celery import Celery
from celery.app.amqp import AMQP
from celery.app.log import Logging
from kombu.connection import Connection

from gurney.errors import ConfigError

__all__ = ["RETRIEVE_TASK", "SERVE_TASK", "is_in_process", "make_app"]

SERVE_TASK: Final = "gurney.serve"
RETRIEVE_TASK: Final = "gurney.retrieve"
"""The one task: serve a destination. Its arguments are names, ``{"destination": str, "spool": str}``."""

_REDIS_SCHEMES: Final = frozenset({"redis", "rediss", "redis+socket", "sentinel"})
_AMQP_SCHEMES: Final = frozenset({"amqp", "amqps", "pyamqp"})
_IN_PROCESS: Final = "memory"

_REDIS_OPTIONS: Final = {
    # A publish or an acknowledgement on a connection that a firewall dropped must end; a worker's blocking read is not
    # bound by this, it is watched by the health check.
    "socket_timeout": 5.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
    # A ring that is taken is forgotten: no copy in Redis to acknowledge, and none to come back an hour later.
    "ack_emulation": False,
    # Ask for the queues in the order of `queue_names`, STAT first. The default rotates them.
    "queue_order_strategy": "priority",
    # One list a queue instead of four: urgency is the lane.
    "priority_steps": [0],
}
# The broker says that it has the ring: without confirms a publish into a dead connection looks like a success.
_AMQP_OPTIONS: Final = {"confirm_publish": True}
# In one process nothing wakes the consumer, it polls: the default of a second would be all of a ring's latency.
_IN_PROCESS_OPTIONS: Final = {"polling_interval": 0.05}


class _PatientConnection(Connection):
    """Outlive the broker, and look for it every few seconds for as long as it takes.

    Celery's own steps grow to 30 s, so that a worker would sleep on for half a minute after a long outage. And kombu
    5.7 gives rings that were taken but not begun back to the broker when a connection closes, also one that closes
    because the broker is gone: that raises an AttributeError which ends the worker.
    """

    def channel(self) -> Any:
        channel = super().channel()  # type: ignore[no-untyped-call]  # kombu is typed in parts
        if hasattr(channel, "do_restore"):  # kombu's own transports; AMQP's broker does this by itself
            channel.do_restore = False
        return channel

    def ensure_connection(self, *args: Any, **kwargs: Any) -> Connection:
        steps = {"interval_start": 0.5, "interval_step": 0.5, "interval_max": 3.0}
        super().ensure_connection(*args, **steps | kwargs)  # type: ignore[no-untyped-call]  # kombu is typed in parts
        return self


class _DoorbellAMQP(AMQP):  # type: ignore[misc]  # Celery is untyped
    Connection = _PatientConnection


class _HostsLogging(Logging):  # type: ignore[misc]  # Celery is untyped
    """Leave logging, warnings and standard output as the process has set them up."""

    def setup(self, *_: Any, **__: Any) -> bool:
        return True


def is_in_process(broker_url: str) -> bool:
    """Tell whether the broker lives in this process only, so that daemon and workers must share it as threads."""
    return urlsplit(broker_url).scheme == _IN_PROCESS


def make_app(broker_url: str, *, name: str = "gurney") -> Celery:
    """Make the Celery app for one broker; nothing connects yet, so it may be made before a fork.

    ``broker_url`` is ``redis://``, ``rediss://``, ``redis+socket:///path``, ``sentinel://``, ``amqp://``, ``amqps://``,
    or ``memory://`` for threads in one process. Raises :class:`ConfigError` for any other.
    """
    # redis-py sets this logger up where it first subscribes, in a thread, and Python's loggers are not made for two at
    # once: a worker ended by it. One that is there is left alone.
    logging.getLogger("push_response")
    app = Celery(name, broker=broker_url, amqp=_DoorbellAMQP, log=_HostsLogging, set_as_current=False)
    app.conf.update(
        # Ids in JSON: a message can carry neither code nor a patient.
        accept_content=["json"],
        task_serializer="json",
        # Fire and forget.
        result_backend=None,
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        task_default_delivery_mode="transient",
        task_default_queue="gurney",
        # A worker outlives its broker: it goes on with the batch at hand and looks for the broker for ever. What Celery
        # does with late acks, to cancel the batch and to prefetch less after a reconnect, is not for rings.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=3.0,
        broker_heartbeat=30,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_enable_prefetch_count_reduction=False,
        worker_prefetch_multiplier=1,
        # A child that imports the ledger on a busy host may need more than the default 4 s, and would be killed.
        worker_proc_alive_timeout=60.0,
        **_transport_settings(broker_url),
    )
    return app


def _transport_settings(broker_url: str) -> dict[str, Any]:
    scheme = urlsplit(broker_url).scheme
    if scheme in _REDIS_SCHEMES:
        # A ring held behind a busy slot is not heard by the idle worker next door. Only over Redis can a worker refuse
        # to prefetch; over AMQP it holds one a slot, and rings expire (`doorbell.RING_SECONDS`).
        return {"worker_disable_prefetch": True, "broker_transport_options": dict(_REDIS_OPTIONS)}
    if scheme in _AMQP_SCHEMES:
        return {"broker_transport_options": dict(_AMQP_OPTIONS)}
    if scheme == _IN_PROCESS:
        return {"broker_transport_options": dict(_IN_PROCESS_OPTIONS)}
    known = ", ".join(sorted(_REDIS_SCHEMES | _AMQP_SCHEMES | {_IN_PROCESS}))
    raise ConfigError(f"[broker] url has the scheme {scheme!r}, which is not one of {known}")
