"""Messages without an end, from a peer that we have called: none of them may fill the memory, or the disk.

The timeouts are long: what ends here, ends for its length. On the fast path a reader of our own has its bounds as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import BadResponse, Query, QueryRetrieveScu, Retrieval, Scu, Timeouts
from gurney.pacs.testing import Answer, FakePacs, Garbage, Operation, Respond
from gurney.pacs.testing.upper_layer import command_set, fragments, p_data
from gurney.pacs.wire.message_bounds import LONGEST_COMMAND, LONGEST_DATASET
from tests.pacs.conftest import CT
from tests.services.waiting import wait_until

LONG = Timeouts(acse=20, find=20, move=20, network=20)
FULL = bytes(1 << 16)
VERIFICATION = ContextProposal("1.2.840.10008.1.1", "1.2.840.10008.1.2")
WORDS = "a message without an end|an identifier without an end|a command set without an end"


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


@pytest.mark.parametrize("dataset", [None, b""], ids=["command", "identifier"])
@pytest.mark.parametrize("operation", [Operation.C_FIND, Operation.C_GET], ids=lambda operation: operation.name)
def test_a_response_is_cut_at_its_bound(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, operation: Operation, dataset: bytes | None
) -> None:
    pacs.on_request(operation, Answer((Respond(0xFF00, dataset=dataset, endless=FULL),)))
    with scu.associate_to_get(pacs.remote(LONG), [CT]) as association:
        asked = (
            association.find(Query())
            if operation is Operation.C_FIND
            else association.get(Retrieval(study_instance_uid="1.2.3"), tmp_path)
        )
        with pytest.raises(BadResponse, match=WORDS):
            list(asked)
        assert isinstance(association.failure, BadResponse)
    pacs.wait_until_quiet()
    assert not [*tmp_path.iterdir()]


def test_the_answer_to_an_echo_is_cut_at_its_bound(pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_ECHO, Respond(endless=FULL))
    with Scu().associate(pacs.remote(LONG), [VERIFICATION]) as association:
        with pytest.raises(BadResponse, match="a message without an end"):
            association.verify()
        assert not association.is_usable
    pacs.wait_until_quiet()


@pytest.mark.parametrize("size", [LONGEST_COMMAND, LONGEST_DATASET], ids=["command", "information"])
def test_a_report_that_nobody_waits_for_is_cut_at_its_bound(pacs: FakePacs, size: int) -> None:
    """The peer answers, and goes on to an N-EVENT-REPORT that has no end."""
    report = {0x0002: b"1.2.840.10008.1.1\0", 0x0100: b"\0\1", 0x0110: b"\1\0", 0x0800: b"\0\0", 0x1002: b"\1\0"}
    head = b"".join(map(p_data, fragments(1, command_set(report), 1000, is_command=True)))
    is_command = size == LONGEST_COMMAND
    fragment = p_data(struct.pack(">LBB", len(FULL) + 2, 1, is_command) + FULL)
    endless = (b"" if is_command else head) + fragment * (size // len(FULL) + 1)
    pacs.on_request(Operation.C_ECHO, Answer((Respond(), Garbage(endless))))
    with Scu().associate(pacs.remote(LONG), [VERIFICATION]) as association:
        assert association.verify().is_success
        wait_until(lambda: not association.is_usable, what="an end at the bound")
        assert isinstance(association.failure, BadResponse)
        assert "a message without an end" in str(association.failure)


def test_a_bound_is_for_each_message(pacs: FakePacs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gurney.pacs.wire.message_bounds.LONGEST_COMMAND", 200)
    with Scu().associate(pacs.remote(LONG), [VERIFICATION]) as association:
        for _ in range(5):
            assert association.verify().is_success
