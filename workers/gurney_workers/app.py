"""The worker's shim: the Celery app that the settings ask for. What a ring means is in ``gurney_workers.tasks``.

``gurney worker`` starts it with ``worker_app(settings).worker_main(worker_arguments(...))``; Celery's own commands, as
``inspect``, find it by ``celery -A gurney_workers.app:app``. Nothing here connects or opens anything: prefork children
are made from this process, and must share no socket with it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from celery import Celery

from gurney.errors import BrokerError
from gurney.jobs import embedded_url, make_app
from gurney.settings import Settings, load

__all__ = ["worker_app"]

TASKS: Final = "gurney_workers.tasks"


def worker_app(settings: Settings, broker_url: str = "") -> Celery:
    """Make the Celery app that ``settings`` ask for, with the tasks to be imported when a worker starts.

    Raises :class:`BrokerError` when the broker is the embedded one and nothing has started it.
    """
    url = broker_url or settings.broker.url or embedded_url(settings.node.data_dir)
    if url is None:
        raise BrokerError(f"no broker serves {settings.node.data_dir}: start `gurney up` first, or give [broker] a url")
    app = make_app(url)
    app.conf.include = [TASKS]
    return app


@cache
def _app_from_environment() -> Celery:
    return worker_app(load())


def __getattr__(name: str) -> Any:
    # Only Celery's own commands ask for `app`; importing this module must read no configuration.
    if name == "app":
        return _app_from_environment()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
