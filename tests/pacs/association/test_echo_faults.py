"""What a peer may do to a C-ECHO, and what is told of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gurney.pacs import (
    AssociationAborted,
    AssociationFailure,
    AssociationLost,
    BadResponse,
    DimseTimeout,
    Scu,
    Timeouts,
)
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.testing import Answer, Ask, Break, FakePacs, Garbage, How, Operation, Respond, Stall, When
from gurney.pacs.testing.answers import RequestAct

SHORT = Timeouts(connect=2, acse=0.5, network=2)


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (Respond(None), BadResponse),
        (Respond(wrong_message_id=True), BadResponse),
        (Respond(elements={0x0120: None}), BadResponse),
        (Respond(wrong_context_id=True), BadResponse),
        (Respond(elements={0x0100: b"\x20\x80"}), BadResponse),
        (Garbage(b"HTTP/1.1 500 Oops\r\n\r\n"), BadResponse),
        (Garbage(b"\x04\x00\x00\x00\x00\x10" + b"\xff" * 16), BadResponse),
        (Garbage(b"\x04\x00\xff\xff\xff\xf0"), BadResponse),
        (Break(How.ABORT, When.BEFORE), AssociationAborted),
        (Break(How.ABORT), AssociationAborted),
        (Break(How.CLOSE), AssociationLost),
        (Break(How.RESET), AssociationLost),
        (Break(How.RELEASE), AssociationLost),
        (Stall(), DimseTimeout),
        (Respond(endless=b""), DimseTimeout),
        (Respond(drip=0.05), DimseTimeout),
    ],
    ids=[
        *(
            "no-status",
            "other-message",
            "no-message",
            "other-context",
            "other-service",
            "http",
            "nonsense-pdv",
            "endless-pdu",
        ),
        *("abort-at-once", "abort", "close", "reset", "release", "silence", "empty-fragments", "drips"),
    ],
)
def test_no_answer_is_never_a_good_one(pacs: FakePacs, act: RequestAct, error: type[AssociationFailure]) -> None:
    pacs.on_request(Operation.C_ECHO, act)
    with Scu().associate(pacs.remote(SHORT), [VERIFICATION]) as association:
        with pytest.raises(error):
            association.verify()
        assert isinstance(association.failure, error)
        assert not association.is_usable
    pacs.wait_until_quiet()


def test_a_status_is_told_and_the_association_goes_on(pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_ECHO, Respond(0x0122), Answer((Ask(), Respond(pdvs=3))))
    with Scu().associate(pacs.remote(SHORT), [VERIFICATION]) as association:
        result = association.verify()
        assert (result.status, result.is_success) == (0x0122, False)
        assert association.verify().is_success
    assert [request.operation.name for request in pacs.requests] == ["C_ECHO", "C_ECHO"]
