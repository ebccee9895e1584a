"""What a peer may do in the middle of an association, and what is told of it; on both ways alike."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import (
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    BadResponse,
    DimseTimeout,
    FileSignature,
    StoreAssociation,
    StoreRequest,
    StoreResult,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import Accept, Break, FakePacs, Garbage, How, Respond, Stall, When
from gurney.pacs.testing.acts import InstanceAct
from gurney.pacs.wire.carriers import FastCarrier
from gurney.transfer.outcomes import EventKind
from tests.pacs.conftest import CT_ONLY, EXPLICIT, MR, MakeRequests, digest, take
from tests.services import wait_until

SHORT = Timeouts(connect=2, acse=1, store=0.4, network=2)


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def scu(request: pytest.FixtureRequest) -> StoreScu:
    return StoreScu(fast_path=request.param)


def run(
    scu: StoreScu, pacs: FakePacs, requests: list[StoreRequest], timeouts: Timeouts = SHORT
) -> tuple[list[StoreResult], AssociationFailure | None]:
    """Store and return the results and what was raised."""
    with scu.associate(pacs.remote(timeouts), CT_ONLY) as association:
        results, failure = take(association.store(requests))
        assert association.is_usable == (failure is None)
        assert association.failure is failure
    return results, failure


# --- Good answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 999, 16378, 131066, 131067, 300_001, 3_000_000])
@pytest.mark.parametrize("head", [0, 333])
def test_the_bytes_arrive_as_they_lie_in_the_file(
    scu: StoreScu, make_requests: MakeRequests, size: int, head: int
) -> None:
    requests = make_requests(3, size=size, head=head)
    with FakePacs() as pacs:
        results, _ = run(scu, pacs, requests, Timeouts(store=5))
    assert [result.bytes_sent for result in results] == [size] * 3
    assert [stored.digest for stored in pacs.stored] == [digest(request) for request in requests]
    assert [result.request.key for result in results] == [1, 2, 3]
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


@pytest.mark.parametrize("max_pdu", [8, 9, 13, 100, 128, 4097, 16384, 131072, 0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_any_limit_of_the_peer_is_kept(scu: StoreScu, make_requests: MakeRequests, max_pdu: int) -> None:
    requests = make_requests(2, size=3001 if max_pdu < 100 else 700_001)
    with FakePacs(association=Accept(max_pdu=max_pdu)) as pacs:
        results, _ = run(scu, pacs, requests, Timeouts(store=10))
    assert [stored.digest for stored in pacs.stored] == [digest(request) for request in requests]
    assert all(result.is_stored for result in results)
    if max_pdu:
        assert pacs.longest_pdu <= max_pdu


@pytest.mark.parametrize(
    "respond",
    [
        Respond(pdvs=3),
        Respond(pdvs=5, one_pdu=True),
        Respond(drip=0.0005),
        Respond(delay=0.2),
        Respond(ask_first=True),
    ],
    ids=lambda respond: repr(respond)[:40],
)
def test_an_odd_but_good_response(scu: StoreScu, make_requests: MakeRequests, respond: Respond) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(2, respond)
        results, failure = run(scu, pacs, make_requests(4))
    assert failure is None
    assert [result.status for result in results] == [0, 0, 0, 0]
    assert len(pacs.stored) == 4


@pytest.mark.parametrize("status", [0x0000, 0x0001, 0x0107, 0x0116, 0xB000, 0xB006, 0xB007, 0xBFFF])
def test_success_and_warnings_are_stored(scu: StoreScu, make_requests: MakeRequests, status: int) -> None:
    with FakePacs(instance=Respond(status, comment="coerced")) as pacs:
        ((result,), _) = run(scu, pacs, make_requests(1))
    assert result.is_stored
    assert (result.status, result.comment, result.event.status) == (status, "coerced", status)


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC000, 0x0110, 0x0111, 0x0122, 0x0124, 0x0210, 0xFE00, 0xFF00])
def test_failures_keep_their_details_and_the_association(
    scu: StoreScu, make_requests: MakeRequests, status: int
) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(2, Respond(status, comment="no room", offending_elements=(0x00100020,)))
        results, failure = run(scu, pacs, make_requests(3))
    assert failure is None
    assert [result.status for result in results] == [0, status, 0]
    assert not results[1].is_stored
    assert (results[1].comment, results[1].offending_elements) == ("no room", (0x00100020,))
    assert (results[1].event.kind, results[1].event.comment) == (EventKind.RESPONSE, "no room")


def test_message_ids_go_round(make_requests: MakeRequests) -> None:
    (request,) = make_requests(1)
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        association._message_id = 65533
        assert all(result.is_stored for result in association.store([request] * 5))
        assert association._message_id == 3


# --- Failures ---------------------------------------------------------------------------------------------------------


def check_failure(
    scu: StoreScu, requests: list[StoreRequest], act: InstanceAct, error: type[AssociationFailure], kind: EventKind
) -> None:
    """The third of five meets its fate: two are stored, the third in flight, the fourth only a neighbour."""
    with FakePacs() as pacs:
        pacs.on_instance(3, act)
        results, failure = run(scu, pacs, requests)
        assert isinstance(failure, error)
        assert (failure.event.kind, failure.event.in_flight) == (kind, False)
        assert [result.status for result in results] == [0, 0, None, None]
        assert (results[2].event.kind, results[2].event.in_flight) == (kind, True)
        assert results[3].event.kind is EventKind.NEIGHBOUR
        assert [stored.sop_instance_uid for stored in pacs.stored] == ["1.2.3.1", "1.2.3.2"]


@pytest.mark.parametrize(
    "act",
    [
        Respond(wrong_message_id=True),
        Respond(wrong_context_id=True),
        Respond(status=None),
        Garbage(b"\x09\x00\x00\x00\x00\x04spam"),
        Garbage(b"\x04\x00\x00\x00\x00\x10" + b"\xff" * 16),
        Garbage(b"\x04\x00\xff\xff\xff\xf0"),
        Garbage(b"HTTP/1.1 500 Oops\r\n\r\n"),
    ],
    ids=lambda act: repr(act)[:60],
)
def test_an_answer_to_nothing_we_asked_is_never_success(
    scu: StoreScu, make_requests: MakeRequests, act: InstanceAct
) -> None:
    check_failure(scu, make_requests(5), act, BadResponse, EventKind.BAD_RESPONSE)


@pytest.mark.parametrize("when", [When.BEFORE, When.MIDDLE, When.AFTER])
@pytest.mark.parametrize(
    ("how", "error", "kind"),
    [
        (How.ABORT, AssociationAborted, EventKind.ABORTED),
        (How.RELEASE, AssociationLost, EventKind.RESET),
        (How.CLOSE, AssociationLost, EventKind.RESET),
        (How.RESET, AssociationLost, EventKind.RESET),
    ],
)
@pytest.mark.parametrize("size", [1000, 1_500_000])
def test_a_peer_that_ends_the_association_fails_the_instance_in_flight(
    scu: StoreScu,
    make_requests: MakeRequests,
    how: How,
    when: When,
    error: type[AssociationFailure],
    kind: EventKind,
    size: int,
) -> None:
    if size > 1000 and when is not When.AFTER and how is How.ABORT:
        # The peer closes with our bytes unread, so that its kernel may send a reset after the A-ABORT.
        error, kind = AssociationFailure, EventKind.ABORTED
        with FakePacs() as pacs:
            pacs.on_instance(3, Break(how, when))
            results, failure = run(scu, pacs, make_requests(5, size=size))
            assert failure is not None
            assert failure.event.kind in (EventKind.ABORTED, EventKind.RESET)
            assert [result.status for result in results] == [0, 0, None, None][: len(results)]
        return
    with FakePacs() as pacs:
        pacs.on_instance(3, Break(how, when))
        results, failure = run(scu, pacs, make_requests(5, size=size))
    assert isinstance(failure, error)
    assert [result.status for result in results[:3]] == [0, 0, None]
    assert (results[2].event.kind, results[2].event.in_flight) == (kind, True)
    assert all(result.event.kind is EventKind.NEIGHBOUR for result in results[3:])


def test_an_abort_tells_its_source_and_reason(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs(instance=Break(How.ABORT, When.AFTER, source=2, reason=6)) as pacs:
        _, failure = run(scu, pacs, make_requests(1))
    assert isinstance(failure, AssociationAborted)
    assert (failure.event.source, failure.event.reason) == (2, 6)
    assert "association layer: invalid PDU parameter value" in str(failure)


def test_an_abort_while_we_send_a_large_instance_is_heard(make_requests: MakeRequests) -> None:
    """The peer aborts, goes on reading nothing and stays: our bytes fill its window, its A-ABORT lies in ours."""
    (request,) = make_requests(1, size=30_000_000)
    with FakePacs(instance=Break(How.ABORT_AND_STAY, When.MIDDLE)) as pacs:
        begun = time.monotonic()
        _, failure = run(StoreScu(), pacs, [request], Timeouts(store=20))
    assert isinstance(failure, AssociationAborted)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("how", list(How))
def test_an_end_right_behind_a_response_blames_no_instance(
    scu: StoreScu, make_requests: MakeRequests, how: How
) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(3, Break(how, When.ANSWERED))
        with scu.associate(pacs.remote(SHORT), CT_ONLY) as association:
            running = association.store(make_requests(5))
            results = [next(running) for _ in range(3)]
            wait_until(lambda: has_ended(association), timeout=5)
            rest, failure = take(running)
    assert failure is not None
    results += rest
    assert [result.status for result in results] == [0, 0, 0, None]
    assert results[3].event.kind is EventKind.NEIGHBOUR
    assert len(pacs.stored) == 3


def has_ended(association: StoreAssociation) -> bool:
    """Tell whether the end has been seen, or lies unread because the wire is lent."""
    if not association.is_usable:
        return True
    carrier = association._carrier
    if not isinstance(carrier, FastCarrier):
        return False
    return carrier._wire._reader.has_unread or association._assoc.wire.has_input()


def test_an_end_behind_the_last_response_is_no_failure(scu: StoreScu, make_requests: MakeRequests) -> None:
    for how in How:
        with FakePacs() as pacs:
            pacs.on_instance(2, Break(how, When.ANSWERED))
            with scu.associate(pacs.remote(SHORT), CT_ONLY) as association:
                results, failure = take(association.store(make_requests(2)))
        assert failure is None
        assert [result.status for result in results] == [0, 0]


@pytest.mark.parametrize("when", [When.BEFORE, When.MIDDLE, When.AFTER])
@pytest.mark.parametrize("size", [1001, 12_000_000])
def test_a_silent_peer_times_out_and_is_never_used_again(
    scu: StoreScu, make_requests: MakeRequests, when: When, size: int
) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(3, Stall(when))
        requests = make_requests(2) + make_requests(3, size=size)
        results, failure = run(scu, pacs, requests)
        assert isinstance(failure, DimseTimeout)
        assert (results[2].event.kind, results[2].event.in_flight) == (EventKind.DIMSE_TIMEOUT, True)
        assert pacs.associations == 1
        pacs.wait_until_quiet()


def test_a_response_that_drips_too_slowly_times_out(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs(instance=Respond(drip=0.05)) as pacs:
        _, failure = run(scu, pacs, make_requests(1))
    assert isinstance(failure, DimseTimeout)


def test_a_slow_peer_that_goes_on_reading_is_waited_for(make_requests: MakeRequests) -> None:
    """Ten times the patience in all, never more than it without a byte."""
    (request,) = make_requests(1, size=12_000_000)
    with FakePacs(pace=6_000_000) as pacs:
        results, failure = run(StoreScu(), pacs, [request], Timeouts(store=0.5))
    assert failure is None
    assert results[0].is_stored
    assert results[0].seconds > 1


# --- Items that fail by themselves ------------------------------------------------------------------------------------


def test_a_file_that_is_gone_or_changed_fails_alone(scu: StoreScu, make_requests: MakeRequests, tmp_path: Path) -> None:
    requests = make_requests(8)
    os.unlink(requests[1].path)
    Path(requests[2].path).write_bytes(b"other")
    os.unlink(requests[3].path)
    os.symlink(requests[0].path, requests[3].path)
    os.unlink(requests[4].path)
    os.mkfifo(requests[4].path)
    os.unlink(requests[5].path)
    os.mkdir(requests[5].path)
    nul = StoreRequest("a\0b", requests[0].sop_class_uid, "1.2.3.9", EXPLICIT)
    with FakePacs() as pacs:
        results, failure = run(scu, pacs, [*requests, nul])
    assert failure is None
    assert [result.is_stored for result in results] == [True, *[False] * 5, True, True, False]
    assert {result.event.kind for result in results[1:6]} == {EventKind.FILE_MISSING}
    for result in results[1:6]:
        assert str(tmp_path) not in result.event.detail
    assert len(pacs.stored) == 3


@pytest.mark.parametrize("changed", ["size", "mtime_ns", "ctime_ns", "dev", "inode"])
def test_every_part_of_the_signature_counts(make_requests: MakeRequests, changed: str) -> None:
    (request,) = make_requests(1)
    assert request.signature is not None
    parts = {name: getattr(request.signature, name) for name in ("size", "mtime_ns", "ctime_ns", "dev", "inode")}
    other = FileSignature(**{**parts, changed: parts[changed] + 1})
    again = StoreRequest(request.path, request.sop_class_uid, "1.2.3", EXPLICIT, 0, other)
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        (result,) = association.store([again])
        assert result.event.kind is EventKind.FILE_MISSING
        assert "changed" in result.event.detail
    assert pacs.stored == []


def test_a_symbolic_link_is_never_followed(make_requests: MakeRequests, tmp_path: Path) -> None:
    (request,) = make_requests(1)
    link = tmp_path / "link"
    link.symlink_to(request.path)
    through = StoreRequest(str(link), request.sop_class_uid, "1.2.3", EXPLICIT)
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        (result,) = association.store([through])
        assert result.event.kind is EventKind.FILE_MISSING
    assert pacs.stored == []


def test_a_file_without_its_data_set_fails_alone(make_requests: MakeRequests) -> None:
    (request,) = make_requests(1, size=10)
    for offset in (10, 11):
        beyond = StoreRequest(request.path, request.sop_class_uid, "1.2.3", EXPLICIT, offset)
        with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            (result,) = association.store([beyond])
            assert result.event.kind is EventKind.FILE_MISSING


@pytest.mark.parametrize("change", ["truncate", "rewrite"])
def test_a_file_that_changes_while_it_is_sent_is_never_completed(make_requests: MakeRequests, change: str) -> None:
    """Message begun, file gone bad: abort, blame the item, keep the neighbours clean."""
    requests = make_requests(2, size=12_000_000)
    path = Path(requests[0].path)

    def spoil() -> None:
        with path.open("r+b") as file:
            if change == "truncate":
                file.truncate(5_000_000)
            else:
                file.write(b"x")

    with FakePacs(pace=4_000_000) as pacs:
        timer = threading.Timer(0.4, spoil)
        timer.start()
        results, failure = run(StoreScu(), pacs, requests, Timeouts(store=5))
        timer.join()
    assert isinstance(failure, AssociationEnded)
    assert [result.event.kind for result in results] == [EventKind.FILE_MISSING]
    assert pacs.stored == []


def test_many_refused_in_a_row_keep_the_order(scu: StoreScu, make_requests: MakeRequests) -> None:
    good = make_requests(3)
    bad = make_requests(3, sop_class_uid=MR)
    mixed = [bad[0], good[0], bad[1], bad[2], good[1], good[2]]
    with FakePacs() as pacs:
        results, _ = run(scu, pacs, mixed)
    assert [result.request for result in results] == mixed
    assert [result.is_stored for result in results] == [False, True, False, False, True, True]


def test_requests_after_the_end_are_neighbours(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs() as pacs:
        association = scu.associate(pacs.remote(), CT_ONLY)
        association.release()
        running = association.store(make_requests(1))
        assert next(running).event.kind is EventKind.NEIGHBOUR
        with pytest.raises(AssociationEnded):
            next(running)


# --- Stopping ---------------------------------------------------------------------------------------------------------


def test_requests_are_taken_one_ahead_and_no_more(scu: StoreScu, make_requests: MakeRequests) -> None:
    taken = []

    def lazily() -> Iterator[StoreRequest]:
        for request in make_requests(6):
            taken.append(request.key)
            yield request

    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        for place, _ in enumerate(association.store(lazily()), start=1):
            assert len(taken) <= place + 1


def test_stopping_between_two_instances_leaves_it_clean(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs() as pacs:
        with scu.associate(pacs.remote(), CT_ONLY) as association:
            for result in association.store(make_requests(9)):
                if result.request.key == 3:
                    break
            assert association.is_usable
            assert [one.status for one in association.store(make_requests(2))] == [0, 0]
        pacs.wait_until_quiet()
    assert len(pacs.stored) == 5
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


def failing(requests: list[StoreRequest]) -> Iterator[StoreRequest]:
    yield from requests
    raise LookupError("the caller's own")


@pytest.mark.parametrize("count", [0, 1, 2])
def test_requests_that_raise_do_so_behind_the_results_of_those_before(
    scu: StoreScu, make_requests: MakeRequests, count: int
) -> None:
    with FakePacs() as pacs:
        with scu.associate(pacs.remote(), CT_ONLY) as association:
            running = association.store(failing(make_requests(count)))
            assert [next(running).status for _ in range(count)] == [0] * count
            with pytest.raises(LookupError, match="the caller's own"):
                next(running)
            assert [result.status for result in association.store(make_requests(1))] == [0]
        pacs.wait_until_quiet()
    pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


def test_an_association_that_fails_hides_not_that_the_requests_did(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs(instance=Break()) as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        results, failure = take(association.store(failing(make_requests(1))))
    assert [result.event.in_flight for result in results] == [True]
    assert isinstance(failure, AssociationAborted)
    assert isinstance(failure.__cause__, LookupError)


def test_an_interrupt_in_the_requests_ends_the_association(scu: StoreScu, make_requests: MakeRequests) -> None:
    def interrupted() -> Iterator[StoreRequest]:
        yield from make_requests(2)
        raise KeyboardInterrupt

    with FakePacs() as pacs:
        with scu.associate(pacs.remote(), CT_ONLY) as association:
            with pytest.raises(KeyboardInterrupt):
                list(association.store(interrupted()))
            assert not association.is_usable
        pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]


def test_only_one_run_at_a_time(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        running = association.store(make_requests(3))
        next(running)
        with pytest.raises(RuntimeError, match="is busy"):
            next(association.store(make_requests(1)))
        assert len(list(running)) == 2


@pytest.mark.parametrize("when", [When.BEFORE, When.MIDDLE, When.AFTER])
@pytest.mark.parametrize("size", [1000, 12_000_000])
def test_another_thread_aborts_a_store_that_waits(
    scu: StoreScu, make_requests: MakeRequests, when: When, size: int
) -> None:
    requests = make_requests(3, size=size)
    with FakePacs(instance=Stall(when)) as pacs:
        with scu.associate(pacs.remote(Timeouts(store=60)), CT_ONLY) as association:
            called: list[float] = []

            def abort() -> None:
                called.append(time.monotonic())
                association.abort()

            timer = threading.Timer(0.3, abort)
            timer.start()
            results, failure = take(association.store(requests))
            assert isinstance(failure, AssociationEnded)
            assert time.monotonic() - called[0] < 1
            timer.join(5)
            assert not timer.is_alive()
        pacs.wait_until_quiet()
    assert (results[0].event.kind, results[0].event.in_flight) == (EventKind.CANCELLED, True)
    if size == 1000 and when is not When.BEFORE:
        assert pacs.endings == ["aborted"]


def test_an_abort_between_two_instances(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs() as pacs:
        with scu.associate(pacs.remote(), CT_ONLY) as association:
            running = association.store(make_requests(3))
            assert next(running).is_stored
            thread = threading.Thread(target=association.abort)
            thread.start()
            thread.join(3)
            assert not thread.is_alive()
            assert next(running).event.kind is EventKind.NEIGHBOUR
            with pytest.raises(AssociationEnded):
                next(running)
        pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]
    assert len(pacs.stored) == 1
