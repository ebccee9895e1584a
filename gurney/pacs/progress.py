"""When something last moved on an association, for a watcher to see: some waits no timeout can end.

Every wait for the peer has its timeout. A read from a dead share has none: no signal and no closed socket ends it, and
the thread that is stuck there can't say so itself. So each thread leaves a mark whenever something moves, and any other
may look at the mark.
"""

from __future__ import annotations

import time

__all__ = ["Progress"]


class Progress:
    """A mark with the time of the last movement: bytes read or sent, a response, a request begun."""

    __slots__ = ("moved_at",)

    def __init__(self) -> None:
        self.mark()

    def mark(self) -> None:
        """Note that something moves now."""
        self.moved_at = time.monotonic()

    def stands_for(self) -> float:
        """Return for how many seconds nothing has moved."""
        return time.monotonic() - self.moved_at
