"""How long we wait for a peer's next byte on a lent wire, and what ends the wait sooner."""

from __future__ import annotations

import select
import time
from collections.abc import Callable

from gurney.pacs.errors import AssociationEnded, DimseTimeout
from gurney.pacs.progress import Progress
from gurney.pacs.wire.wire_socket import WireSocket

__all__ = ["Patience"]

# How often we look whether a slow line still moves, and whether somebody wants us to stop.
_GLANCE_SECONDS = 1.0


def _see_nothing() -> None:
    """Look at nothing else."""


class Patience:
    """Wait for a response for so many seconds without progress.

    While the bytes that the peer's system has yet to confirm become fewer, there is progress: the line is slow, not
    dead. ``glance`` is called in each turn of a wait, and may raise to end it; ``idle`` after each turn in which
    nothing came.
    """

    def __init__(
        self,
        wire: WireSocket,
        progress: Progress,
        seconds: float,
        *,
        glance: Callable[[], None] = _see_nothing,
        idle: Callable[[], None] = _see_nothing,
        turn: float = _GLANCE_SECONDS,
    ) -> None:
        self._wire, self._progress, self._seconds, self._glance = wire, progress, seconds, glance
        self._idle = idle
        self._turn = min(turn, seconds / 4)
        self._deadline = 0.0
        self._unacknowledged: int | None = None
        self.renew()
        self._readable = select.poll()
        self._readable.register(wire.fd, select.POLLIN)
        self._readable.register(wire.wake_fd, select.POLLIN)

    def renew(self) -> None:
        """Begin anew: something came, or something else is awaited."""
        self._deadline = time.monotonic() + self._seconds
        self._unacknowledged = None

    def check(self) -> None:
        """Raise DimseTimeout where fragments keep coming, and no message comes of them."""
        if time.monotonic() > self._deadline:
            raise DimseTimeout(f"no response for {self._seconds:g} s, but fragments that get nowhere")

    def wait(self) -> None:
        """Return when there may be something to read, or a turn is over. Raises DimseTimeout or AssociationEnded."""
        self._glance()
        left = self._deadline - time.monotonic()
        events = dict(self._readable.poll(max(0.0, min(left, self._turn)) * 1000))
        if self._wire.wake_fd in events:
            raise AssociationEnded("aborted by us")
        if events:
            return
        still = self._wire.unacknowledged()
        if self._unacknowledged is not None and still < self._unacknowledged:
            self._progress.mark()
            self.renew()
        elif left <= self._turn:
            raise DimseTimeout(f"no response for {self._seconds:g} s")
        self._unacknowledged = still
        self._idle()
