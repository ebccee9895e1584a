"""Run a receiver that kills itself at a step: python -m tests.daemon.receiving.doomed LEDGER SPOOL STEP TIMES."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from gurney.ledger.database import Ledger
from gurney.pacs.wire.arrival import Arrival
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.spool import open_spool
from gurney_daemon.receiving import landing
from gurney_daemon.receiving.receiver import State
from tests.daemon.receiving.reception import Reception
from tests.services.waiting import wait_until

__all__ = ["STEPS"]

STEPS = {
    "written": (Arrival, "close", False),
    "named": (Arrival, "name", True),
    "secured": (landing, "secure_names", True),
    "committed": (Admission, "land", True),
}


def _die_at(step: str, times: int) -> None:
    """Let the process die at the so many-th time of a step, before or behind it."""
    holder, name, behind = STEPS[step]
    plain: Callable[..., Any] = getattr(holder, name)
    calls = 0

    def doomed(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        result = plain(*args, **kwargs) if behind else None
        if calls == times:
            os.kill(os.getpid(), signal.SIGKILL)
        return result if behind else plain(*args, **kwargs)

    setattr(holder, name, doomed)


def _main(url: str, path: str, step: str, times: str) -> None:
    ledger = Ledger(url)
    reception = Reception(ledger, open_spool(ledger, "main", path))
    _die_at(step, int(times))
    receiver = reception.run(reception.receiver())
    wait_until(lambda: receiver.health.state is State.RECEIVING, 20, "the receiver listens")
    print(receiver.port, flush=True)
    threading.Event().wait(60)
    os._exit(0)


if __name__ == "__main__":
    _main(*sys.argv[1:])
