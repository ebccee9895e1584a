"""A request that fails by itself, while its association goes on."""

from __future__ import annotations

from typing import Self

from gurney.transfer.outcomes import Event, EventKind

__all__ = ["RefusedRequestError"]


class RefusedRequestError(Exception):
    """Report a request that fails by itself, with the event that says why."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.detail)
        self.event = event

    @classmethod
    def of(cls, kind: EventKind, detail: str, *, result: int | None = None) -> Self:
        """Make the event."""
        return cls(Event(kind, result=result, detail=detail))
