"""Waiting for something to become true, never longer than said."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["wait_until"]

T = TypeVar("T")


def wait_until(predicate: Callable[[], T], timeout: float = 30.0, what: str = "", *, interval: float = 0.02) -> T:
    """Poll until the predicate gives something true, and return that.

    `timeout` and `interval` are seconds. Raises AssertionError that names `what` was awaited and what was last seen.
    The timeout is a bound against hanging, not a statement about speed: make it generous.
    """
    give_up_at = time.monotonic() + timeout
    while not (seen := predicate()):
        if time.monotonic() >= give_up_at:
            awaited = what or getattr(predicate, "__name__", "a condition")
            raise AssertionError(f"waited {timeout:g} s in vain for {awaited}; last seen: {seen!r}")
        time.sleep(interval)
    return seen
