"""What is found due when every message was lost."""

from __future__ import annotations

from gurney.ledger import destinations, reconciling, roles
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Destination
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState, Priority
from tests.ledger.world import World, happened

S = ItemState


def rung(world: World) -> list[Bell]:
    """Ring what is due."""
    return reconciling.due_bells(world.ledger)


def test_whoever_has_work_is_rung_once_until_somebody_comes(world: World) -> None:
    world.items(1)
    bell = Bell("archive", world.spool(), "work")
    assert rung(world) == [bell]
    assert rung(world) == []
    world.clock.pass_by(5)
    assert rung(world) == [bell], "five seconds without an answer: the ring is lost"
    world.send_all()
    assert rung(world) == []


def test_every_spool_and_lane_with_work_is_rung(world: World) -> None:
    world.items(1, priority=Priority.STAT)
    world.items(1, spool="other", study="2")
    main, other = world.spool(), world.spool("other")
    assert rung(world) == [
        Bell("archive", main, "stat"),
        Bell("archive", main, "work"),
        Bell("archive", other, "work"),
    ]


def test_a_retry_that_is_due_rings(world: World) -> None:
    world.items(1, state=S.RETRY, due_at=world.clock.time + 10)
    assert rung(world) == []
    world.clock.pass_by(10)
    assert len(rung(world)) == 1


def test_who_would_not_admit_a_claim_is_not_rung(world: World) -> None:
    world.items(2)
    world.ledger.transact(destinations.pause, "archive", "somebody")
    assert rung(world) == []
    world.ledger.transact(destinations.resume, "archive", "somebody")
    world.change(Destination, world.destination(), retired=True)
    assert rung(world) == []
    world.change(Destination, world.destination(), retired=False)
    claimed = world.take(instances=1)
    world.settle(claimed, happened(EventKind.TLS_FAILED))
    world.finish(claimed)
    assert rung(world) == []
    world.clock.pass_by(61)
    assert len(rung(world)) == 1


def test_one_destination_alone_may_be_rung(world: World) -> None:
    world.items(1)
    world.items(1, destination="workstation", study="2")
    assert [bell.destination for bell in reconciling.due_bells(world.ledger, "workstation")] == ["workstation"]


def test_a_worker_rings_only_while_nobody_reconciles_and_leaves_the_role_free(world: World) -> None:
    world.items(1)
    daemon = world.ledger.transact(roles.assume, reconciling.RECONCILER, "daemon", reconciling.RECONCILER_SECONDS)
    assert daemon is not None
    assert reconciling.unattended_bells(world.ledger, "worker") == []
    world.clock.pass_by(reconciling.RECONCILER_SECONDS)
    assert reconciling.unattended_bells(world.ledger, "worker") == [Bell("archive", world.spool(), "work")]
    assert reconciling.unattended_bells(world.ledger, "another worker") == []
    assert world.ledger.transact(roles.assume, reconciling.RECONCILER, "another daemon") is not None


def test_dead_leases_are_taken_back_everywhere(world: World) -> None:
    world.items(2)
    world.items(1, destination="workstation", study="2")
    world.take()
    world.take("workstation")
    assert reconciling.expire_leases(world.ledger) == 0
    world.crash()
    assert reconciling.expire_leases(world.ledger) == 2
    assert len(rung(world)) == 2


def test_a_probe_that_died_with_its_worker_is_given_to_another(world: World) -> None:
    world.items(2)
    claimed = world.take(instances=1)
    world.settle(claimed, happened(EventKind.TLS_FAILED))
    world.finish(claimed)
    world.clock.pass_by(61)
    world.take()
    world.crash()
    reconciling.expire_leases(world.ledger)
    assert (world.row().breaker, world.row().probe_at) == ("open", world.clock.time)
    assert world.take().probe
