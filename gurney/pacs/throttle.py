"""Let no more pass than so many a second: bytes or instances."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["Throttle"]


class Throttle:
    """A token bucket of one second's worth, which whatever passes empties, below nothing if need be.

    So what is larger than a second's worth passes whole, and the next waits as long as that has cost. The rate may be
    changed by any thread while another waits.
    """

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin with a full bucket; ``rate`` is how many pass in a second. Raises ValueError unless it is positive."""
        self._clock = clock
        self.rate = rate
        self._left, self._looked_at = rate, clock()

    @property
    def rate(self) -> float:
        """How many pass in a second."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if not 0 < rate < float("inf"):
            raise ValueError(f"a rate must be a positive number, not {rate!r}")
        self._rate = rate

    @property
    def wait(self) -> float:
        """Seconds until something may pass."""
        now = self._clock()
        self._left = min(self._rate, self._left + (now - self._looked_at) * self._rate)
        self._looked_at = now
        return max(0.0, -self._left / self._rate)

    def take(self, n: float) -> None:
        """Let ``n`` pass, which must not come before its :attr:`wait` is over."""
        self._left -= n
