"""States and priorities of the ledger, once, for every room.

Numbers are what the database stores: they are part of the schema and never change meaning.
Study and series states are derived from these, never written.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["OPEN", "SETTLED", "FileState", "ItemState", "Outcome", "Priority", "Proof", "Routing"]


class FileState(IntEnum):
    """What we know of one file on disk: SETTLING -> ACCEPTED | QUARANTINED | IGNORED, DISPOSING -> GONE."""

    SETTLING = 0
    ACCEPTED = 1
    QUARANTINED = 2
    IGNORED = 3
    DISPOSING = 4
    GONE = 5


class ItemState(IntEnum):
    """One instance in one transfer. FAILED is permanent, DEAD has spent its budget."""

    READY = 0
    RUNNING = 1
    RETRY = 2
    DONE = 3
    WARNED = 4
    FAILED = 5
    DEAD = 6
    HELD = 7
    CANCELLED = 8


OPEN = frozenset({ItemState.READY, ItemState.RUNNING, ItemState.RETRY, ItemState.HELD})
SETTLED = frozenset(ItemState) - OPEN


class Outcome(IntEnum):
    """How one attempt ended."""

    OK = 0
    WARN = 1
    TRANSIENT = 2
    PERMANENT = 3
    DEST_DOWN = 4
    LOST = 5
    CANCELLED = 6


class Priority(IntEnum):
    """Lower goes first; priorities never mix in one batch."""

    STAT = 0
    HIGH = 1
    ROUTINE = 2
    BULK = 3


class Proof(IntEnum):
    """What else than the C-STORE response shows that the peer holds the instance."""

    NONE = 0
    REQUESTED = 1
    COMMITTED = 2
    REFUSED = 3
    OVERDUE = 4
    VERIFIED = 5


class Routing(IntEnum):
    """What the rules said of an instance. NO_ROUTE and FILTERED are counted, not errors."""

    PENDING = 0
    ROUTED = 1
    NO_ROUTE = 2
    FILTERED = 3
    HELD = 4
    ERROR = 5
