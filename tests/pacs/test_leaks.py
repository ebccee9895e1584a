"""Associations that end in every way, after every operation, and nothing stays behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.dataset import Dataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AssociationFailure,
    Listener,
    OperationFailed,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreAssociation,
    StoreScu,
    Timeouts,
)
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.testing import (
    Answer,
    Break,
    FakePacs,
    Find,
    How,
    InPlaceOfAccept,
    Operation,
    Reject,
    Respond,
    Send,
    Stall,
    When,
)
from gurney.pacs.testing.acts import AssociationAct, InstanceAct
from gurney.pacs.testing.answers import RequestAct
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, WAYS, MakeRequests, query_scu, study_of

ROUNDS = 1000
AT_ONCE = 8

TIMEOUTS = Timeouts(connect=2, acse=0.2, store=0.2, find=0.3, move=0.3, normalized=0.2, network=1)
STEP = "1.2.840.10008.3.1.2.3.3"

INSTANCE_ACTS: list[InstanceAct] = [
    Respond(),
    Respond(),
    Respond(0xA700),
    Respond(wrong_message_id=True),
    Break(How.ABORT, When.BEFORE),
    Break(How.ABORT, When.AFTER),
    Break(How.ABORT, When.ANSWERED),
    Break(How.RELEASE, When.ANSWERED),
    Break(How.CLOSE, When.MIDDLE),
    Break(How.RESET, When.AFTER),
    Break(How.RESET, When.ANSWERED),
    Stall(When.AFTER),
]
ASSOCIATION_ACTS: list[AssociationAct] = [
    Reject(2, 3, 1),
    Reject(1, 3, 0),
    InPlaceOfAccept.CLOSE,
    InPlaceOfAccept.RESET,
    InPlaceOfAccept.ABORT,
    InPlaceOfAccept.GARBAGE,
    InPlaceOfAccept.SILENCE,
    InPlaceOfAccept.HALF_AN_ANSWER,
]


def open_sockets() -> int:
    """Count our sockets and event descriptors."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            count += os.readlink(f"/proc/self/fd/{name}").startswith(("socket:", "anon_inode:[eventfd]"))
    return count


