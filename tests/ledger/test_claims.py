"""Who may claim, and when: concurrency, fairness, pauses, holds and probes, and what a denied claim leaves behind."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from gurney.ledger import bells, destinations, operations
from gurney.ledger.claims import claim
from gurney.ledger.models import Bell, Destination
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim, Claimant, Denied
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState, Priority
from tests.ledger.world import EXPLICIT, OK, World, aborted, happened, ids_of

DOWN = happened(EventKind.CONNECT_FAILED, detail="refused")


def test_a_claim_hands_out_what_a_worker_needs(world: World) -> None:
    (item_id,) = world.items(1, study="1.2.3", priority=Priority.HIGH)
    claimed = world.take()
    (work,) = claimed.work
    assert (claimed.destination, claimed.study_instance_uid, claimed.priority) == ("archive", "1.2.3", Priority.HIGH)
    assert (work.item_id, work.path, work.spool_path) == (item_id, b"/in/1", "1.dcm")
    assert (work.size, work.dataset_offset, work.mtime_ns) == (1_400, 400, 1)
    assert (work.sop_instance_uid, work.transfer_syntax_uid) == ("2.25.1", EXPLICIT)
    item = world.item(item_id)
    assert (item.state, item.lease_id, item.fence) == (ItemState.RUNNING, claimed.ticket.id, claimed.ticket.fence)
    assert (item.attempts, world.attempts(item_id)) == (0, []), "a claim spends nothing"


def test_each_claim_has_a_higher_fence(world: World) -> None:
    world.items(3)
    first = world.take(instances=1)
    world.finish(first)
    assert world.take(instances=1).ticket.fence == first.ticket.fence + 1


@pytest.mark.parametrize(("association", "waits"), [("study", True), ("series", True), ("batch", False)])
def test_a_claim_says_whether_others_must_wait_until_its_study_exists_there(
    world: World, association: str, waits: bool
) -> None:
    world.destination(association=association)
    ids = world.items(2)
    claim = world.take(instances=1)
    assert claim.is_first is waits
    world.settle(claim, {ids[0]: OK})
    world.finish(claim)
    assert not world.take(instances=1).is_first


@pytest.mark.parametrize("retired", [False, True])
def test_a_destination_that_is_not_configured_is_denied(world: World, retired: bool) -> None:
    if retired:
        world.items(1)
        world.change(Destination, world.destination(), retired=True)
    assert world.denied("archive").reason == "not in the configuration"


def test_no_more_associations_than_a_destination_allows(world: World) -> None:
    world.destination(max_associations=2)
    for study in range(3):
        world.items(1, study=f"1.{study}")
    first = world.take()
    assert first.ring_on, "there is a slot and work for it"
    assert first.is_first
    second = world.take()
    assert not second.ring_on
    assert "every association" in world.denied().reason
    world.finish(first)
    world.take()


def test_what_was_taken_back_from_the_dead_counts_no_more(world: World) -> None:
    world.items(1)
    world.take()
    world.denied()
    world.crash()
    world.take()


def test_concurrent_claims_never_exceed_the_limit(world: World) -> None:
    """Eight workers ring at once; the row of the destination is the one gate."""
    world.destination(max_associations=3)
    for study in range(8):
        world.items(2, study=f"1.{study}")
    spool_id = world.spool()
    claimed: list[Claim | Denied] = []
    start = threading.Barrier(8)

    def ring(number: int) -> None:
        start.wait()
        claimed.append(world.ledger.transact(claim, "archive", Claimant(f"w{number}", f"h{number}", 1, spool_id)))

    threads = [threading.Thread(target=ring, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    taken = [one for one in claimed if isinstance(one, Claim)]
    assert (len(claimed), len(taken)) == (8, 3)
    assert len({item for one in taken for item in ids_of(one)}) == 6, "no item twice"
    assert len({one.ticket.fence for one in taken}) == 3


# --- Fairness ---------------------------------------------------------------------------------------------------------


def test_a_destination_takes_half_of_a_host_while_another_has_work(world: World) -> None:
    world.destination("a", max_associations=8)
    world.destination("b", max_associations=8)
    for study in range(6):
        world.items(1, destination="a", study=f"1.{study}")
    world.items(1, destination="b")
    for _ in range(2):
        world.take("a", slots=4)
    assert "other destinations" in world.denied("a", slots=4).reason
    world.take("a", slots=4, host="h2")
    world.take("b", slots=4)
    world.take("a", slots=4)


@pytest.mark.parametrize(
    "idle",
    [
        {"paused_by": "somebody"},
        {"breaker": "open", "probe_at": 2_000_000.0},
        {"retired": True},
        {"probe_at": 1_000_100.0},
    ],
)
def test_a_destination_that_takes_nothing_keeps_no_slot_free(world: World, idle: dict[str, object]) -> None:
    world.destination("a", max_associations=4)
    world.destination("b", **idle)
    for study in range(3):
        world.items(1, destination="a", study=f"1.{study}")
    world.items(1, destination="b")
    for _ in range(3):
        world.take("a", slots=2)


# --- Pauses, breakers, probes -----------------------------------------------------------------------------------------


def test_a_paused_destination_is_denied_until_resumed(world: World) -> None:
    world.items(1)
    world.ledger.transact(destinations.pause, "archive", "somebody")
    assert world.denied().reason == "paused"
    world.ledger.transact(destinations.resume, "archive", "somebody")
    world.take()


def open_breaker(world: World) -> None:
    """Let a destination fail until its breaker opens."""
    for _ in range(3):
        claimed = world.take(instances=1)
        world.settle(claimed, DOWN)
        world.finish(claimed, faults=1)
        world.clock.pass_by(20)
    assert world.row().breaker == "open"


def test_three_faults_open_the_breaker_and_charge_nobody(world: World) -> None:
    world.destination(max_associations=4)
    ids = world.items(5)
    open_breaker(world)
    world.clock.pass_by(-20)
    denied = world.denied()
    assert "open" in denied.reason
    assert denied.retry_at is not None
    assert [world.item(item).attempts for item in ids] == [0] * 5


def test_an_open_breaker_is_probed_with_one_item_by_one_worker(world: World) -> None:
    world.destination(max_associations=4)
    world.items(5)
    open_breaker(world)
    probe = world.take()
    assert (probe.probe, len(probe.work), probe.ring_on) == (True, 1, False)
    assert world.row().breaker == "half_open"
    world.denied()
    world.settle(probe)
    assert world.row().breaker == "closed"
    assert world.row().effective_concurrency == 1, "it starts again with one"
    world.finish(probe, stored=1)
    assert world.row().effective_concurrency == 2
    assert len(world.take().work) == 4


def test_a_probe_is_not_the_item_that_failed_last(world: World) -> None:
    first, second = world.items(2)
    open_breaker(world)
    world.change(Destination, world.destination(), last_failed_item_id=first)
    assert ids_of(world.take()) == [second]


def test_a_probe_is_of_another_study_than_the_last_failure(world: World) -> None:
    first, *_ = world.items(3, study="1")
    other = world.items(1, study="2", priority=Priority.BULK)
    open_breaker(world)
    world.change(Destination, world.destination(), last_failed_item_id=first)
    assert ids_of(world.take()) == other


def test_the_only_item_there_is_probes(world: World) -> None:
    ids = world.items(1)
    open_breaker(world)
    assert ids_of(world.take()) == ids


def test_a_failed_probe_opens_it_again_for_longer(world: World) -> None:
    world.items(2)
    open_breaker(world)
    probe = world.take()
    world.settle(probe, DOWN)
    world.finish(probe, faults=1)
    row = world.row()
    assert (row.breaker, row.probes) == ("open", 1)
    assert row.probe_at > world.clock.time
    world.denied()


def test_a_probe_whose_worker_died_is_taken_by_another(world: World) -> None:
    world.items(2)
    open_breaker(world)
    world.take()
    world.crash()
    again = world.take()
    assert again.probe


def test_a_straggler_that_stored_nothing_does_not_end_the_probe_of_another(world: World) -> None:
    world.destination(max_associations=2)
    world.items(1, study="1")
    world.items(2, study="2")
    straggler = world.take()
    open_breaker(world)
    world.change(Destination, world.destination(), breaker="half_open", probe_at=world.clock.time + 500)
    world.finish(straggler)
    assert world.row().breaker == "half_open"


def test_a_held_destination_opens_itself(world: World) -> None:
    world.items(2)
    claimed = world.take(instances=1)
    world.settle(claimed, happened(EventKind.REJECTED, result=1, source=1, reason=7))
    world.finish(claimed, faults=1)
    assert "held" in world.denied().reason
    world.clock.pass_by(61)
    probe = world.take()
    assert probe.probe
    world.settle(probe)
    row = world.row()
    assert (row.hold_reason, row.breaker) == ("", "closed")


# --- Bells, STAT ------------------------------------------------------------------------------------------------------


def test_a_claim_answers_the_bell(world: World) -> None:
    world.items(1)
    place = (world.destination(), world.spool(), "work")
    assert world.ledger.transact(bells.claim_ring, *place)
    assert not world.ledger.transact(bells.claim_ring, *place), "somebody has rung just now"
    world.take()
    with world.ledger.read() as conn:
        assert conn.scalar(select(Bell.rung_at)) is None
    assert world.ledger.transact(bells.claim_ring, *place)


def test_stat_that_finds_no_association_says_so_and_is_served_first(world: World) -> None:
    world.items(3)
    running = world.take(instances=1)
    assert world.row().stat_waiting_at is None
    world.denied()
    assert world.row().stat_waiting_at is None, "only STAT may interrupt"
    stat = world.items(1, study="9", priority=Priority.STAT)
    world.denied(stat_only=True)
    assert world.row().stat_waiting_at == world.clock.time
    world.finish(running)
    assert ids_of(world.take(stat_only=True)) == stat
    assert world.row().stat_waiting_at is None


def test_a_stat_that_was_cancelled_while_it_waited_interrupts_nobody(world: World) -> None:
    world.items(3)
    running = world.take(instances=1)
    (stat,) = world.items(1, study="9", priority=Priority.STAT)
    world.denied(stat_only=True)
    world.finish(running)
    assert operations.cancel(world.ledger, Selection(study_instance_uid="9"), "somebody") == 1
    assert world.states([stat]) == [ItemState.CANCELLED]
    world.take()
    assert world.row().stat_waiting_at is None


def test_an_empty_claim_says_when_something_is_due(world: World) -> None:
    world.items(1)
    claimed = world.take()
    world.settle(claimed, aborted)
    world.finish(claimed, faults=1)
    denied = world.denied()
    assert denied.retry_at == world.item(ids_of(claimed)[0]).due_at
