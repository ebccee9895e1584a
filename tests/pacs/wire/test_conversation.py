"""How a conversation ends early, against pynetdicom's own service class provider."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_FIND, DimseServiceType
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind, Verification  # type: ignore[attr-defined]

from gurney.pacs import (
    STUDY_ROOT,
    AssociationBusy,
    AssociationEnded,
    OperationFailed,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Timeouts,
)
from gurney.pacs.testing import Answer, Ask, FakePacs, Operation, Respond
from gurney.pacs.wire.dataset import encode_dataset

Answers = Iterator[tuple[int, Dataset | None]]
PATIENCE = Timeouts(connect=5, acse=0.5, store=5, find=5)


def match(number: int) -> Dataset:
    found = Dataset()
    found.StudyInstanceUID = f"1.2.{number}"
    return found


@contextmanager
def answering(handler: Callable[[evt.Event], Answers], timeouts: Timeouts = PATIENCE) -> Iterator[RemoteAE]:
    scp = AE("PEER")
    scp.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
    scp.add_supported_context(Verification)
    server = scp.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_FIND, handler)])
    try:
        yield RemoteAE("PEER", "127.0.0.1", server.server_address[1], timeouts)
    finally:
        server.shutdown()


def endless() -> tuple[Callable[[evt.Event], Answers], threading.Event]:
    """Make a handler that has matches until it is cancelled, and then sets the event."""
    cancelled = threading.Event()

    def until_cancelled(event: evt.Event) -> Answers:
        for number in range(1, 1000):
            if event.is_cancelled:
                cancelled.set()
                yield 0xFE00, None
                return
            yield 0xFF00, match(number)
            time.sleep(0.01)

    return until_cancelled, cancelled


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY", fast_path=fast_path)


@pytest.mark.seen("C-ECHO", "C-FIND, Study Root", "C-CANCEL of a C-FIND", at="pynetdicom")
def test_a_peer_that_heeds_a_cancel_ends_the_search_and_keeps_the_association(scu: QueryRetrieveScu) -> None:
    until_cancelled, cancelled = endless()
    with answering(until_cancelled) as remote, scu.associate_for(remote) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        list(search)
        assert search.status == 0xFE00
        assert not search.is_complete
        assert cancelled.is_set()
        assert association.verify().is_success


def test_a_search_that_is_left_is_cancelled(scu: QueryRetrieveScu) -> None:
    until_cancelled, cancelled = endless()
    with answering(until_cancelled) as remote, scu.associate_for(remote) as association:
        with association.find(Query()) as search:
            next(search)
        assert cancelled.is_set()
        assert association.verify().is_success


def test_a_peer_that_goes_on_all_the_same_is_aborted(scu: QueryRetrieveScu) -> None:
    ended = threading.Event()

    def for_ever(event: evt.Event) -> Answers:
        while not ended.is_set():
            yield 0xFF00, match(1)
            time.sleep(0.01)

    with answering(for_ever) as remote:
        association = scu.associate_for(remote)
        search = association.find(Query())
        next(search)
        association.cancel()
        list(search)  # ends without an error: it was cancelled
        ended.set()
        assert search.status is None
        assert not association.is_usable
        assert isinstance(association.failure, AssociationEnded)
        association.release()


def test_a_peer_that_aborts_on_a_cancel_has_cancelled(scu: QueryRetrieveScu) -> None:
    def aborts(event: evt.Event) -> Answers:
        yield 0xFF00, match(1)
        while not event.is_cancelled:
            time.sleep(0.01)
        event.assoc.abort()
        yield 0xFE00, None

    with answering(aborts) as remote:
        association = scu.associate_for(remote)
        search = association.find(Query())
        next(search)
        association.cancel()
        assert list(search) == []
        assert search.status is None
        assert not association.is_usable
        association.release()


def test_a_failure_is_raised_with_its_status_and_the_association_goes_on(scu: QueryRetrieveScu) -> None:
    def refuses(event: evt.Event) -> Answers:
        yield 0xA700, None

    with answering(refuses) as remote, scu.associate_for(remote) as association:
        with pytest.raises(OperationFailed, match="A700") as failed:
            list(association.find(Query()))
        assert failed.value.status == 0xA700
        assert association.verify().is_success


def test_nobody_else_may_ask_while_a_search_goes_on(scu: QueryRetrieveScu) -> None:
    def two(event: evt.Event) -> Answers:
        yield 0xFF00, match(1)
        yield 0xFF00, match(2)

    with answering(two) as remote, scu.associate_for(remote) as association:
        search = association.find(Query())
        next(search)
        with pytest.raises(AssociationBusy, match="busy"):
            association.verify()
        assert len(list(search)) == 1
        assert association.verify().is_success


def test_cancel_with_nothing_asked_does_nothing(scu: QueryRetrieveScu) -> None:
    def nothing(event: evt.Event) -> Answers:
        yield 0x0000, None

    with answering(nothing) as remote, scu.associate_for(remote) as association:
        association.cancel()
        assert association.verify().is_success


def test_who_answers_a_peer_may_fail_and_fail_again(scu: QueryRetrieveScu) -> None:
    def fails(_request: DimseServiceType, _context_id: int) -> bool:
        raise ZeroDivisionError

    request = C_FIND()
    request.AffectedSOPClassUID = STUDY_ROOT.find
    request.Priority = 0
    request.Identifier = BytesIO(encode_dataset(Query().identifier(), "1.2.840.10008.1.2.1"))
    with FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer([Ask(wait=False), Ask(wait=False), Respond()]))
        with scu.associate_for(pacs.remote(PATIENCE)) as association:
            with pytest.raises(ZeroDivisionError):
                list(association.converse(request, STUDY_ROOT.find, 5, serve=fails))
            assert not association.is_usable
            with pytest.raises(AssociationEnded):
                association.verify()
