"""What an SCU and an SCP agree on for queries and retrieves: SOP Class Extended Negotiation (PS3.4 C.5.1.1)."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Self

__all__ = ["QueryOptions"]


@dataclass(frozen=True, slots=True)
class QueryOptions:
    """What is proposed, or what a peer agreed to; one that does not answer the negotiation agreed to nothing.

    The options are those of PS3.4 tables C.5-1 and C.5-3.

    relational: keys of any level at any level.
    combined: date and time matched as one moment.
    fuzzy_names: names that sound alike match.
    timezones: dates and times are compared across time zones.
    enhanced: multi-frame images may be asked for as converted.
    """

    relational: bool = False
    combined: bool = False
    fuzzy_names: bool = False
    timezones: bool = False
    enhanced: bool = False

    def encode(self) -> bytes:
        """Make the Service-class-application-information: a byte for each, as many as are needed; b"" for nothing."""
        return bytes(map(int, astuple(self))).rstrip(b"\0")

    @classmethod
    def decode(cls, information: bytes) -> Self:
        """Read an answer; what it leaves out is not agreed to."""
        agreed = [byte == 1 for byte in information[:5]]
        return cls(*agreed)
