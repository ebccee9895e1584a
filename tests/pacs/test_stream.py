"""What becomes of a stream that another thread cancels, at each time of its life; both ways on the wire."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest
from pynetdicom.dimse_primitives import C_FIND

from gurney.pacs import (
    STUDY_ROOT,
    AssociationBusy,
    AssociationEnded,
    Cancellation,
    ClosedAtRequest,
    Listener,
    Moving,
    Query,
    QueryAssociation,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    Retrieving,
    Search,
    Timeouts,
    Verdict,
)
from gurney.pacs.testing import (
    Accept,
    Answer,
    Break,
    Counts,
    FakePacs,
    Find,
    Gate,
    How,
    InPlaceOfAccept,
    Operation,
    Request,
    Respond,
    Send,
    Stall,
)
from gurney.pacs.testing.answers import Step
from gurney.pacs.wire.dataset import encode_dataset
from tests.pacs.conftest import CT, WAYS, query_scu, study_of
from tests.services.waiting import wait_until

LONG = Timeouts(connect=2, acse=10, store=10, find=10, move=10, network=10)
IMPATIENT = Timeouts(connect=2, acse=0.3, store=10, find=10, move=10, network=10)
STUDIES = [study_of(number) for number in range(1, 4)]
WHAT = Retrieval(study_instance_uid="1.2.3.1")
CANCELLED = 0xFE00

AnyStream = Search[Query] | Moving | Retrieving
Start = Callable[[QueryRetrieveScu, RemoteAE], AnyStream]


@dataclass(frozen=True)
class Desk:
    """A peer, a folder and a listener, and how each kind of stream is had from them."""

    pacs: FakePacs
    folder: Path
    listener: Listener

    def start(self, kind: str) -> Start:
        starts: dict[str, Start] = {
            "find": lambda scu, remote: scu.find(remote, Query()),
            "move": lambda scu, remote: scu.move(remote, WHAT, "SELF"),
            "move_to_self": lambda scu, remote: scu.move_to_self(remote, WHAT, self.listener),
            "get": lambda scu, remote: scu.get(remote, WHAT, self.folder, [CT]),
        }
        return starts[kind]


KINDS = ["find", "move", "move_to_self", "get"]


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with FakePacs(holdings=STUDIES) as pacs, Listener("SELF", tmp_path) as listener:
        pacs.know("SELF", listener.port)
        yield Desk(pacs, tmp_path, listener)


def for_ever(operation: str, on_cancel: Respond | Break | Stall | None) -> Answer:
    """Answer with one piece of what the operation yields, over and over."""

    def steps(_: Request) -> Iterator[Step]:
        while True:
            if operation in ("get", "move_to_self"):
                yield Send(STUDIES[0])
            yield Respond(0xFF00, dataset=STUDIES[0] if operation == "find" else None, counts=Counts(1, 1, 0, 0))

    return Answer(steps, on_cancel=on_cancel)


def script(desk: Desk, kind: str, on_cancel: Respond | Break | Stall | None = Respond(CANCELLED)) -> None:  # noqa: B008  (frozen)
    operations = {"find": Operation.C_FIND, "get": Operation.C_GET}
    desk.pacs.on_request(operations.get(kind, Operation.C_MOVE), for_ever(kind, on_cancel))


def status_of(stream: AnyStream) -> int | None:
    if isinstance(stream, Search):
        return stream.status
    return stream.progress.status if stream.progress is not None else None


# --- Before it begins -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_has_not_begun_asks_nothing(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    stream = desk.start(kind)(scu, desk.pacs.remote(LONG))
    stream.cancel()
    stream.cancel()
    assert stream.is_cancelled
    assert list(stream) == []
    assert (stream.is_cancelled, status_of(stream), desk.pacs.associations) == (True, None, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_asked_on_an_association_that_comes_too_late(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    gate = Gate()
    desk.pacs.on_association(1, Accept(gate=gate))
    stream = desk.start(kind)(scu, desk.pacs.remote(LONG))
    with ThreadPoolExecutor(1) as other:
        taken = other.submit(list[object], stream)
        gate.wait_until_reached()
        stream.cancel()
        gate.open()
        assert taken.result() == []
    desk.pacs.wait_until_quiet()
    assert (stream.is_cancelled, status_of(stream)) == (True, None)
    assert (desk.pacs.requests, desk.pacs.endings) == ([], ["released"])


def test_that_no_association_comes_about_is_nobody_s_news_any_more(scu: QueryRetrieveScu, desk: Desk) -> None:
    desk.pacs.on_association(1, InPlaceOfAccept.CLOSE)
    desk.pacs.on_association(2, InPlaceOfAccept.CLOSE)
    with pytest.raises(ClosedAtRequest):
        list(scu.find(desk.pacs.remote(LONG), Query()))
    search = scu.find(desk.pacs.remote(LONG), Query())
    scu.events.before_associate_request(lambda _: search.cancel())
    assert list(search) == []
    assert search.is_cancelled


# --- While it goes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_another_thread_ends_one_that_goes(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    script(desk, kind)
    stream, begun = desk.start(kind)(scu, desk.pacs.remote(LONG)), threading.Event()

    def take() -> int:
        taken = 0
        for _ in stream:
            taken += 1
            begun.set()
        return taken

    with ThreadPoolExecutor(1) as other:
        taken = other.submit(take)
        assert begun.wait(10)
        stream.cancel()
        stream.cancel()
        assert taken.result() >= 1
    desk.pacs.wait_until_quiet()
    assert (stream.is_cancelled, status_of(stream)) == (True, CANCELLED)
    desk.pacs.wait_until_quiet()
    assert (desk.pacs.cancels, desk.pacs.endings) == (1, ["released"])
    if isinstance(stream, Search):
        assert not stream.is_complete


@pytest.mark.parametrize("kind", ["find", "move", "move_to_self"])
def test_the_peer_hears_of_it_while_nobody_takes_the_next_piece(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    """Whoever iterates may do other things for long, and a C-MOVE would go on moving all the while.

    A C-GET stands still by itself: its next instance is not answered.
    """
    script(desk, kind)
    stream = desk.start(kind)(scu, desk.pacs.remote(LONG))
    next(stream)
    stream.cancel()
    wait_until(lambda: desk.pacs.cancels == 1, what="the C-CANCEL")
    list(stream)
    assert (stream.is_cancelled, status_of(stream)) == (True, CANCELLED)
    desk.pacs.wait_until_quiet()
    desk.pacs.wait_until_quiet()
    assert (desk.pacs.cancels, desk.pacs.endings) == (1, ["released"])


@pytest.mark.parametrize("on_cancel", [None, Stall(), Break(How.ABORT)], ids=["goes on", "silence", "abort"])
@pytest.mark.parametrize("kind", KINDS)
def test_one_whose_peer_does_not_heed_it_ends_all_the_same(
    scu: QueryRetrieveScu, desk: Desk, kind: str, on_cancel: Break | Stall | None
) -> None:
    script(desk, kind, on_cancel)
    stream = desk.start(kind)(scu, desk.pacs.remote(IMPATIENT))
    next(stream)
    stream.cancel()
    list(stream)
    assert (stream.is_cancelled, status_of(stream) in (None, 0xFF00)) == (True, True)
    desk.pacs.wait_until_quiet()


def test_matches_that_come_later_are_nobody_s(scu: QueryRetrieveScu, desk: Desk) -> None:
    desk.pacs.on_request(Operation.C_FIND, Find(repeat=1000, on_cancel=None))
    search = scu.find(desk.pacs.remote(LONG), Query())
    next(search)
    search.cancel()
    assert list(search) == []
    assert (search.count, search.is_cancelled, search.is_complete) == (1, True, False)


@pytest.mark.parametrize("kind", ["get", "move_to_self"])
def test_the_instances_that_came_are_told_of(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    """Whatever lies in the folder was given out."""

    second = study_of(1)
    second.SOPInstanceUID = "1.2.3.1.1.2"
    reported, at_the_end = Respond(0xFF00, counts=Counts(2, 1)), Respond(CANCELLED, counts=Counts(None, 2))
    operation = Operation.C_GET if kind == "get" else Operation.C_MOVE
    desk.pacs.on_request(operation, Answer((Send(STUDIES[0]), reported, Send(second), at_the_end), on_cancel=None))
    stream = desk.start(kind)(scu, desk.pacs.remote(LONG))
    scu.events.after_c_get(lambda _: stream.cancel())
    scu.events.after_c_move(lambda _: stream.cancel())
    assert isinstance(stream, Retrieving)
    got = {received.sop_instance_uid for received in stream}
    assert got == {"1.2.3.1.1.1", "1.2.3.1.1.2"} == {path.stem for path in desk.folder.iterdir()}
    assert (stream.is_cancelled, status_of(stream)) == (True, CANCELLED)


def test_nobody_waits_any_more_for_what_the_peer_says_that_it_has_sent(scu: QueryRetrieveScu, desk: Desk) -> None:
    steps = (Send(STUDIES[0]), Respond(counts=Counts(0, 5, 0, 0)))
    desk.pacs.on_request(Operation.C_MOVE, Answer(steps))
    with scu.associate_for(desk.pacs.remote(LONG)) as association:
        stream = association.move_to_self(WHAT, desk.listener, grace=1000)
        next(stream)
        with ThreadPoolExecutor(1) as other:
            taken = other.submit(list[object], stream)
            stream.cancel()
            assert taken.result() == []
        assert association.verify().is_success
    assert stream.is_cancelled


# --- After its end ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_over_can_not_be_cancelled(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    stream = desk.start(kind)(scu, desk.pacs.remote(LONG))
    list(stream)
    stream.cancel()
    assert (stream.is_cancelled, status_of(stream)) == (False, 0x0000)
    if isinstance(stream, Search):
        assert stream.is_complete
    desk.pacs.wait_until_quiet()
    assert (desk.pacs.cancels, desk.pacs.endings) == (0, ["released"])


@pytest.mark.parametrize("end", ["taken", "closed", "never begun"])
def test_what_is_asked_next_on_the_same_association_is_not_meant(scu: QueryRetrieveScu, desk: Desk, end: str) -> None:
    with scu.associate_for(desk.pacs.remote(LONG)) as association:
        first = association.find(Query())
        if end == "taken":
            list(first)
        elif end == "closed":
            next(first)
        first.close()
        second = association.find(Query())
        next(second)
        first.cancel()
        assert len(list(second)) == 2
    assert (first.is_cancelled, second.is_cancelled, second.is_complete) == (False, False, True)


def test_the_association_s_own_cancel_is_told_of_as_well(scu: QueryRetrieveScu, desk: Desk) -> None:
    script(desk, "find")
    with scu.associate_for(desk.pacs.remote(LONG)) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        list(search)
    assert (search.is_cancelled, search.status) == (True, CANCELLED)


def test_closing_what_another_thread_iterates_over_is_refused(scu: QueryRetrieveScu, desk: Desk) -> None:
    gate = Gate()
    desk.pacs.on_request(Operation.C_FIND, Respond(gate=gate))
    search = scu.find(desk.pacs.remote(LONG), Query())
    with ThreadPoolExecutor(1) as other:
        taken = other.submit(list[object], search)
        gate.wait_until_reached()
        with pytest.raises(AssociationBusy, match="cancel it"):
            search.close()
        gate.open()
        assert taken.result() == []
    assert not search.is_cancelled


# --- Left half iterated on an association of one's own ----------------------------------------------------------------


def begin(association: QueryAssociation, desk: Desk, kind: str) -> AnyStream:
    """Begin to iterate on an association, and leave it with the first piece."""
    streams: dict[str, Callable[[], AnyStream]] = {
        "find": lambda: association.find(Query()),
        "move": lambda: association.move(WHAT, "SELF"),
        "move_to_self": lambda: association.move_to_self(WHAT, desk.listener),
        "get": lambda: association.get(WHAT, desk.folder),
    }
    stream = streams[kind]()
    for _ in stream:
        break
    return stream


def associate(scu: QueryRetrieveScu, remote: RemoteAE, kind: str) -> QueryAssociation:
    return scu.associate_to_get(remote, [CT]) if kind == "get" else scu.associate_for(remote)


def assert_whole(folder: Path, kind: str) -> None:
    """What a C-MOVE brings comes on an association of its own, which may go on."""
    if kind == "move_to_self":
        return
    assert {path.name for path in folder.iterdir()} <= {f"{study.SOPInstanceUID}.dcm" for study in STUDIES}


@pytest.mark.parametrize("kind", KINDS)
def test_leaving_the_association_cancels_it(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    script(desk, kind)
    with associate(scu, desk.pacs.remote(LONG), kind) as association:
        stream = begin(association, desk, kind)
    desk.pacs.wait_until_quiet()
    assert (desk.pacs.cancels, desk.pacs.endings) == (1, ["released"])
    assert stream.is_cancelled
    assert list(stream) == []
    assert_whole(desk.folder, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_leaving_aborts_a_peer_that_goes_on(scu: QueryRetrieveScu, desk: Desk, kind: str) -> None:
    script(desk, kind, on_cancel=None)
    with associate(scu, desk.pacs.remote(IMPATIENT), kind) as association:
        stream = begin(association, desk, kind)
    desk.pacs.wait_until_quiet()
    # What it sends into a connection that we have closed makes a reset, which may overtake the A-ABORT.
    assert desk.pacs.endings in (["aborted"], ["lost"])
    assert list(stream) == []
    assert_whole(desk.folder, kind)


@pytest.mark.parametrize("how", ["abort", "error", "reset"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_association_that_ends_otherwise_ends_it(scu: QueryRetrieveScu, desk: Desk, kind: str, how: str) -> None:
    script(desk, kind)
    with suppress(LookupError), associate(scu, desk.pacs.remote(LONG), kind) as association:
        stream = begin(association, desk, kind)
        if how == "abort":
            association.abort()
        elif how == "error":
            raise LookupError
        else:
            desk.pacs.stop()
    assert not association.is_usable
    assert list(stream) == []
    assert_whole(desk.folder, kind)


def test_one_that_was_never_begun_does_not_pretend_to_have_found_nothing(scu: QueryRetrieveScu, desk: Desk) -> None:
    with scu.associate_for(desk.pacs.remote(LONG)) as association:
        search = association.find(Query())
    with pytest.raises(AssociationEnded):
        list(search)


def test_what_was_asked_by_hand_is_ended_as_well(scu: QueryRetrieveScu, desk: Desk) -> None:
    script(desk, "find")
    request = C_FIND()
    request.AffectedSOPClassUID = STUDY_ROOT.find
    request.Identifier = BytesIO(encode_dataset(Query().identifier(), "1.2.840.10008.1.2.1"))
    with scu.associate_for(desk.pacs.remote(LONG)) as association:
        responses = association.converse(request, STUDY_ROOT.find, 5)
        next(responses)
    desk.pacs.wait_until_quiet()
    assert (desk.pacs.cancels, desk.pacs.endings) == (1, ["released"])
    assert list(responses) == []


# --- Of several questions ---------------------------------------------------------------------------------------------


def test_a_get_that_is_cancelled_while_it_takes_its_inventory_gets_nothing(scu: QueryRetrieveScu, desk: Desk) -> None:
    arrivals = scu.get(desk.pacs.remote(LONG), WHAT, desk.folder)
    scu.events.after_c_find(lambda _: arrivals.cancel())
    assert list(arrivals) == []
    assert (arrivals.is_cancelled, arrivals.reconciliation.verdict) == (True, Verdict.UNPROVEN)
    assert [request.operation for request in desk.pacs.requests] == [Operation.C_FIND]
    assert desk.pacs.associations == 1


@pytest.mark.parametrize("when", ["before", "while it is asked what there is", "as it comes"])
@pytest.mark.parametrize("to", ["folder", "listener"])
def test_a_retrieve_ends_at_somebody_s_wish(scu: QueryRetrieveScu, desk: Desk, when: str, to: str) -> None:
    cancellation = Cancellation()
    for kind in ("get", "move"):
        script(desk, kind)
    if when == "before":
        cancellation.cancel()
    elif when == "as it comes":
        scu.events.after_c_get(lambda _: cancellation.cancel())
        scu.events.after_c_move(lambda _: cancellation.cancel())
    else:
        scu.events.before_c_find(lambda _: cancellation.cancel())
    place = desk.folder if to == "folder" else desk.listener
    result = scu.retrieve(desk.pacs.remote(LONG), WHAT, place, cancellation=cancellation)
    assert result.is_cancelled
    assert result.error is None
    if when == "as it comes":
        assert result.progress is not None
        assert result.progress.status == CANCELLED
    else:
        assert (result.verdict, result.progress) == (Verdict.UNPROVEN, None)
        assert [request.operation for request in desk.pacs.requests] == []
    assert desk.pacs.associations == {"before": 0, "as it comes": 2}.get(when, 1)


def test_a_retrieve_that_nobody_cancels_says_so(scu: QueryRetrieveScu, desk: Desk) -> None:
    cancellation = Cancellation()
    result = scu.retrieve(desk.pacs.remote(LONG), WHAT, desk.folder, cancellation=cancellation)
    cancellation.cancel()
    assert (result.is_cancelled, result.verdict) == (False, Verdict.COMPLETE)
