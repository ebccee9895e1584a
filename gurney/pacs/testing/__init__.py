"""A PACS for tests, with every fault that a real one shows and that a real one can't be asked for.

::

    with FakePacs(holdings=[dataset, "scan.dcm"]) as pacs:
        pacs.on_instance(2, Respond(0xA700, comment="out of space"))
        pacs.on_instance(3, Break(How.RESET, When.MIDDLE))
        pacs.on_association(2, Reject(2, 3, 2))
        pacs.on_request(Operation.C_FIND, Find(say={"PatientID": "SOMEBODY ELSE"}))
        pacs.on_request(Operation.C_GET, Retrieve(omit=["1.2.3"]))
        ...
        assert pacs.stored_uids() == [...]
"""

from __future__ import annotations

from gurney.pacs.testing.acts import (
    Accept,
    AssociationAct,
    Break,
    Counts,
    Garbage,
    Gate,
    How,
    InPlaceOfAccept,
    InstanceAct,
    Operation,
    Reject,
    Respond,
    Stall,
    When,
)
from gurney.pacs.testing.answers import Answer, Ask, Commit, Find, RequestAct, Retrieve, Send, Step, Where
from gurney.pacs.testing.fake_pacs import FakePacs
from gurney.pacs.testing.record import Stored
from gurney.pacs.testing.request import Request
from gurney.pacs.testing.script import ScriptFailed

__all__ = [
    "Accept",
    "Answer",
    "Ask",
    "AssociationAct",
    "Break",
    "Commit",
    "Counts",
    "FakePacs",
    "Find",
    "Garbage",
    "Gate",
    "How",
    "InPlaceOfAccept",
    "InstanceAct",
    "Operation",
    "Reject",
    "Request",
    "RequestAct",
    "Respond",
    "Retrieve",
    "ScriptFailed",
    "Send",
    "Stall",
    "Step",
    "Stored",
    "When",
    "Where",
]
