"""What a peer answers, judged alike on the fast path and on the plain way (PS3.7 9.1.1, 9.1.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gurney.pacs.errors import BadResponse

__all__ = ["Awaited", "EchoResult", "Response"]


class Response(NamedTuple):
    """What the response to a C-STORE or C-ECHO of ours says."""

    status: int
    comment: str = ""
    offending_elements: tuple[int, ...] = ()

    def __repr__(self) -> str:
        # Not the peer's words, which may name a patient.
        return f"Response(status={self.status!r}, offending_elements={self.offending_elements!r})"


@dataclass(frozen=True, slots=True)
class EchoResult:
    """The answer to a C-ECHO: its DIMSE status, and the seconds that it took."""

    status: int
    seconds: float

    @property
    def is_success(self) -> bool:
        """Tell whether the peer answered as it should."""
        return self.status == 0x0000


class Awaited(NamedTuple):
    """The request that is to be answered."""

    message_id: int
    context_id: int

    def check(self, *, message_id: int | None, context_id: int, status: int | None) -> int:
        """Return the status, or raise :class:`BadResponse` when it answers something else or nothing."""
        if message_id != self.message_id:
            raise BadResponse(f"a response to message {message_id} in place of {self.message_id}")
        if context_id != self.context_id:
            raise BadResponse(f"a response in context {context_id} in place of {self.context_id}")
        if status is None:
            raise BadResponse("a response without a status")
        return status
