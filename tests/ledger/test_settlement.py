"""How attempts end: every outcome, refunds within and between groups, repetitions, zombies, and what operators did."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from gurney.ledger import operations, settlement
from gurney.ledger.errors import LeaseLost
from gurney.ledger.models import Destination, Transfer
from gurney.ledger.selection import Selection
from gurney.ledger.settlement import Settled, Settlement
from gurney.ledger.terms import Claim
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.states import ItemState, Outcome
from tests.ledger.world import JPEG, MR, OK, World, aborted, answered, happened, ids_of, longest

S, O = ItemState, Outcome  # noqa: E741 - a table is read by its columns

# The event, the item's state, the attempt's outcome, what it costs, and the faults that the batch reports.
ENDINGS: list[tuple[Event, ItemState, Outcome, int, int]] = [
    (OK, S.DONE, O.OK, 0, 0),
    (answered(0xB000), S.WARNED, O.WARN, 0, 0),
    (answered(0xB007), S.WARNED, O.WARN, 0, 0),
    (answered(0x0111), S.WARNED, O.WARN, 0, 0),
    (answered(0xA700), S.RETRY, O.TRANSIENT, 1, 1),
    (answered(0xC000), S.RETRY, O.TRANSIENT, 1, 1),
    (answered(0xA900), S.FAILED, O.PERMANENT, 1, 0),
    (answered(0x0117), S.FAILED, O.PERMANENT, 1, 0),
    (answered(0x0122), S.FAILED, O.PERMANENT, 1, 0),
    (answered(0x0124), S.READY, O.DEST_DOWN, 0, 1),
    (answered(0x0210), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.BAD_RESPONSE), S.RETRY, O.TRANSIENT, 1, 1),
    (happened(EventKind.CONNECT_FAILED), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.TLS_FAILED), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.CLOSED_AT_REQUEST), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.REJECTED, result=2, source=3, reason=2), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.NO_CONTEXT, result=1), S.RETRY, O.TRANSIENT, 1, 0),
    (happened(EventKind.NO_CONTEXT, result=3), S.FAILED, O.PERMANENT, 1, 0),
    (aborted, S.RETRY, O.TRANSIENT, 1, 1),
    (happened(EventKind.RESET), S.READY, O.DEST_DOWN, 0, 1),
    (happened(EventKind.DIMSE_TIMEOUT, in_flight=True), S.RETRY, O.TRANSIENT, 1, 1),
    (happened(EventKind.FILE_MISSING), S.FAILED, O.PERMANENT, 1, 0),
    (happened(EventKind.UNREADABLE), S.RETRY, O.TRANSIENT, 1, 0),
    (happened(EventKind.SPOOL_OFFLINE), S.READY, O.CANCELLED, 0, 0),
    (happened(EventKind.LOCAL), S.READY, O.CANCELLED, 0, 0),
    (happened(EventKind.NEIGHBOUR), S.READY, O.CANCELLED, 0, 0),
    (happened(EventKind.VETOED), S.FAILED, O.PERMANENT, 1, 0),
    (happened(EventKind.CANCELLED), S.READY, O.CANCELLED, 0, 0),
]


@pytest.mark.parametrize(("event", "state", "outcome", "charge", "faults"), ENDINGS, ids=lambda value: None)
def test_every_ending_is_written_as_it_was_decided(
    world: World, event: Event, state: ItemState, outcome: Outcome, charge: int, faults: int
) -> None:
    (item_id,) = world.items(1)
    claimed = world.take()
    settled = world.settle(claimed, event)
    item = world.item(item_id)
    assert (item.state, item.attempts, item.lease_id) == (state, charge, None)
    assert (item.due_at is not None) == (state is S.RETRY)
    assert (item.settled_at is not None) == (state not in {S.READY, S.RETRY})
    (attempt,) = world.attempts(item_id)
    assert (attempt.fence, attempt.lease_id, attempt.outcome) == (claimed.ticket.fence, claimed.ticket.id, outcome)
    assert (attempt.endpoint, attempt.bytes_sent, attempt.status) == ("pacs:104", 1_000, event.status)
    assert (settled.stored, settled.faults) == (int(state in {S.DONE, S.WARNED}), faults)


def test_a_stored_group_is_done_in_one_go(world: World) -> None:
    ids = world.items(3)
    claimed = world.take()
    assert world.settle(claimed) == Settled(stored=3)
    assert world.states(ids) == [S.DONE] * 3
    assert [len(world.attempts(item)) for item in ids] == [1] * 3
    assert world.row().last_success_at == world.clock.time
    with world.ledger.read() as conn:
        assert conn.scalar(select(Transfer.first_stored_at)) == world.clock.time


def test_a_batch_of_several_transfers_dates_and_counts_each(world: World) -> None:
    world.destination(association="batch", max_associations=2)
    for study in ("1", "2"):
        world.items(2, study=study)
    several = world.take(instances=3)
    assert world.lease(several).transfer_id is None
    world.settle(several)
    assert world.finish(several, stored=3) == 0
    with world.ledger.read() as conn:
        assert conn.scalars(select(Transfer.first_stored_at)).all() == [world.clock.time] * 2
    one = world.take()
    assert world.lease(one).transfer_id == one.transfer_id


def test_a_lease_over_several_transfers_hides_none_from_who_takes_studies(world: World) -> None:
    world.destination(association="batch", max_associations=2)
    for study in ("1", "2"):
        world.items(2, study=study)
    world.take(instances=3)
    world.change(Destination, world.destination(), association="study")
    assert len(world.take().work) == 1


def test_the_first_stored_is_dated_once(world: World) -> None:
    first, second = world.items(2)
    claimed = world.take()
    world.settle(claimed, {first: OK})
    dated = world.clock.time
    world.clock.pass_by(5)
    world.settle(claimed, {second: OK})
    with world.ledger.read() as conn:
        assert conn.scalar(select(Transfer.first_stored_at)) == dated


def test_a_group_of_mixed_endings_settles_each(world: World) -> None:
    ids = world.items(5)
    claimed = world.take()
    events = [OK, answered(0xB000), answered(0xA900), aborted, happened(EventKind.NEIGHBOUR)]
    settled = world.settle(claimed, dict(zip(ids, events, strict=True)))
    assert world.states(ids) == [S.DONE, S.WARNED, S.FAILED, S.RETRY, S.READY]
    assert (settled.stored, settled.abort) == (2, True)
    assert world.row().last_error.startswith("the association was aborted")


def test_what_was_given_back_did_not_fail(world: World) -> None:
    (item_id,) = world.items(1)
    world.settle(world.take(), happened(EventKind.NEIGHBOUR))
    item = world.item(item_id)
    assert (item.last_failed_at, item.suspect, item.attempts) == (None, 0, 0)
    assert world.row().last_error == ""


@pytest.mark.parametrize(
    ("event", "named"),
    [
        (
            happened(EventKind.NO_CONTEXT, result=4),
            "transfer syntax: MR Image Storage (1.2.840.10008.5.1.4.1.1.4) "
            "in JPEG Baseline (Process 1) (1.2.840.10008.1.2.4.50)",
        ),
        (
            happened(EventKind.NO_CONTEXT, result=2),
            "fresh association: MR Image Storage (1.2.840.10008.5.1.4.1.1.4) "
            "in JPEG Baseline (Process 1) (1.2.840.10008.1.2.4.50)",
        ),
        (answered(0x0122), ": MR Image Storage (1.2.840.10008.5.1.4.1.1.4)"),
    ],
)
def test_what_a_peer_does_not_take_is_named(world: World, event: Event, named: str) -> None:
    (item_id,) = world.items(1, sop_class_uid=MR, transfer_syntax_uid=JPEG)
    world.settle(world.take(), event)
    assert world.item(item_id).last_words.endswith(named)


def test_an_alert_is_told_and_kept(world: World) -> None:
    world.items(1)
    settled = world.settle(world.take(), happened(EventKind.FILE_MISSING))
    assert "gone" in settled.alerts[0]
    assert world.audited("item.alert") == 1


# --- Refunds ----------------------------------------------------------------------------------------------------------


def test_five_in_a_row_blame_the_destination_and_charges_come_back(world: World) -> None:
    ids = world.items(6)
    claimed = world.take()
    world.settle(claimed, dict.fromkeys(ids[:4], answered(0xA700)))
    assert [world.item(item).attempts for item in ids] == [1, 1, 1, 1, 0, 0]
    world.settle(claimed, {ids[4]: answered(0xA700)})
    assert [world.item(item).attempts for item in ids] == [0] * 6
    assert [world.item(item).first_failed_at for item in ids] == [None] * 6
    world.settle(claimed, {ids[5]: answered(0xA700)})
    assert world.item(ids[5]).attempts == 0


def test_a_refund_reaches_charges_of_its_own_group(world: World) -> None:
    ids = world.items(5)
    world.settle(world.take(), answered(0xA700))
    assert [world.item(item).attempts for item in ids] == [0] * 5


def test_a_refund_reaches_what_is_settled_later_in_its_group(world: World) -> None:
    ids = world.items(5)
    first = world.take(instances=1)
    world.settle(first, answered(0xC000))
    world.finish(first, faults=1)
    world.clock.pass_by(30)
    again = world.take()
    assert ids_of(again) == ids
    order = {item: answered(0xC000) for item in [*ids[1:], ids[0]]}
    world.settle(again, order)
    assert [world.item(item).attempts for item in ids] == [0] * 5


def test_a_refund_never_takes_what_a_retry_has_reset(world: World) -> None:
    ids = world.items(5)
    claimed = world.take()
    world.settle(claimed, dict.fromkeys(ids[:4], answered(0xA700)))
    operations.retry(world.ledger, Selection(), "somebody")
    world.settle(claimed, {ids[4]: answered(0xA700)})
    assert [world.item(item).attempts for item in ids] == [0] * 5


# --- Repetition and fencing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [OK, answered(0xB000), aborted, answered(0xA900), happened(EventKind.NEIGHBOUR)])
def test_settling_once_more_after_an_unknown_commit_changes_nothing(world: World, event: Event) -> None:
    ids = world.items(3)
    claimed = world.take()
    world.settle(claimed, event)
    before = [tuple(world.item(item)) for item in ids]
    gate = tuple(world.row())
    world.clock.pass_by(1)
    again = world.settle(claimed, event)
    assert (again.stored, again.faults) == (0, 0)
    assert [tuple(world.item(item)) for item in ids] == before
    assert tuple(world.row()) == gate
    assert [len(world.attempts(item)) for item in ids] == [1] * 3


def test_a_repeated_group_settles_what_its_first_try_had_not(world: World) -> None:
    first, second = world.items(2)
    claimed = world.take()
    world.settle(claimed, {first: OK})
    assert world.settle(claimed, {first: OK, second: OK}).stored == 1
    assert world.states([first, second]) == [S.DONE] * 2


def test_a_repetition_is_known_even_when_one_of_it_was_claimed_again(world: World) -> None:
    world.destination(max_associations=2)
    first, second, third = world.items(3)
    claimed = world.take()
    results = {first: OK, second: happened(EventKind.NEIGHBOUR)}
    world.settle(claimed, results)
    assert ids_of(world.take()) == [second]
    assert world.settle(claimed, results).stored == 0
    world.settle(claimed, {third: OK})
    assert world.states([first, second, third]) == [S.DONE, S.RUNNING, S.DONE]


def test_a_zombie_writes_nothing(world: World) -> None:
    """A worker that was stopped for longer than its lease, and goes on."""
    ids = world.items(2)
    zombie = world.take()
    world.crash()
    heir = world.take()
    assert ids_of(heir) == ids
    for event in (OK, answered(0xB000), answered(0xA900)):
        with pytest.raises(LeaseLost):
            world.settle(zombie, event)
    assert world.states(ids) == [S.RUNNING] * 2
    assert world.attempts(ids[0]) == []
    world.settle(heir)
    with pytest.raises(LeaseLost):
        world.settle(zombie)
    assert world.finish(zombie) == 0
    assert world.lease(heir).state == "live"


@pytest.mark.parametrize("event", [OK, answered(0xA900)])
def test_a_lease_that_has_run_out_settles_nothing_though_nobody_took_it(world: World, event: Event) -> None:
    ids = world.items(1)
    late = world.take()
    world.crash()
    with pytest.raises(LeaseLost, match="has run out"):
        world.settle(late, event)
    assert world.states(ids) == [S.RUNNING]


@pytest.mark.parametrize("event", [OK, answered(0xA900)])
def test_an_item_that_was_claimed_again_is_its_new_holders(world: World, event: Event) -> None:
    """An operator cancels and retries what is on the wire: the attempt is told, the item left, the group not lost."""
    world.destination(max_associations=2)
    kept, taken = world.items(2, study="1")
    first = world.take()
    world.settle(first, {kept: OK})
    operations.cancel(world.ledger, Selection(), "somebody")
    operations.retry(world.ledger, Selection(states=(S.CANCELLED,)), "somebody")
    second = world.take()
    world.settle(first, {taken: event})
    assert world.states([kept, taken]) == [S.DONE, S.RUNNING]
    assert [attempt.fence for attempt in world.attempts(taken)] == [first.ticket.fence]
    world.settle(second, {taken: OK})
    assert world.states([taken]) == [S.DONE]


def test_an_unknown_item_is_not_settled(world: World) -> None:
    world.items(1)
    with pytest.raises(LeaseLost, match="gone"):
        world.settle(world.take(), {99: OK})


# --- Operators in between ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("event", "state"), [(OK, S.DONE), (answered(0xB000), S.WARNED), (aborted, S.CANCELLED)])
def test_what_was_cancelled_on_the_wire_ends_as_the_peer_answers(world: World, event: Event, state: ItemState) -> None:
    first, second = world.items(2)
    claimed = world.take()
    operations.cancel(world.ledger, Selection(), "somebody")
    assert world.lease(claimed).recalled
    world.settle(claimed, {first: event})
    world.finish(claimed)
    assert world.states([first, second]) == [state, S.CANCELLED]
    assert len(world.attempts(first)) == 1


@pytest.mark.parametrize(("event", "state"), [(OK, S.DONE), (aborted, S.READY)])
def test_what_was_cancelled_and_retried_on_the_wire_costs_nobody_the_lease(
    world: World, event: Event, state: ItemState
) -> None:
    first, second = world.items(2)
    claimed = world.take()
    operations.cancel(world.ledger, Selection(transfer_id=claimed.transfer_id), "somebody")
    operations.retry(world.ledger, Selection(), "somebody")
    world.settle(claimed, {first: event})
    assert world.item(first).state == state
    assert world.item(first).attempts == 0
    world.finish(claimed)
    assert second in ids_of(world.take())


def test_a_pause_gives_the_rest_back(world: World) -> None:
    first, *rest = world.items(3)
    claimed = world.take()
    world.settle(claimed, {first: OK})
    assert world.finish(claimed, stored=1) == 2
    assert world.states([first, *rest]) == [S.DONE, S.READY, S.READY]
    assert world.finish(claimed) == 0, "released is released"


# --- The end of a batch -----------------------------------------------------------------------------------------------


def test_the_last_results_and_the_release_are_one_transaction(world: World) -> None:
    first, second, third = world.items(3)
    world.destination()
    claimed = world.take()
    before = world.settle(claimed, {first: OK})
    results = [Settlement(second, OK, "pacs:104")]
    last, returned = world.ledger.transact(settlement.conclude, claimed.ticket, results, before, "w1", "done")
    assert (last.stored, returned) == (1, 1)
    assert world.lease(claimed).state == "released"
    assert world.states([first, second, third]) == [S.DONE, S.DONE, S.READY]


def test_a_good_batch_earns_an_association_and_a_crowded_peer_loses_half(world: World) -> None:
    world.destination(max_associations=4, effective_concurrency=1)
    world.items(20)
    claimed = world.take(instances=2)
    world.settle(claimed)
    world.finish(claimed, stored=2)
    assert world.row().effective_concurrency == 2
    crowded = world.take(instances=1)
    world.settle(crowded, happened(EventKind.REJECTED, result=2, source=3, reason=2))
    world.finish(crowded, faults=1)
    assert world.row().effective_concurrency == 1


def test_a_group_tells_that_its_destination_takes_no_more(world: World) -> None:
    world.items(1)
    assert world.settle(world.take(), happened(EventKind.TLS_FAILED)).closed


def test_nothing_to_settle_is_nothing(world: World) -> None:
    world.items(1)
    claimed: Claim = world.take()
    assert world.ledger.transact(settlement.settle, claimed.ticket, [], uniform=longest) == Settled()
