"""Retry, cancel, release: how many first, then consent, then exactly those."""

from __future__ import annotations

import getpass

import pytest
from sqlalchemy import insert, select

from gurney.ledger import refusals
from gurney.ledger.models import Audit, Refusal
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState
from tests.daemon.cli.desk import Desk
from tests.ledger.world import CT, happened

READY, FAILED, DEAD, DONE, HELD, CANCELLED = (
    ItemState.READY,
    ItemState.FAILED,
    ItemState.DEAD,
    ItemState.DONE,
    ItemState.HELD,
    ItemState.CANCELLED,
)


@pytest.fixture
def ids(desk: Desk) -> dict[ItemState, list[int]]:
    """Two failed, one dead and one done item at the archive, one failed at research."""
    world = desk.world
    found = {state: world.items(n, state=state) for state, n in ((FAILED, 2), (DEAD, 1), (DONE, 1))}
    found[FAILED] += world.items(1, state=FAILED, study="1.3", destination="research")
    return found


def test_retry_says_what_it_would_change_and_changes_it(desk: Desk, ids: dict[ItemState, list[int]]) -> None:
    answer = desk("retry", "--to", "archive", "--yes", "--json")
    assert answer.code == 0
    assert answer.json == {"items": 3, "destinations": {"archive": {"failed": 2, "dead": 1}}}
    assert "archive: 2 failed, 1 dead" in answer.err
    assert desk.world.states(ids[FAILED] + ids[DEAD] + ids[DONE]) == [READY, READY, FAILED, READY, DONE]
    desk.world.assert_counts_are_true()


@pytest.mark.parametrize(
    ("args", "left_alone"),
    [
        (["--transfer", "1"], [2]),
        (["--study", "1.3"], [0, 1]),
        (["--state", "failed"], []),
        (["--to", "archive", "--state", "dead"], [0, 1, 2]),
        (["--all"], []),
    ],
)
def test_the_selection_is_kept_to(
    desk: Desk, ids: dict[ItemState, list[int]], args: list[str], left_alone: list[int]
) -> None:
    assert desk("retry", *args, "-y").code == 0
    states = desk.world.states(ids[FAILED])
    assert [index for index, state in enumerate(states) if state is FAILED] == left_alone


def test_whoever_acts_is_named_in_the_trail(desk: Desk, ids: dict[ItemState, list[int]]) -> None:
    desk("retry", "--to", "archive", "--yes")
    with desk.ledger.read() as conn:
        actors = conn.scalars(select(Audit.actor).where(Audit.action == "items.retried")).all()
    assert set(actors) == {getpass.getuser()}


@pytest.mark.parametrize(("typed", "code", "state"), [("y\n", 0, READY), ("n\n", 1, FAILED), ("\n", 1, FAILED)])
def test_a_person_is_asked(
    desk: Desk, ids: dict[ItemState, list[int]], typed: str, code: int, state: ItemState
) -> None:
    answer = desk("retry", "--to", "research", "--json", typed=typed)
    assert answer.code == code
    assert "1 item: try them again?" in answer.err
    assert desk.world.states(ids[FAILED][2:]) == [state]


def test_without_a_terminal_consent_must_be_given_beforehand(desk: Desk, ids: dict[ItemState, list[int]]) -> None:
    answer = desk("retry", "--all")
    assert (answer.code, answer.out) == (2, "")
    assert "4 items" in answer.err
    assert "--yes" in answer.err
    assert desk.world.states(ids[FAILED]) == [FAILED] * 3


@pytest.mark.parametrize("command", ["retry", "cancel", "release"])
def test_everything_must_be_asked_for_by_name(desk: Desk, command: str) -> None:
    assert desk(command, "--yes").code == 2
    assert desk(command, "--all", "--to", "archive", "--yes").code == 2


@pytest.mark.usefixtures("ids")
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["retry", "--to", "archvie", "-y"], 1, "did you mean 'archive'?"),
        (["retry", "--transfer", "99", "-y"], 1, "no transfer 99"),
        (["cancel", "--study", "9.9", "-y"], 1, "no transfer of a study 9.9"),
        (["retry", "--state", "done", "-y"], 2, "failed, dead, cancelled, retry"),
        (["cancel", "--state", "done", "-y"], 2, "ready, retry, held, running"),
    ],
)
def test_what_cannot_be_meant(desk: Desk, args: list[str], code: int, words: str) -> None:
    answer = desk(*args)
    assert answer.code == code
    assert words in answer.err


@pytest.mark.usefixtures("ids")
def test_nothing_to_do_needs_no_consent(desk: Desk) -> None:
    answer = desk("cancel", "--to", "archive")
    assert answer.code == 0
    assert "no such item" in answer.out
    assert desk("cancel", "--to", "archive", "--json").json == {"items": 0, "destinations": {}}


def test_retry_probes_at_once_and_forgets_refusals(desk: Desk) -> None:
    world = desk.world
    world.items(1)
    for _ in range(3):
        claim = world.take()
        world.settle(claim, happened(EventKind.CONNECT_FAILED))
        world.finish(claim, faults=1)
        if world.row().breaker != "open":
            world.clock.pass_by(1_000)
    with world.ledger.write() as tx:
        tx.conn.execute(
            insert(Refusal).values(
                destination_id=world.row().id,
                sop_class_uid=CT,
                transfer_syntax_uid="",
                words="no",
                until=tx.now + 9_999,
            )
        )
    assert world.row().probe_at > world.clock.time
    assert desk("retry", "--to", "archive").code == 0  # nothing has failed, so nothing is asked
    assert world.row().probe_at <= desk.ledger.now()
    assert desk.ledger.transact(refusals.active, world.row().id) == {}


def test_cancel_and_back(desk: Desk) -> None:
    items = desk.world.items(2)
    assert desk("cancel", "--to", "archive", "--yes", "--json").json["items"] == 2
    assert desk.world.states(items) == [CANCELLED] * 2
    assert desk("retry", "--transfer", 1, "--yes", "--json").json["destinations"] == {"archive": {"cancelled": 2}}
    assert desk.world.states(items) == [READY] * 2


def test_release_lets_go_what_is_held(desk: Desk) -> None:
    items = desk.world.items(2, state=HELD, held_for="rule")
    other = desk.world.items(1, study="1.9", state=HELD, held_for="study_complete")
    answer = desk("release", "--study", "1.2", "--yes", "--json")
    assert answer.json == {"items": 2, "destinations": {"archive": {"held": 2}}}
    assert desk.world.states(items + other) == [READY, READY, HELD]


def test_postgresql(postgresql_desk: Desk) -> None:
    items = postgresql_desk.world.items(3, state=FAILED)
    assert postgresql_desk("retry", "--study", "1.2", "--yes", "--json").json["items"] == 3
    assert postgresql_desk.world.states(items) == [READY] * 3


def test_retry_says_of_a_paused_destination_that_it_stays_paused(desk: Desk) -> None:
    desk.world.items(1, state=ItemState.FAILED)
    desk("pause", "archive")
    assert "`gurney resume archive`" in desk("retry", "--all", "--yes").err
    assert "`gurney resume archive`" in desk("retry", "--to", "archive", "--yes").err
    desk("resume", "archive")
    assert "resume" not in desk("retry", "--to", "archive", "--yes").err
