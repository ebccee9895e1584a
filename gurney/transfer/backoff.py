"""How long to wait before trying again: exponential with full jitter.

Full jitter (anywhere between nothing and the step) spreads what failed together, so that a peer that comes back is not
met by everything at once. Steps double up to a cap; all figures are seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = [
    "ATTEMPT_BUDGET",
    "CROWDED",
    "DESTINATION",
    "ITEM",
    "PATIENCE",
    "PATIENCE_WITHOUT_EVIDENCE",
    "Backoff",
    "Uniform",
]

Uniform = Callable[[float, float], float]
"""Draws a number between two bounds: ``random.uniform``, or whatever makes a test repeatable."""

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """Compute the waits of one kind of fault."""

    base: float
    cap: float

    def longest(self, failures: int) -> float:
        """Return the upper bound of the wait after so many failures in a row, counted from 1."""
        # 2**40 seconds is past every cap; the bound keeps a damaged count from growing into a huge number.
        return min(self.cap, self.base * 2.0 ** min(max(failures, 1) - 1, 40))

    def delay(self, failures: int, uniform: Uniform) -> float:
        """Draw the wait after so many failures in a row, counted from 1."""
        return uniform(0.0, self.longest(failures))


DESTINATION = Backoff(base=5.0, cap=15 * 60.0)
ITEM = Backoff(base=30.0, cap=6 * HOUR)

# A peer that is out of resources (A7xx) is given more room from the first failure on.
CROWDED = Backoff(base=5 * 60.0, cap=6 * HOUR)

# Ten doubling steps of ITEM and seven at its cap: their mean waits, half of each step, add up to 25 hours.
ATTEMPT_BUDGET = 18

# Jitter may spend the budget early, so time must have passed as well. Where nothing else was stored since the
# item's first failure, nothing shows that the item is to blame, and a long weekend must pass.
PATIENCE = 24 * HOUR
PATIENCE_WITHOUT_EVIDENCE = 96 * HOUR
