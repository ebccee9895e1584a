"""Keep processes running: start, restart what dies, drain in order, leave nothing behind.

Each child is one command. A child that dies is started again after a wait that grows while it keeps dying. On SIGTERM
the children are ended in the order of their ``rank``, lowest first, so that workers give their leases back while the
ledger and the broker still stand.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FrameType

from gurney.errors import GurneyError
from gurney.jobs.tether import SUPERVISOR
from gurney.observability import get_logger

__all__ = ["Child", "Supervisor"]

_TICK = 0.2
# Seconds until what the supervisor keeps alive itself is looked at again after it could not be mended.
_TICK_AGAIN = 1.0
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0
# A child that has run for this long has recovered: the next wait is short again.
_RECOVERED = 60.0

log = get_logger(__name__)


@dataclass(slots=True)
class Child:
    """A command to keep running. ``rank`` is its place in the order of ending."""

    name: str
    command: Sequence[str]
    rank: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started_at: float = 0.0
    start_at: float = 0.0
    deaths: int = 0


class Supervisor:
    """Run children until SIGTERM or SIGINT. SIGHUP asks ``reload`` which to run from then on.

    Where ``reload`` raises a GurneyError, all stays as it is. ``answer`` is told of each reload when it began
    (nanoseconds of the monotonic clock) and why it was refused; "" where all that was asked for has been started.

    ``tick`` is called every fraction of a second, for what the supervisor's own process keeps alive; what it can't mend
    (a GurneyError) ends nothing and is tried again.
    """

    def __init__(
        self,
        children: Sequence[Child],
        *,
        drain_seconds: float = 60.0,
        reload: Callable[[], Sequence[Child]] | None = None,
        answer: Callable[[int, str], object] = lambda _begun, _refused: None,
        tick: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare; nothing is started yet."""
        self._children = list(children)
        self._drain_seconds = drain_seconds
        self._reload, self._answer, self._tick = reload, answer, tick
        self._tick_at = 0.0
        self._ending = self._reloading = False

    def run(self) -> None:
        """Start everything and watch over it; return when all has ended."""
        previous = {
            number: signal.signal(number, self._on_signal) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        }
        try:
            while not self._ending:
                self._keep_up()
                for child in self._children:
                    self._look_after(child)
                if self._reloading:
                    self._reloading = False
                    self._restart_all()
                time.sleep(_TICK)
        finally:
            self._end_all()
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGHUP:
            self._reloading = True
        else:
            self._ending = True

    def _keep_up(self) -> None:
        if time.monotonic() < self._tick_at:
            return
        try:
            self._tick()
        except GurneyError as error:
            log.error("tick_failed", reason=str(error))
            self._tick_at = time.monotonic() + _TICK_AGAIN

    def _look_after(self, child: Child) -> None:
        now = time.monotonic()
        if child.process is None:
            if now >= child.start_at:
                self._start(child)
            return
        code = child.process.poll()
        if code is None:
            return
        child.process = None
        self._start_later(child, code)

    def _start_later(self, child: Child, code: int | None) -> None:
        now = time.monotonic()
        child.deaths = 1 if now - child.started_at > _RECOVERED else child.deaths + 1
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2 ** (child.deaths - 1))
        child.start_at = now + wait
        log.error("child_died", child=child.name, code=code, again_in=wait)

    def _start(self, child: Child) -> None:
        try:
            child.process = subprocess.Popen(
                child.command,
                stdin=subprocess.DEVNULL,
                # Ctrl-C reaches the supervisor alone, which ends the others in order.
                start_new_session=True,
                env={**os.environ, SUPERVISOR: str(os.getpid())},
            )
        except OSError as error:  # no memory or no process to be had: the others shall not end for it
            log.error("child_not_started", child=child.name, errno=error.errno)
            self._start_later(child, None)
            return
        child.started_at = time.monotonic()
        log.info("child_started", child=child.name, child_pid=child.process.pid)

    def _restart_all(self) -> None:
        begun = time.monotonic_ns()
        try:
            children = self._reload() if self._reload is not None else self._children
        except GurneyError as error:
            log.error("reload_refused", reason=str(error))
            self._answer(begun, str(error))
            return
        self._end_all()
        self._children = list(children)
        if self._ending:
            return
        for child in self._children:
            self._start(child)
        missing = [child.name for child in self._children if child.process is None]
        self._answer(begun, f"{', '.join(missing)} can't be started, and is tried again" if missing else "")

    def _end_all(self) -> None:
        deadline = time.monotonic() + self._drain_seconds
        for rank in sorted({child.rank for child in self._children}):
            running = [child for child in self._children if child.rank == rank and child.process is not None]
            for child in running:
                if child.process is not None:
                    child.process.terminate()
            for child in running:
                self._await_end(child, deadline)

    def _await_end(self, child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(1.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.error("child_killed", child=child.name, reason="it did not drain in time; its leases will run out")
            # The child leads a process group of its own: nothing of it stays.
            os.killpg(child.process.pid, signal.SIGKILL)
            child.process.wait()
        child.process = None
        log.info("child_ended", child=child.name)
