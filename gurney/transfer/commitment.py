"""What follows when an archive does not commit itself to an instance (PS3.4 J.3.3), or says nothing. Pure.

A store is done when the response to it is read; proof is more than that, and asking for it never ends by itself: an
archive may answer after two days or not at all. So everything here is counted, and ends.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = ["MOST_ASKED", "MOST_REFERENCES", "Step", "after_failure", "after_silence"]

MOST_REFERENCES = 200
"""References in one request. Archives take 500; it is written to the ledger in one transaction, which must be short."""

MOST_ASKED = 3
"""So often an archive is asked for one instance before we look for ourselves what it has."""

_NO_SUCH_INSTANCE = 0x0112
# Another SOP class under this UID, SOP class not supported (PS3.3 table C.14-1): no repetition changes that.
_PERMANENT = frozenset({0x0119, 0x0122})


class Step(Enum):
    """What to do next for the proof of one instance."""

    SEND_AGAIN = auto()
    ASK_AGAIN = auto()  # with a transaction UID of its own, as every request has
    FIND = auto()  # look with a C-FIND whether the peer has it
    GIVE_UP = auto()


def after_failure(reason: int | None, missed: int, asked: int) -> Step:
    """Decide upon a Failure Reason (0008,1197); None is an item without one.

    ``missed`` counts the answers so far, this one included, that the archive does not have the instance: it is sent
    again once. ``asked`` counts the requests that named the instance. What the standard does not list says nothing
    about whose fault it was, and is asked again like what may pass.
    """
    if reason == _NO_SUCH_INSTANCE:
        return Step.SEND_AGAIN if missed <= 1 else Step.GIVE_UP
    if reason in _PERMANENT:
        return Step.GIVE_UP
    return after_silence(asked)


def after_silence(asked: int) -> Step:
    """Decide when a request has had no answer in its time: ask again, and at last look for ourselves."""
    return Step.ASK_AGAIN if asked < MOST_ASKED else Step.FIND
