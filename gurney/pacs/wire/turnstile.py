"""An exact pause for one thread.

pynetdicom stops its reactor with an Event and then trusts a flag that may be stale, so that the reactor can still take
the very response that the caller waits for. A turnstile is an Event whose :meth:`~Turnstile.clear` returns only when
its one traveller stands still inside :meth:`~Turnstile.wait`: after it, the traveller touches nothing until ``set``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

__all__ = ["Turnstile"]

_LIVENESS_SECONDS = 0.05


class Turnstile:
    """Stop one thread at a known place and know that it stands there.

    It has the methods of :class:`threading.Event` that pynetdicom calls, so it can take that event's place.
    """

    def __init__(self, traveller: threading.Thread, *, wake: Callable[[], object] = lambda: None) -> None:
        """Let one thread travel; ``wake`` ends whatever it may be waiting for elsewhere, so that it comes here."""
        self._traveller = traveller
        self._wake = wake
        self._changed = threading.Condition()
        self._open = True
        self._standing = False
        self._openings = 0

    def is_set(self) -> bool:
        """Tell whether the traveller may pass."""
        return self._open

    @property
    def is_standing(self) -> bool:
        """Tell whether the traveller stands inside :meth:`wait`."""
        return self._standing

    def wait(self) -> bool:
        """Pass, or stand still until it opens. Only the traveller calls this.

        Each opening lets it pass, even one that was too short to be seen: what it found nothing to do for before may be
        there now.
        """
        if self._open:
            return True
        with self._changed:
            openings = self._openings
            self._standing = not self._open
            self._changed.notify_all()
            while not self._open and self._openings == openings:
                self._changed.wait()
            self._standing = False
        return True

    def clear(self) -> None:
        """Close, and return when the traveller stands still or is no longer alive.

        A traveller that has not started yet will stand still at its first wait. Called by the traveller itself it
        only closes: no thread can wait for itself.
        """
        with self._changed:
            self._open = False
            if self._traveller is threading.current_thread():
                return
            self._wake()
            while not self._standing and self._traveller.is_alive():
                self._changed.wait(_LIVENESS_SECONDS)

    def set(self) -> None:
        """Let the traveller go on."""
        with self._changed:
            self._open = True
            self._openings += 1
            self._standing = False
            self._changed.notify_all()
