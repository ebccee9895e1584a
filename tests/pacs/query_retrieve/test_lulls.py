"""A peer that sends an instance of a C-GET and then nothing for long: what has come is safe and told all the same."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gurney.pacs import AssociationEnded, QueryRetrieveScu, Retrieval, Timeouts
from gurney.pacs.testing import Answer, FakePacs, Gate, Operation, Respond, Send, Stall
from tests.pacs.conftest import CT, study_of
from tests.services.waiting import wait_until

PATIENT = Timeouts(connect=5, acse=5, move=30, network=60)
INSTANCES = [study_of(1, size=100_000) for _ in range(2)]
for number, one in enumerate(INSTANCES, start=1):
    one.SOPInstanceUID = f"1.2.3.1.1.{number}"
FIRST, SECOND = (str(one.SOPInstanceUID) for one in INSTANCES)
WHAT = Retrieval(study_instance_uid="1.2.3.1")


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=INSTANCES) as pacs:
        yield pacs


@pytest.fixture
def gate() -> Gate:
    """What the peer waits at."""
    return Gate()


@pytest.mark.parametrize("pendings", [0, 1], ids=["reports nothing", "reports"])
def test_an_instance_is_told_though_the_next_is_far(
    fast_path: bool, pacs: FakePacs, gate: Gate, tmp_path: Path, pendings: int
) -> None:
    """The peer goes on only once the first is told of."""
    reports = [Respond(0xFF00)] * pendings
    pacs.on_request(
        Operation.C_GET,
        Answer((Send(INSTANCES[0]), *reports, Respond(0xFF00, gate=gate), Send(INSTANCES[1]), Respond())),
    )
    with QueryRetrieveScu(fast_path=fast_path).associate_to_get(pacs.remote(PATIENT), [CT]) as association:
        arrivals = association.get(WHAT, tmp_path)
        assert next(arrivals).path == tmp_path / f"{FIRST}.dcm"
        assert [path.name for path in tmp_path.iterdir()] == [f"{FIRST}.dcm"]
        gate.open()
        assert [received.sop_instance_uid for received in arrivals] == [SECOND]
        assert association.verify().is_success


def test_an_instance_is_safe_though_the_next_is_stuck(fast_path: bool, pacs: FakePacs, tmp_path: Path) -> None:
    pacs.on_request(Operation.C_GET, Answer((Send(INSTANCES[0]), Send(INSTANCES[1], fragment=10_000, middle=Stall()))))
    with QueryRetrieveScu(fast_path=fast_path).associate_to_get(pacs.remote(PATIENT), [CT]) as association:
        told: list[str] = []
        arrivals = association.get(WHAT, tmp_path)
        with ThreadPoolExecutor(1) as taking:
            taken = taking.submit(lambda: told.extend(received.sop_instance_uid for received in arrivals))
            wait_until((tmp_path / f"{FIRST}.dcm").exists, what="the first to be safe")
            association.abort()
            assert isinstance(taken.exception(20), AssociationEnded)
    assert told == [FIRST]
    assert [path.name for path in tmp_path.iterdir()] == [f"{FIRST}.dcm"]


def test_a_get_that_is_left_in_a_lull_goes_on_to_its_end(
    fast_path: bool, pacs: FakePacs, gate: Gate, tmp_path: Path
) -> None:
    steps = (Send(INSTANCES[0]), Respond(0xFF00, gate=gate), Send(INSTANCES[1]), Respond())
    pacs.on_request(Operation.C_GET, Answer(steps))
    with QueryRetrieveScu(fast_path=fast_path).associate_to_get(pacs.remote(PATIENT), [CT]) as association:
        with association.get(WHAT, tmp_path) as arrivals:
            next(arrivals)
            gate.open()
        assert association.verify().is_success
