"""Whose fault was it: the item's or the destination's? Decided by what else happened, not by the code alone.

One archive answers A700 for a single file with a missing tag, another answers C000 to everything while its
database is down. So an ambiguous failure is charged to the item and joins the destination's *streak*; a stored
item clears the streak. When the streak reaches :data:`STREAK` distinct items, the destination is at fault and
the charges are given back. An item that failed before, while others were stored since and lately, has shown
that the fault is its own: it never joins a streak.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from gurney.transfer.outcomes import DestinationHistory, ItemHistory

__all__ = ["STREAK", "WINDOW", "Blame", "Fault", "blame", "others_succeed", "stored_since_first_failure"]

STREAK = 5
WINDOW = 10 * 60.0
"""Seconds within which another item's success says that the destination was well."""


class Fault(Enum):
    """Who is held responsible for an ambiguous failure."""

    ITEM = auto()
    UNDECIDED = auto()
    DESTINATION = auto()


@dataclass(frozen=True, slots=True)
class Blame:
    """Who is at fault, and whose charges are given back because of it (one entry for each charge)."""

    fault: Fault
    refund: tuple[int, ...] = ()


def others_succeed(destination: DestinationHistory, now: float) -> bool:
    """Tell whether the destination stored something within the window before now."""
    return destination.last_success_at is not None and now - destination.last_success_at <= WINDOW


def stored_since_first_failure(destination: DestinationHistory, item: ItemHistory) -> bool:
    """Tell whether the destination stored something since this item was first charged: then it can store."""
    return (
        destination.last_success_at is not None
        and item.first_failed_at is not None
        and destination.last_success_at >= item.first_failed_at
    )


def blame(destination: DestinationHistory, item: ItemHistory, now: float) -> Blame:
    """Decide who is at fault for an ambiguous failure at ``now`` (ledger seconds)."""
    failed_before = frozenset(destination.streak)
    if len(failed_before) >= STREAK:
        return Blame(Fault.DESTINATION)
    failed_alone = (
        others_succeed(destination, now)
        and destination.last_success_at is not None
        and item.last_failed_at is not None
        and item.last_failed_at <= destination.last_success_at
    )
    if failed_alone:
        return Blame(Fault.ITEM)
    if len(failed_before | {item.item_id}) >= STREAK:
        return Blame(Fault.DESTINATION, refund=destination.streak)
    return Blame(Fault.UNDECIDED)
