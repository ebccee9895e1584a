"""What every association does, whatever its service: verify, release, abort; and no response is ever lost on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    Association,
    AssociationAborted,
    AssociationEnded,
    AssociationLost,
    ContextRefused,
    Query,
    QueryAssociation,
    Retrieval,
    Role,
    Scu,
    StoreScu,
    Timeouts,
)
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.events import Aborted, AfterClose, AfterRelease, BeforeClose
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.testing import (
    Break,
    FakePacs,
    Gate,
    How,
    Operation,
    Respond,
    Stall,
)
from tests.pacs.conftest import CT, CT_ONLY, WAYS, MakeRequests, query_scu, study_of

BOTH = [*CT_ONLY, VERIFICATION]
LONG = Timeouts(connect=2, acse=10, store=10, find=10, move=10, network=10)
STEP = "1.2.840.10008.3.1.2.3.3"


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=[study_of(number) for number in (1, 2, 3)]) as pacs:
        yield pacs


@pytest.fixture
def scu() -> Scu:
    return Scu("GURNEY")


def test_verify_needs_its_context(scu: Scu, pacs: FakePacs) -> None:
    with scu.associate(pacs.remote(), CT_ONLY) as association:
        with pytest.raises(ContextRefused, match="Verification"):
            association.verify()
        assert association.is_usable


def test_it_tells_what_was_accepted_and_what_was_not(scu: Scu, pacs: FakePacs) -> None:
    with scu.associate(pacs.remote(), BOTH) as association:
        assert [context.sop_class_uid for context in association.accepted] == [CT, VERIFICATION.sop_class_uid]
        assert association.accepts(CT, "1.2.840.10008.1.2.4.50") is None
        assert association.refusal(CT, "1.2.840.10008.1.2.4.50") is None


# --- The end ----------------------------------------------------------------------------------------------------------


def test_a_good_block_releases_and_tells_that_it_was_confirmed(scu: Scu, pacs: FakePacs) -> None:
    told: list[AfterRelease] = []
    scu.events.after_release_request(told.append)
    with scu.associate(pacs.remote(), BOTH) as association:
        pass
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]
    assert [event.confirmed for event in told] == [True]
    assert association.failure is None
    assert not association.is_usable


def test_a_release_that_nobody_confirms_is_told_so(scu: Scu, pacs: FakePacs) -> None:
    told: list[AfterRelease] = []
    scu.events.after_release_request(told.append)
    with scu.associate(pacs.remote(Timeouts(acse=0.3)), BOTH) as association:
        pacs.on_request(Operation.C_ECHO, Stall())
        with ThreadPoolExecutor(1) as worker:
            worker.submit(association.verify).exception(10)
        association.release()
    assert told == []  # a timeout has ended it: there was nothing to release
    pacs.wait_until_quiet()


def test_a_block_that_raises_aborts(scu: Scu, pacs: FakePacs) -> None:
    told: list[Aborted] = []
    scu.events.aborted(told.append)
    with pytest.raises(LookupError), scu.associate(pacs.remote(), BOTH):
        raise LookupError
    pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]
    assert [type(event.error) for event in told] == [AssociationEnded]


def test_that_a_connection_is_closed_is_told_last_and_nobody_can_prevent_it(scu: Scu, pacs: FakePacs) -> None:
    told: list[object] = []

    @scu.events.before_close
    def keep_it(event: BeforeClose) -> None:
        assert association.is_usable is False
        told.append(event)
        raise LookupError("it shall stay open")

    for hook in (scu.events.after_release_request, scu.events.aborted, scu.events.after_close):
        hook(told.append)
    with scu.associate(pacs.remote(), BOTH) as association:
        pass
    assert [type(event) for event in told] == [BeforeClose, AfterRelease, AfterClose]
    told.clear()
    with pytest.raises(LookupError, match="of the block"), scu.associate(pacs.remote(), BOTH) as association:
        raise LookupError("of the block")
    assert [type(event) for event in told] == [BeforeClose, Aborted, AfterClose]
    assert {getattr(event, "error") for event in told} == {association.failure}  # noqa: B009  (each type has it)
    pacs.wait_until_quiet()
    assert pacs.endings == ["released", "aborted"]


def test_a_generator_that_is_left_releases(scu: Scu, pacs: FakePacs) -> None:
    def steps() -> Iterator[bool]:
        with scu.associate(pacs.remote(), BOTH) as association:
            yield association.verify().is_success
            yield False

    walking = steps()
    assert next(walking)
    walking.close()  # type: ignore[attr-defined]
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


def test_it_is_of_no_use_after_its_end(scu: Scu, pacs: FakePacs) -> None:
    association = scu.associate(pacs.remote(), BOTH)
    association.release()
    association.release()
    association.abort()
    association.cancel()
    with pytest.raises(AssociationEnded):
        association.verify()
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


@pytest.mark.parametrize("end", [Association.abort, Association.cancel], ids=["abort", "cancel"])
def test_another_thread_ends_an_echo_that_waits(scu: Scu, pacs: FakePacs, end: Callable[[Association], None]) -> None:
    """A C-ECHO can't be cancelled: who wants it to stop ends the association."""
    gate = Gate()
    pacs.on_request(Operation.C_ECHO, Respond(gate=gate))
    with ThreadPoolExecutor(1) as worker, scu.associate(pacs.remote(LONG), BOTH) as association:
        waiting = worker.submit(association.verify)
        gate.wait_until_reached()
        end(association)
        assert isinstance(waiting.exception(5), AssociationEnded)
        assert isinstance(association.failure, AssociationEnded)
        gate.open()


