"""A request that fails by itself, or that a listener holds back, while its association goes on."""

from __future__ import annotations

from typing import Final, Self

from gurney.pacs.wire.instance import StoreRequest, StoreResult
from gurney.transfer.outcomes import Event, EventKind

__all__ = ["HELD_BACK", "RefusedRequestError", "held_back"]

HELD_BACK: Final = Event(EventKind.VETOED, detail="skipped by a listener")


def held_back(request: StoreRequest) -> StoreResult:
    """Make the result of a request that a listener of ``before_c_store`` wanted not to be sent."""
    return StoreResult(request, HELD_BACK, request.sop_instance_uid, is_skipped=True)


class RefusedRequestError(Exception):
    """Report a request that fails by itself, with the event that says why."""

    def __init__(self, event: Event) -> None:
        super().__init__(event.detail)
        self.event = event

    def result(self, request: StoreRequest) -> StoreResult:
        """Make the result of the request; what was held back has not failed."""
        is_skipped = self.event is HELD_BACK
        return StoreResult(request, self.event, request.sop_instance_uid, is_skipped=is_skipped)

    @classmethod
    def of(cls, kind: EventKind, detail: str, *, result: int | None = None) -> Self:
        """Make the event."""
        return cls(Event(kind, result=result, detail=detail))
