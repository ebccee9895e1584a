"""A thousand associations that end in every way, and nothing stays behind."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time

from gurney.pacs import AssociationFailure, StoreAssociation, StoreScu, Timeouts
from gurney.pacs.testing import Break, FakePacs, How, InPlaceOfAccept, Reject, Respond, Stall, When
from gurney.pacs.testing.acts import AssociationAct, InstanceAct
from tests.pacs.conftest import CT_ONLY, MakeRequests

ROUNDS = 1000
AT_ONCE = 8

TIMEOUTS = Timeouts(connect=2, acse=0.2, store=0.2, network=1)

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
