"""What one process of a worker holds. It is opened in the process itself: nothing of it may cross a fork."""

from __future__ import annotations

import gc
import mmap
import os
import signal
import threading
from collections.abc import Callable

from gurney.errors import GurneyError
from gurney.jobs.tether import tie_to_parent
from gurney.observability import get_logger
from gurney_workers.slot import Slot

__all__ = ["begin", "block", "drain", "end", "is_draining", "prepare", "quit_at_once", "slot"]

log = get_logger(__name__)

_make: Callable[[], Slot] | None = None
_prepared_in = 0
_slot: Slot | None = None
# Where slots are threads, two of them may be rung while the process has none yet.
_opening = threading.Lock()
# Shared with the children that Celery forks: they look at it between two instances. A bare byte, for
# multiprocessing's Event has a lock that a child killed at the wrong moment keeps, and then every other waits for ever.
_draining = mmap.mmap(-1, 1)


def prepare(make: Callable[[], Slot]) -> None:
    """Say how to make this worker's slots, before it forks."""
    global _make, _prepared_in
    _make, _prepared_in = make, os.getpid()


def begin() -> None:
    """Open this process's slot, unless it is open; called after the fork."""
    with _opening:
        if _slot is None:
            _open()


def _open() -> None:
    global _slot  # noqa: PLW0603
    if _make is None:
        raise RuntimeError("prepare() must come first")
    if os.getpid() != _prepared_in:
        # A child whose worker is killed must not go on sending under a lease that nobody watches.
        tie_to_parent(_prepared_in, signal.SIGKILL)
    made = _make()
    try:
        made.open()
    except GurneyError as error:
        log.error("slot_not_opened", reason=str(error))
        return
    _slot = made
    # What is loaded now stays for good: a collection that looks through it stops sending for a tenth of a second.
    gc.collect()
    gc.freeze()


def end() -> None:
    """Close this process's slot."""
    global _slot  # noqa: PLW0603
    if _slot is not None:
        _slot.close()
        _slot = None


def slot() -> Slot | None:
    """Return this process's slot; None when it could not be opened."""
    if _slot is None and _make is not None:
        begin()  # the ledger may be back
    return _slot


def quit_at_once() -> None:
    """End this process with no goodbye: a thread of it hangs in the system and would keep every other kind of end."""
    log.critical("process_given_up", reason="its slot is blocked for good; the worker starts another process")
    os._exit(os.EX_IOERR)


def block() -> None:
    """Say that a slot of this process is lost: its thread hangs in the system, and the others need the process."""
    log.critical("slot_blocked", reason="one slot less until gurney is started again; look at the disk or share")


def drain() -> None:
    """Let every process of this worker stop after the instance that it is sending."""
    _draining[0] = 1


def is_draining() -> bool:
    """Tell whether this worker is to stop."""
    return _draining[0] != 0
