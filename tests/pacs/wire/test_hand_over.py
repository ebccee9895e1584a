"""What a peer asks of its own in the midst of what we asked: it is answered, no response is lost, and all goes on.

On the fast path each such request hands the wire over to pynetdicom and back.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import EventReport, NormalizedServices, Query, QueryAssociation, Retrieval, Role, Timeouts
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.testing import Answer, Ask, Counts, FakePacs, Operation, Respond, Send
from gurney.pacs.testing.answers import Step
from gurney.pacs.testing.request import Request
from tests.pacs.conftest import CT, CT_ONLY, query_scu, study_of
from tests.services.waiting import wait_until

STUDIES = [study_of(number) for number in (1, 2, 3)]
UIDS = [study.SOPInstanceUID for study in STUDIES]
PRINTER, THE_PRINTER = "1.2.840.10008.5.1.1.16", "1.2.840.10008.5.1.1.17"
STEP = "1.2.840.10008.3.1.2.3.3"
MODEL = "1.2.840.10008.5.1.4.1.2.2"
EXPLICIT = "1.2.840.10008.1.2.1"
PROPOSALS = [
    VERIFICATION,
    *(ContextProposal(sop_class, EXPLICIT) for sop_class in (STEP, f"{MODEL}.1", f"{MODEL}.2", f"{MODEL}.3")),
    *CT_ONLY,
]
LONG = Timeouts(connect=5, acse=10, store=10, find=10, move=10, normalized=10)


def information(size: int = 0) -> Dataset:
    told = Dataset()
    told.PrinterStatusInfo = "CHECK PRINTER"
    if size:
        told.EncapsulatedDocument = bytes(size)
    return told


def report(size: int = 0, *, wait: bool = True) -> Ask:
    return Ask(Operation.N_EVENT_REPORT, PRINTER, THE_PRINTER, information(size), {0x1002: b"\2\0"}, wait=wait)


# More than what the system, or a buffer of ours, holds at a time goes with the last.
ASKS = {
    "echo": Ask(),
    "echo-and-on": Ask(wait=False),
    "report": report(),
    "report-and-on": report(wait=False),
    "long-report": report(3_000_000),
}
PARTS: dict[Operation, list[Step]] = {
    Operation.C_FIND: [*(Respond(0xFF00, dataset=study) for study in STUDIES), Respond()],
    Operation.C_GET: [
        *(
            step
            for number, study in enumerate(STUDIES, 1)
            for step in (Send(study), Respond(0xFF00, counts=Counts(3 - number, number, 0, 0)))
        ),
        Respond(counts=Counts(None, 3, 0, 0)),
    ],
    Operation.C_MOVE: [*(Respond(0xFF00, counts=Counts(3 - done, done, 0, 0)) for done in (1, 2)), Respond()],
    Operation.C_ECHO: [Respond()],
    Operation.N_SET: [Respond()],
}


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=STUDIES) as pacs:
        yield pacs


@pytest.fixture
def association(pacs: FakePacs, fast_path: bool) -> Iterator[QueryAssociation]:
    scu = query_scu("fast" if fast_path else "plain")
    roles = [Role(CT, scu=False, scp=True)]
    with scu.associate(pacs.remote(LONG), PROPOSALS, roles=roles) as association:
        yield association
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


def find(association: QueryAssociation, _: Path) -> None:
    assert [match.value.accession_number for match in association.find(Query())] == ["A1", "A2", "A3"]


def get(association: QueryAssociation, folder: Path) -> None:
    arrivals = association.get(Retrieval(patient_id="", study_instance_uid="1.2.3.1"), folder)
    assert [received.sop_instance_uid for received in arrivals] == UIDS
    assert arrivals.progress is not None
    assert (arrivals.progress.status, arrivals.progress.completed) == (0, 3)


def move(association: QueryAssociation, _: Path) -> None:
    reports = list(association.move(Retrieval(study_instance_uid="1.2.3.1"), "ELSEWHERE"))
    assert [report.status for report in reports] == [0xFF00, 0xFF00, 0x0000]


def echo(association: QueryAssociation, _: Path) -> None:
    assert association.verify().is_success


def set_step(association: QueryAssociation, _: Path) -> None:
    assert NormalizedServices(association).n_set(STEP, "1.2.3.4", information()).status == 0


DO: dict[Operation, Callable[[QueryAssociation, Path], None]] = {
    Operation.C_FIND: find,
    Operation.C_GET: get,
    Operation.C_MOVE: move,
    Operation.C_ECHO: echo,
    Operation.N_SET: set_step,
}


class Interruption:
    """An answer with something that the peer asks at one of its places; notes how it is answered."""

    def __init__(self, operation: Operation, ask: Ask, place: int) -> None:
        self._parts, self._ask, self._place = PARTS[operation], ask, place
        self.statuses: list[int] = []

    def steps(self, _: Request) -> Generator[Step, int, None]:
        for number, part in enumerate(self._parts):
            if number == self._place:
                yield from self._asked()
            yield part
        if self._place == len(self._parts):
            yield from self._asked()

    def _asked(self) -> Generator[Step, int, None]:
        self.statuses.append((yield self._ask))


CASES = [
    pytest.param(operation, place, id=f"{operation.name}-{place}")
    for operation, parts in PARTS.items()
    for place in range(len(parts) + 1)
]


@pytest.mark.parametrize("kind", ASKS)
@pytest.mark.parametrize(("operation", "place"), CASES)
def test_what_a_peer_asks_is_answered_and_no_response_is_lost(
    pacs: FakePacs, association: QueryAssociation, tmp_path: Path, operation: Operation, place: int, kind: str
) -> None:
    heard: list[EventReport] = []

    @association.event_report
    def take(event: EventReport) -> EventReport:
        heard.append(event)
        return event.taken()

    ask = ASKS[kind]
    interruption = Interruption(operation, ask, place)
    pacs.on_request(operation, *[Answer(interruption.steps)] * 3)
    for number in (1, 2, 3):
        DO[operation](association, tmp_path)
        # The fake hears no request while it waits for an answer.
        wait_until(lambda number=number: len(interruption.statuses) == number)
    echo(association, tmp_path)
    assert interruption.statuses == [0, 0, 0]
    if ask.operation is Operation.N_EVENT_REPORT:
        assert [(one.event_type_id, one.information) for one in heard] == [(2, ask.dataset)] * 3
