"""The slowest rate at which a message may come and still be waited for."""

from __future__ import annotations

import time
from typing import Final

from gurney.pacs.errors import BadResponse

__all__ = ["Pace", "is_overdue"]

_SLOWEST_BYTES_PER_SECOND: Final = 1024


def is_overdue(seconds: float, received: int, patience: float) -> bool:
    """Tell whether a message that began ``seconds`` ago has brought too little ever to end.

    The first ``patience`` seconds are free; after them it must have brought 1 KiB for each second. A modem manages
    that; fragments that are empty, or of one byte, never do.
    """
    return seconds > patience + received / _SLOWEST_BYTES_PER_SECOND


class Pace:
    """Count the bytes of one message as they come, from its beginning."""

    def __init__(self, patience: float) -> None:
        self._patience, self._begun, self._received = patience, time.monotonic(), 0

    def count(self, length: int) -> None:
        """Count some more bytes. Raises BadResponse where they come too slowly."""
        self._received += length
        if is_overdue(time.monotonic() - self._begun, self._received, self._patience):
            raise BadResponse("a message that comes too slowly to come to its end")
