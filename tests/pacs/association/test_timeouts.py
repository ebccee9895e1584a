"""Each timeout of a remote AE ends its own wait: all others are an hour, so that no other can have."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AcseTimeout,
    AssociationEnded,
    ConnectFailed,
    DimseTimeout,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    Scu,
    StoreScu,
    Timeouts,
)
from gurney.pacs.association.scu import VERIFICATION
from gurney.pacs.events import AfterRelease
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.testing import Accept, Answer, FakePacs, InPlaceOfAccept, Operation, Respond, Send, Stall, When
from gurney.pacs.testing import Ask as FakeAsk
from tests.pacs.conftest import CT, CT_ONLY, WAYS, MakeRequests, query_scu, study_of
from tests.services import wait_until

HOUR = Timeouts(connect=3600, acse=3600, store=3600, find=3600, move=3600, normalized=3600, network=3600)
STEP = "1.2.840.10008.3.1.2.3.3"
STUDY = Retrieval(study_instance_uid="1.2.3.1")

pytestmark = pytest.mark.timeout(30)


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


def only(pacs: FakePacs, name: str) -> RemoteAE:
    return pacs.remote(replace(HOUR, **{name: 0.3}))


@contextmanager
def black_hole() -> Iterator[int]:
    """Listen and take nobody: once the backlog is full, Linux drops what else would connect."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def test_connect_is_for_the_connection() -> None:
    with black_hole() as port:
        remote = RemoteAE("HOLE", "127.0.0.1", port, replace(HOUR, connect=0.3))
        with pytest.raises(ConnectFailed, match="timed out"):
            Scu().associate(remote, [VERIFICATION])


@pytest.mark.parametrize("act", [InPlaceOfAccept.SILENCE, InPlaceOfAccept.HALF_AN_ANSWER], ids=lambda act: act.name)
def test_acse_is_for_the_answer_to_an_association_request(pacs: FakePacs, act: InPlaceOfAccept) -> None:
    pacs.on_association(1, act)
    # Half an answer is a PDU that does not go on, which is the network timeout's as well.
    remote = pacs.remote(replace(HOUR, acse=0.3, network=0.3))
    with pytest.raises(AcseTimeout):
        Scu().associate(remote, [VERIFICATION])


def test_acse_is_for_the_answer_to_a_release(pacs: FakePacs) -> None:
    pacs.always(Accept(release=Stall()))
    scu, told = Scu(), list[AfterRelease]()
    scu.events.after_release_request(told.append)
    scu.associate(only(pacs, "acse"), [VERIFICATION]).release()
    assert [event.confirmed for event in told] == [False]
    pacs.wait_until_quiet()


def test_acse_is_for_the_answer_to_an_echo(pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_ECHO, Stall())
    with Scu().associate(only(pacs, "acse"), [VERIFICATION]) as association, pytest.raises(DimseTimeout):
        association.verify()


@pytest.mark.parametrize("fast_path", [True, False], ids=["fast", "plain"])
@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
def test_store_is_for_the_bytes_of_an_instance_and_its_response(
    pacs: FakePacs, make_requests: MakeRequests, fast_path: bool, when: When
) -> None:
    pacs.on_instance(1, Stall(when))
    requests = make_requests(1, size=12_000_000 if when is When.BEFORE else 1000)
    scu = StoreScu(fast_path=fast_path)
    with scu.associate(only(pacs, "store"), CT_ONLY) as association, pytest.raises(DimseTimeout):
        list(association.store(requests))


Ask = Callable[[QueryRetrieveScu, RemoteAE, Path], object]


def finding(scu: QueryRetrieveScu, remote: RemoteAE, _: Path) -> object:
    with scu.associate_for(remote) as association:
        return list(association.find(Query()))


def moving(scu: QueryRetrieveScu, remote: RemoteAE, _: Path) -> object:
    with scu.associate_for(remote) as association:
        return list(association.move(STUDY, "SOMEBODY"))


def getting(scu: QueryRetrieveScu, remote: RemoteAE, folder: Path) -> object:
    with scu.associate_to_get(remote, [CT]) as association:
        return list(association.get(STUDY, folder))


def changing(scu: QueryRetrieveScu, remote: RemoteAE, _: Path) -> object:
    with scu.associate(remote, [ContextProposal(STEP, "1.2.840.10008.1.2.1")]) as association:
        return NormalizedServices(association).n_set(STEP, "1.2.3", Dataset())


@pytest.mark.parametrize(
    ("name", "operation", "ask", "first"),
    [
        ("normalized", Operation.N_SET, changing, FakeAsk()),
        ("find", Operation.C_FIND, finding, Respond(0xFF00, dataset=study_of(1))),
        ("move", Operation.C_MOVE, moving, Respond(0xFF00)),
        ("move", Operation.C_GET, getting, Send(study_of(1))),
    ],
    ids=["set", "find", "move", "get"],
)
@pytest.mark.parametrize("begins", [False, True], ids=["says-nothing", "says-something"])
def test_each_operation_has_its_own(
    scu: QueryRetrieveScu,
    pacs: FakePacs,
    tmp_path: Path,
    name: str,
    operation: Operation,
    ask: Ask,
    first: Respond | Send | FakeAsk,
    begins: bool,
) -> None:
    pacs.on_request(operation, Answer((first, Stall()) if begins else (Stall(),)))
    with pytest.raises(DimseTimeout):
        ask(scu, only(pacs, name), tmp_path)
    pacs.wait_until_quiet()


def test_what_moves_is_waited_for(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    """More than the timeout in all, never so much without a match."""
    slow = [Respond(0xFF00, dataset=study_of(1), delay=0.1) for _ in range(8)]
    pacs.on_request(Operation.C_FIND, Answer((*slow, Respond())))
    with scu.associate_for(pacs.remote(replace(HOUR, find=0.5))) as association:
        assert len(list(association.find(Query()))) == 8


def test_network_is_for_an_association_on_which_nothing_happens(pacs: FakePacs) -> None:
    with Scu().associate(only(pacs, "network"), [VERIFICATION]) as association:
        wait_until(lambda: not association.is_usable, what="the idle association to end")
        with pytest.raises(AssociationEnded, match=r"nothing happened for 0\.3 s \(timeouts\.network\)"):
            association.verify()
    pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]
