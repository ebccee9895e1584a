"""Places where an application listens: before-events may change or veto, after-events observe.

A listener is subscribed for good with the hook as a decorator, or for a while with :meth:`listening`::

    @scu.events.after_c_store
    def note(event: AfterCStore) -> None: ...

    with scu.events.before_c_store.listening(coerce):
        ...
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["AfterHook", "BeforeHook", "WrongAnswer"]

E = TypeVar("E")
A = TypeVar("A")

_log = logging.getLogger(__name__)


class WrongAnswer(TypeError):
    """Report a listener of a before-event that returned something other than a change; only its type is named."""

    def __init__(self, hook: str, returned: object, may_return: tuple[type, ...]) -> None:
        wanted = " or ".join([*(one.__name__ for one in may_return), "None"])
        super().__init__(f"a listener of {hook} returned {type(returned).__name__}: it may return {wanted}")


class _Hook(Generic[E, A]):
    """Listeners in a tuple that is replaced, never changed: any thread may read it; one at a time replaces it."""

    _replacing = threading.Lock()

    def __init__(self, name: str) -> None:
        self.name = name
        self._listeners: tuple[Callable[[E], A], ...] = ()

    def __call__(self, listener: Callable[[E], A]) -> Callable[[E], A]:
        """Subscribe a listener; usable as a decorator. Raises TypeError for what can't be called."""
        self._check(listener)
        with _Hook._replacing:
            self._listeners = (*self._listeners, listener)
        return listener

    def once(self, listener: Callable[[E], A]) -> None:
        """Subscribe a listener unless it is subscribed already: then it keeps its place, and misses no event.

        Raises TypeError for what can't be called.
        """
        self._check(listener)
        with _Hook._replacing:
            if not any(other is listener for other in self._listeners):
                self._listeners = (*self._listeners, listener)

    def __bool__(self) -> bool:
        """Tell whether anybody listens."""
        return bool(self._listeners)

    def remove(self, listener: Callable[[E], A]) -> None:
        """Unsubscribe a listener; one that is not there is ignored."""
        with _Hook._replacing:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    @contextmanager
    def listening(self, listener: Callable[[E], A]) -> Iterator[None]:
        """Subscribe a listener for the duration of the block."""
        self(listener)
        try:
            yield
        finally:
            self.remove(listener)

    def _check(self, listener: object) -> None:
        if not callable(listener):
            raise TypeError(f"{self.name} takes a listener to call with the event: {type(listener).__name__} is none")


def _forget_lock() -> None:
    """Give a forked child a lock of its own: a thread of its parent may have held the old one."""
    _Hook._replacing = threading.Lock()


os.register_at_fork(after_in_child=_forget_lock)


class BeforeHook(_Hook[E, A | None]):
    """A before-event: each listener may return a change, or raise to prevent what is about to happen."""

    def __init__(self, name: str, *may_return: type) -> None:
        super().__init__(name)
        self._may_return = may_return

    def ask(self, event: E, apply: Callable[[E, A], E]) -> E:
        """Show the event to each listener in the order of subscription, each seeing the changes of those before.

        Raises what a listener raises, and WrongAnswer for an answer that is not a change: ``False`` would otherwise
        pass for consent.
        """
        for listener in self._listeners:
            change = listener(event)
            if change is None:
                continue
            if not isinstance(change, self._may_return):
                raise WrongAnswer(self.name, change, self._may_return)
            event = apply(event, change)
        return event


class AfterHook(_Hook[E, None]):
    """An after-event: what a listener raises is logged, and the other listeners still hear of the event."""

    def tell(self, event: E) -> None:
        """Show the event to every listener."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001  (listeners are isolated from each other and from us)
                # Only the type: a message may quote the data set.
                _log.error("listener_failed hook=%s error=%s", self.name, type(error).__name__)
