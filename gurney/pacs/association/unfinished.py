"""Iterations over what a peer sends, which somebody may have abandoned half-way."""

from __future__ import annotations

import inspect
from collections.abc import Generator
from contextlib import suppress
from typing import TypeVar
from weakref import ReferenceType, ref

from gurney.pacs.errors import AssociationFailure

__all__ = ["Unfinished"]

T = TypeVar("T")


class Unfinished:
    """Know the iterations of one association, and end those that were abandoned half-way.

    A ``for`` that is left with ``break`` leaves its stream as it is: as long as somebody holds a reference to it, the
    conversation goes on and what has arrived is not safe. An iteration that was never begun, or that is running now, is
    left alone.
    """

    def __init__(self) -> None:
        self._iterations: list[ReferenceType[Generator[object]]] = []

    def note(self, iteration: Generator[T]) -> Generator[T]:
        """Return an iteration, after noting it; one that runs inside another is noted after that."""
        self._iterations = [one for one in self._iterations if one() is not None]
        self._iterations.append(ref(iteration))
        return iteration

    @property
    def is_any(self) -> bool:
        """Tell whether one was begun and stands still."""
        return bool(self._begun())

    def end(self) -> None:
        """End them, the outer ones first, which end those inside them."""
        for iteration in self._begun():
            # Whatever ended the association is reported where it happened.
            with suppress(AssociationFailure):
                iteration.close()

    def _begun(self) -> list[Generator[object]]:
        known = [one() for one in self._iterations]
        return [one for one in known if one is not None and inspect.getgeneratorstate(one) == inspect.GEN_SUSPENDED]
