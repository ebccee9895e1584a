"""A PACS for tests, with every fault that a real one shows and that a real one can't be asked for.

::

    with FakePacs() as pacs:
        pacs.on_instance(2, Respond(0xA700, comment="out of space"))
        pacs.on_instance(3, Break(How.RESET, When.MIDDLE))
        pacs.on_association(2, Reject(2, 3, 2))
        ...
        assert pacs.stored_uids() == [...]
"""

from __future__ import annotations

from gurney.pacs.testing.fake_pacs import FakePacs
from gurney.pacs.testing.record import Stored
from gurney.pacs.testing.script import (
    Accept,
    Break,
    Garbage,
    Gate,
    How,
    InPlaceOfAccept,
    Reject,
    Respond,
    Stall,
    When,
)

__all__ = [
    "Accept",
    "Break",
    "FakePacs",
    "Garbage",
    "Gate",
    "How",
    "InPlaceOfAccept",
    "Reject",
    "Respond",
    "Stall",
    "Stored",
    "When",
]
