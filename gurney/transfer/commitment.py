"""What follows when a peer does not prove that it has an instance: it commits itself not, or does not find it. Pure.

A store is done when the response to it is read; proof is more than that, and asking for it never ends by itself: an
archive may answer after two days or not at all (PS3.4 J.3.3). So everything here is counted, and ends.
"""

from __future__ import annotations

from enum import Enum, auto

__all__ = [
    "MOST_ASKED",
    "MOST_REFERENCES",
    "Step",
    "after_absence",
    "after_failure",
    "after_silence",
    "ask_again_after",
    "look_again_after",
]

MOST_REFERENCES = 200
"""References in one request. Archives take 500; it is written to the ledger in one transaction, which must be short."""

MOST_ASKED = 3
"""So often an archive is asked for one instance before we look for ourselves what it has."""

_ASK_AGAIN_AFTER = (600.0, 3600.0, 6 * 3600.0)
# An archive may index what it has stored much later.
_LOOK_AGAIN_AFTER = (60.0, 600.0, 3600.0)

_NO_SUCH_INSTANCE = 0x0112
# Another SOP class under this UID, SOP class not supported (PS3.3 table C.14-1): no repetition changes that.
_PERMANENT = frozenset({0x0119, 0x0122})
# Duplicate transaction UID: the next request has another.
_AT_ONCE = frozenset({0x0131})


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


def after_absence(looked: int, stored: int) -> Step:
    """Decide when a C-FIND did not name an instance: look again for a while, then send again, but once.

    ``looked`` counts the queries in a row without it, this one included; ``stored`` how often the peer took it.
    """
    if looked <= len(_LOOK_AGAIN_AFTER):
        return Step.FIND
    return Step.SEND_AGAIN if stored <= 1 else Step.GIVE_UP


def ask_again_after(asked: int, reason: int | None = None) -> float:
    """Return for how many seconds to wait after ``asked`` requests, the last of which failed by ``reason``."""
    if reason in _AT_ONCE:
        return 0.0
    return _ASK_AGAIN_AFTER[min(max(asked, 1), len(_ASK_AGAIN_AFTER)) - 1]


def look_again_after(looked: int) -> float:
    """Return for how many seconds to wait after ``looked`` queries in a row that did not name an instance."""
    return _LOOK_AGAIN_AFTER[min(max(looked, 1), len(_LOOK_AGAIN_AFTER)) - 1]
