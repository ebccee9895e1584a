"""Quiet periods: when a study rests, what that lets go, and what each of them covers."""

from __future__ import annotations

from sqlalchemy import func, select, update

from gurney.ledger import completion, operations
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Completion, Transfer
from gurney.ledger.selection import Selection
from gurney.transfer.states import ItemState
from tests.ledger.world import World

S = ItemState
QUIET, MAX_WAIT = 60.0, 1_800.0


def complete(world: World) -> list[Bell]:
    """Note what has come to rest."""
    return completion.complete_quiet(world.ledger, QUIET, MAX_WAIT, "reconciler")


def completions(world: World) -> list[tuple[int, int]]:
    """Return what each quiet period covered: the last item and how many."""
    with world.ledger.read() as conn:
        rows = conn.execute(select(Completion.last_item_id, Completion.instances).order_by(Completion.id))
        return [(row.last_item_id, row.instances) for row in rows]


def test_a_transfer_to_which_nothing_comes_is_complete_once(world: World) -> None:
    ids = world.items(3)
    assert complete(world) == []
    assert completions(world) == []
    world.clock.pass_by(QUIET)
    complete(world)
    assert completions(world) == [], "it is still on its way"
    world.send_all()
    complete(world)
    complete(world)
    assert completions(world) == [(ids[-1], 3)]
    with world.ledger.read() as conn:
        assert conn.scalar(select(Transfer.quiet_since)) == world.clock.time


def test_what_comes_late_is_a_quiet_period_of_its_own(world: World) -> None:
    world.items(2)
    world.send_all()
    world.clock.pass_by(QUIET)
    complete(world)
    (late,) = world.items(1)
    world.send_all()
    with world.ledger.write() as tx:
        tx.conn.execute(update(Transfer).values(last_arrival_at=world.clock.time, quiet_since=None))
    complete(world)
    world.clock.pass_by(QUIET)
    complete(world)
    assert completions(world)[1:] == [(late, 1)]


def test_what_waits_for_its_study_goes_when_that_is_complete(world: World) -> None:
    study = world.items(2, state=S.HELD, held_for="study_complete")
    series = world.items(1, state=S.HELD, held_for="series_complete")
    rule = world.items(1, state=S.HELD, held_for="rule")
    complete(world)
    world.clock.pass_by(QUIET)
    assert complete(world) == [Bell("archive", world.spool(), "work")]
    assert world.states(study + series + rule) == [S.READY] * 3 + [S.HELD]


def arrive(world: World, held_for: str, series: str = "1") -> list[int]:
    """Let one more instance come to a study that trickles in."""
    ids = world.items(1, state=S.HELD, held_for=held_for, series=series)
    with world.ledger.write() as tx:
        tx.conn.execute(update(Transfer).values(last_arrival_at=world.clock.time))
    return ids


def test_a_series_goes_before_its_study(world: World) -> None:
    first = arrive(world, held_for="series_complete", series="1")
    world.clock.pass_by(QUIET)
    second = arrive(world, held_for="series_complete", series="2")
    complete(world)
    assert world.states(first + second) == [S.READY, S.HELD]


def test_nothing_waits_for_ever_for_a_study_that_trickles_in(world: World) -> None:
    first = arrive(world, held_for="study_complete")
    for _ in range(60):
        world.clock.pass_by(QUIET / 2)
        arrive(world, held_for="study_complete")
        complete(world)
    assert world.states(first) == [S.READY]
    assert completions(world) == []


def test_an_arrival_between_looking_and_writing_keeps_a_transfer_restless(world: World) -> None:
    world.items(1)
    world.clock.pass_by(QUIET)
    with world.ledger.write() as tx:
        tx.conn.execute(update(Transfer).values(last_arrival_at=world.clock.time))
        completion._complete(tx, 1, QUIET, "reconciler")
        assert tx.conn.scalar(select(func.count()).select_from(Completion)) == 0


def quiet_since(world: World, transfer_id: int = 1) -> float | None:
    with world.ledger.read() as conn:
        return conn.scalar(select(Transfer.quiet_since).where(Transfer.id == transfer_id))


def test_what_was_let_go_is_covered_when_it_has_been_sent(world: World) -> None:
    (first,) = world.items(1)
    world.send_all()
    held = world.items(2, state=S.HELD, held_for="study_complete")
    world.clock.pass_by(QUIET)
    complete(world)
    assert completions(world) == [(first, 1)]
    assert quiet_since(world) is None, "it is under way again"
    complete(world)
    world.send_all()
    complete(world)
    assert completions(world) == [(first, 1), (held[-1], 2)]
    assert quiet_since(world) == world.clock.time


def test_a_study_of_which_everything_waits_is_complete_before_it_is_sent(world: World) -> None:
    held = world.items(2, state=S.HELD, held_for="study_complete")
    world.clock.pass_by(QUIET)
    complete(world)
    assert completions(world) == [(0, 0)], "what comes late goes at once"
    world.send_all()
    complete(world)
    complete(world)
    assert completions(world) == [(0, 0), (held[-1], 2)]


def test_a_study_is_not_complete_while_it_arrives_for_another_destination(world: World) -> None:
    report = world.items(1, destination="reading", state=S.HELD, held_for="study_complete")
    for _ in range(4):
        world.clock.pass_by(QUIET / 2)
        world.items(1)
        complete(world)
    assert world.states(report) == [S.HELD]
    assert completions(world) == []
    world.clock.pass_by(QUIET)
    complete(world)
    assert world.states(report) == [S.READY]


def test_what_is_retried_rests_no_more_and_is_covered_once(world: World) -> None:
    (item,) = world.items(1, state=S.CANCELLED)
    world.clock.pass_by(QUIET)
    complete(world)
    assert quiet_since(world) is not None
    operations.retry(world.ledger, Selection(), "somebody")
    assert quiet_since(world) is None
    world.send_all()
    complete(world)
    assert quiet_since(world) is not None
    assert completions(world) == [(item, 1)]