def settle(threads: int, sockets: int) -> None:
    """Wait for what is just ending."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and (threading.active_count() > threads or open_sockets() > sockets):
        time.sleep(0.05)


def test_a_thousand_associations_leave_no_thread_and_no_socket(make_requests: MakeRequests) -> None:
    requests = make_requests(3)
    numbers = itertools.count()
    ended: list[str] = []

    def use(association: StoreAssociation, number: int) -> None:
        if number % 5 == 0:
            threading.Timer(0.01, association.abort).start()
        for result in association.store(requests):
            if number % 7 == 0 and result.request.key == 2:
                break
        if number % 11 == 0:
            association.abort()

    def work() -> None:
        scus = StoreScu(), StoreScu(fast_path=False)
        while (number := next(numbers)) < ROUNDS:
            try:
                with scus[number % 2].associate(pacs.remote(TIMEOUTS), CT_ONLY) as association:
                    use(association, number)
                ended.append("released" if association.failure is None else "aborted")
            except AssociationFailure as failure:
                ended.append(type(failure).__name__)

    with FakePacs() as pacs:
        for number in range(1, ROUNDS, 4):
            pacs.on_association(number, ASSOCIATION_ACTS[number // 4 % len(ASSOCIATION_ACTS)])
        for number in range(1, 3 * ROUNDS, 3):
            pacs.on_instance(number, INSTANCE_ACTS[number // 3 % len(INSTANCE_ACTS)])
        threads, sockets = threading.active_count(), open_sockets()
        workers = [threading.Thread(target=work) for _ in range(AT_ONCE)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        pacs.wait_until_quiet(20)
        settle(threads, sockets)
        assert len(ended) == ROUNDS
        assert {
            "released",
            "aborted",
            "AssociationAborted",
            "AssociationLost",
            "AssociationRejected",
            "AcseTimeout",
        } < {*ended}
        assert {"ClosedAtRequest", "DimseTimeout", "BadResponse"} < {*ended}
        assert threading.active_count() <= threads, threading.enumerate()
        assert open_sockets() <= sockets


# --- Every other operation --------------------------------------------------------------------------------------------

ROUNDS_OF_EACH = 3
STUDY = study_of(1, size=20_000)
WHAT = Retrieval(study_instance_uid=str(STUDY.StudyInstanceUID))
FIND, GET, MOVE, ECHO, SET = (
    Operation.C_FIND,
    Operation.C_GET,
    Operation.C_MOVE,
    Operation.C_ECHO,
    Operation.N_SET,
)
ENDLESS = Find(repeat=1_000_000)
CUT = Send(STUDY, fragment=999, middle=Break(How.RESET))

Use = Callable[[QueryRetrieveScu, RemoteAE, Listener, Path], object]


def echo(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    return scu.verify(remote)


def find(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    return list(scu.find(remote, Query()))


def find_and_leave(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    with scu.find(remote, Query()) as search:
        return next(search)


def find_and_cancel(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    with scu.associate_for(remote) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        return list(search)


def find_and_abort(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    with scu.associate_for(remote) as association:
        search = association.find(Query())
        next(search)
        association.abort()
        return list(search)


def get(scu: QueryRetrieveScu, remote: RemoteAE, _: Listener, folder: Path) -> object:
    with scu.associate_to_get(remote, [CT]) as association:
        return list(association.get(WHAT, folder))


def move(scu: QueryRetrieveScu, remote: RemoteAE, listener: Listener, _: Path) -> object:
    with scu.associate_for(remote) as association:
        return list(association.move_to_self(WHAT, listener, grace=0.1))


def change(scu: QueryRetrieveScu, remote: RemoteAE, *_: object) -> object:
    with scu.associate(remote, [ContextProposal(STEP, EXPLICIT)]) as association:
        return NormalizedServices(association).n_set(STEP, "1.2.3", Dataset())


# What is asked, and what each answer to it is; None for an honest one.
CASES: list[tuple[Operation, Use, RequestAct | None]] = [
    *((ECHO, echo, act) for act in (None, Respond(None), Stall(), Break(How.ABORT), Break(How.CLOSE))),
    *((FIND, find, act) for act in (None, Respond(0xA700), Stall(), Break(How.RESET), Respond(wrong_message_id=True))),
    *((FIND, find, act) for act in (Respond(endless=b""), Find(each=Respond(0xFF00, middle=Break(How.RELEASE))))),
    *((FIND, find_and_leave, act) for act in (ENDLESS, replace(ENDLESS, on_cancel=Break(How.ABORT)))),
    *((FIND, find_and_cancel, act) for act in (ENDLESS, replace(ENDLESS, on_cancel=None))),
    (FIND, find_and_abort, ENDLESS),
    *((GET, get, act) for act in (None, Respond(0xA701), Answer((CUT,)), Answer((Send(STUDY), Stall())))),
    *((GET, get, act) for act in (Answer((Send(STUDY, sop_instance_uid="../x"), Respond())), Respond(None))),
    *((MOVE, move, act) for act in (None, Respond(0xA801), Answer((CUT, Respond(0xA702))), Break(How.ABORT))),
    *((SET, change, act) for act in (None, Respond(0x0110), Stall(), Break(How.RESET))),
]


@pytest.mark.parametrize("way", WAYS)
def test_no_operation_leaves_a_thread_or_a_socket_however_it_ends(way: str, tmp_path: Path) -> None:
    scu = query_scu(way)
    ended: list[str] = []

    def work(case: tuple[Operation, Use, RequestAct | None]) -> None:
        """Each with a PACS of its own: one script would be for all that come."""
        operation, use, act = case
        folder = tmp_path / str(threading.get_ident())
        folder.mkdir(exist_ok=True)
        with FakePacs(holdings=[STUDY]) as pacs, Listener("SELF", folder) as listener:
            pacs.know("SELF", listener.port)
            if act is not None:
                pacs.on_every(operation, act)
            for number in range(1, ROUNDS_OF_EACH + 2):
                if number > ROUNDS_OF_EACH:
                    pacs.always(Reject(2, 3, 2))
                try:
                    use(scu, pacs.remote(TIMEOUTS), listener, folder)
                    ended.append("good")
                except (AssociationFailure, OperationFailed) as failure:
                    ended.append(type(failure).__name__)
            pacs.wait_until_quiet(20)

    threads, sockets = threading.active_count(), open_sockets()
    with ThreadPoolExecutor(AT_ONCE) as workers:
        for job in [workers.submit(work, case) for case in CASES]:
            job.result()
    settle(threads, sockets)
    assert len(ended) == len(CASES) * (ROUNDS_OF_EACH + 1)
    assert {"good", "AssociationRejected", "DimseTimeout", "BadResponse", "OperationFailed"} < {*ended}
    assert threading.active_count() <= threads, threading.enumerate()
    assert open_sockets() <= sockets