def test_an_end_while_nothing_is_asked_is_known_before_anything_is(scu: Scu, pacs: FakePacs) -> None:
    for how, error in ((How.ABORT, AssociationAborted), (How.CLOSE, AssociationLost), (How.RESET, AssociationLost)):
        with scu.associate(pacs.remote(LONG), BOTH) as association:
            pacs.on_request(Operation.C_ECHO, Break(how))
            with pytest.raises(error):
                association.verify()
            with pytest.raises(error):
                association.verify()
            assert isinstance(association.failure, error)


# --- No response is lost ----------------------------------------------------------------------------------------------


def asks(association: QueryAssociation, folder: Path) -> list[Callable[[], object]]:
    """Make one request of each kind that this association can carry; each checks its own answer."""
    what = Retrieval(study_instance_uid="1.2.3.2")
    attributes = Dataset()
    attributes.Modality = "CT"

    def echo() -> None:
        assert association.verify().is_success

    def find() -> None:
        assert [match.value.accession_number for match in association.find(Query())] == ["A1", "A2", "A3"]

    def get() -> None:
        assert [received.sop_instance_uid for received in association.get(what, folder)] == ["1.2.3.2.1.1"]

    def set_step() -> None:
        result = NormalizedServices(association).n_set(STEP, "1.2.3.4", attributes)
        assert result.status == 0

    def leave() -> None:
        with association.find(Query()) as search:
            next(search)

    return [echo, find, get, set_step, leave]


@pytest.mark.parametrize("way", WAYS)
def test_requests_of_every_kind_take_turns_and_lose_nothing(pacs: FakePacs, tmp_path: Path, way: str) -> None:
    """Each pair follows each other: pynetdicom's reactor, let go after one, must not take the response of the next."""
    proposals = [
        VERIFICATION,
        ContextProposal(STEP, "1.2.840.10008.1.2.1"),
        ContextProposal("1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.1.2.1"),
        ContextProposal("1.2.840.10008.5.1.4.1.2.2.3", "1.2.840.10008.1.2.1"),
        *CT_ONLY,
    ]
    with query_scu(way).associate(pacs.remote(LONG), proposals, roles=[Role(CT, scu=False, scp=True)]) as association:
        kinds = asks(association, tmp_path)
        for _ in range(8):
            for first in kinds:
                for second in kinds:
                    first()
                    second()
        assert association.is_usable
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "plain"])
def test_stores_and_echoes_take_turns_and_lose_nothing(
    pacs: FakePacs, make_requests: MakeRequests, fast_path: bool
) -> None:
    requests = make_requests(2)
    with StoreScu(fast_path=fast_path).associate(pacs.remote(LONG), BOTH) as association:
        for _ in range(60):
            assert association.verify().is_success
            assert all(result.is_stored for result in association.store(requests))
            assert next(association.store(requests)).is_stored
            assert association.verify().is_success
    assert len(pacs.stored) == 60 * 3
