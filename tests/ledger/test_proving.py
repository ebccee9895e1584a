"""What is to be proven is asked for once per rest, is kept until it is proven, and never ends in a loop."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from gurney.ledger import commitments, completion, destinations, retention
from gurney.ledger.models import Destination, File, ProofWanted
from gurney.ledger.proving import anew, errands, findings, standing
from gurney.ledger.proving.errands import COMMITMENT, FIND
from gurney.ledger.proving.findings import Absent
from gurney.ledger.selection import Selection
from gurney.transfer.commitment import MOST_ASKED
from gurney.transfer.states import ItemState, Proof
from tests.ledger.world import World

QUIET, TIMEOUT = 60.0, 100.0
P = Proof


def rest(world: World) -> None:
    """Let every transfer come to rest."""
    world.clock.pass_by(QUIET)
    completion.complete_quiet(world.ledger, QUIET, 1_800.0, "reconciler")


def due(world: World, how: str = COMMITMENT) -> list[int]:
    with world.ledger.read() as conn:
        return [one.item_id for one in errands.due(conn, "archive", how, world.clock.time)]


def wanted(world: World) -> dict[int, str]:
    with world.ledger.read() as conn:
        return {row.item_id: row.how for row in conn.execute(select(ProofWanted.item_id, ProofWanted.how))}


def ask(world: World, ids: list[int], uid: str) -> int:
    return len(world.ledger.transact(commitments.request, uid, "archive", ids, "prover"))


def told(world: World) -> dict[str, Any]:
    with world.ledger.read() as conn:
        return standing.standing(conn, world.clock.time)["archive"]


def proofs(world: World, ids: list[int]) -> list[Proof]:
    return [Proof(world.item(item_id).proof) for item_id in ids]


@pytest.mark.parametrize(
    ("columns", "how"),
    [
        ({"commitment": "after_study"}, COMMITMENT),
        ({"commitment": "after_study", "verify": True}, COMMITMENT),
        ({"verify": True}, FIND),
        ({}, None),
    ],
)
def test_what_has_come_to_rest_is_wanted_once(world: World, columns: dict[str, Any], how: str | None) -> None:
    world.destination(**columns)
    ids = world.items(3)
    world.send_all()
    assert wanted(world) == {}, "it is not at rest yet"
    rest(world)
    assert wanted(world) == (dict.fromkeys(ids, how) if how else {})
    rest(world)
    assert len(wanted(world)) == (3 if how else 0)


def test_before_delete_asks_for_what_we_keep_no_other_copy_of(world: World) -> None:
    world.destination(commitment="before_delete")
    kept, deleted, pushed = world.items(3)
    world.change(File, world.item(deleted).file_id, after="delete")
    world.change(File, world.item(pushed).file_id, door="receive")
    world.send_all()
    rest(world)
    assert set(wanted(world)) == {deleted, pushed}
    assert kept not in due(world)


def test_nothing_is_due_at_a_destination_that_must_be_left_alone(world: World) -> None:
    world.destination(commitment="after_study")
    ids = world.items(2)
    world.send_all()
    rest(world)
    assert due(world) == ids
    for columns, harmless in (
        ({"paused_by": "night"}, {"paused_by": ""}),
        ({"breaker": "open"}, {"breaker": "closed"}),
        ({"hold_reason": "unknown AE"}, {"hold_reason": ""}),
    ):
        world.change(Destination, world.destination(), **columns)
        assert due(world) == [], columns
        world.change(Destination, world.destination(), **harmless)
    world.ledger.transact(errands.note_trouble, "archive", "offers none", (30.0, 60.0))
    assert due(world) == []
    assert (told(world)["trouble"], told(world)["wanted"]) == ("offers none", 2)
    world.clock.pass_by(31)
    world.ledger.transact(errands.note_trouble, "archive", "offers none", (30.0, 60.0))
    world.clock.pass_by(31)
    assert due(world) == [], "it waits longer each time"
    assert told(world)["trouble_seconds"] == 62.0
    world.ledger.transact(errands.clear_trouble, "archive")
    assert due(world) == ids
    assert told(world)["trouble"] == ""


def test_what_is_asked_for_leaves_the_list_and_comes_back_when_nobody_answers(world: World) -> None:
    world.destination(commitment="after_study", verify=True)
    ids = world.items(2)
    world.send_all()
    rest(world)
    for n in range(MOST_ASKED):
        assert due(world) == ids, n
        assert ask(world, ids, f"2.25.{n}") == 2
        assert (due(world), wanted(world)) == ([], {})
        assert told(world)["requested"] == 2
        world.clock.pass_by(TIMEOUT)
        assert world.ledger.transact(commitments.overdue, "archive", TIMEOUT, "prover") == 2
        assert told(world)["overdue"] == 2
        assert due(world) == [], "not at once"
        world.clock.pass_by(24 * 3600)
    assert due(world) == []
    assert due(world, FIND) == ids, "we look for ourselves"


def test_without_a_query_an_archive_that_never_answers_is_overdue_until_somebody_asks_again(world: World) -> None:
    world.destination(commitment="after_study")
    ids = world.items(1)
    world.send_all()
    rest(world)
    for n in range(MOST_ASKED):
        ask(world, due(world), f"2.25.{n}")
        world.clock.pass_by(24 * 3600)
        world.ledger.transact(commitments.overdue, "archive", TIMEOUT, "prover")
        world.clock.pass_by(24 * 3600)
    assert (wanted(world), proofs(world, ids)) == ({}, [P.OVERDUE])
    assert anew.prove_again(world.ledger, Selection(destination="archive"), "anna") == 1
    assert due(world) == ids
    assert anew.prove_again(world.ledger, Selection(destination="archive"), "anna") == 1, "asked twice is asked once"
    assert len(wanted(world)) == 1


def test_a_request_that_is_refused_is_made_again_later_with_another_uid(world: World) -> None:
    world.destination(commitment="after_study")
    ids = world.items(2)
    world.send_all()
    rest(world)
    ask(world, ids, "2.25.1")
    assert world.ledger.transact(commitments.not_taken, "2.25.1", 0x0110, "prover") == 2
    assert (due(world), proofs(world, ids)) == ([], [P.OVERDUE] * 2)
    world.clock.pass_by(24 * 3600)
    ask(world, due(world), "2.25.2")
    assert world.ledger.transact(commitments.not_taken, "2.25.2", 0x0131, "prover") == 2
    assert due(world) == ids, "that UID was taken: another will do at once"


def test_what_is_on_its_way_again_is_not_asked_for(world: World) -> None:
    world.destination(commitment="after_study")
    ids = world.items(2, state=ItemState.DONE)
    rest(world)
    ask(world, ids, "2.25.1")
    first = world.ledger.transact(commitments.answer, "2.25.1", "ARCHIVE", [], {"2.25.1": 0x0112}, "receiver")
    assert first is not None
    assert first.sent_again == 1
    assert wanted(world) == {}
    assert world.send_all() == ids[:1]
    rest(world)
    assert due(world) == ids[:1], "stored again, it is to be proven again"


def test_a_query_verifies_what_it_names_and_looks_again_for_the_rest(world: World) -> None:
    world.destination(verify=True)
    ids = world.items(2)
    world.send_all()
    rest(world)
    with world.ledger.read() as conn:
        found = errands.due(conn, "archive", FIND, world.clock.time)
    assert {(one.study_instance_uid, one.sop_instance_uid) for one in found} == {("1.2", "2.25.1"), ("1.2", "2.25.2")}
    world.ledger.transact(findings.present, "archive", ids[:1], "prover")
    assert proofs(world, ids) == [P.VERIFIED, P.NONE]
    for _ in range(3):
        assert world.ledger.transact(findings.absent, "archive", ids[1:], "prover") == Absent(1, 0, 0, [])
        assert due(world, FIND) == []
        world.clock.pass_by(3600)
        assert due(world, FIND) == ids[1:]
    again = world.ledger.transact(findings.absent, "archive", ids[1:], "prover")
    assert (again.sent_again, [bell.destination for bell in again.bells]) == (1, ["archive"])
    assert (world.states(ids), wanted(world)) == ([ItemState.DONE, ItemState.READY], {})
    world.send_all()
    rest(world)
    for _ in range(4):
        last = world.ledger.transact(findings.absent, "archive", ids[1:], "prover")
    assert last == Absent(0, 0, 1, [])
    assert (proofs(world, ids), world.states(ids)) == ([P.VERIFIED, P.REFUSED], [ItemState.DONE] * 2)
    assert "does not find it" in world.item(ids[1]).last_words
    assert told(world) == {
        "commitment": "none",
        "verify": "find",
        "wanted": 0,
        "requested": 0,
        "refused": 1,
        "overdue": 0,
        "oldest_seconds": None,
        "trouble": "",
        "trouble_seconds": None,
    }


def test_a_commitment_is_more_than_a_query(world: World) -> None:
    ids = world.items(1, state=ItemState.DONE, proof=int(P.COMMITTED))
    world.ledger.transact(findings.present, "archive", ids, "prover")
    assert proofs(world, ids) == [P.COMMITTED]


def test_nobody_is_asked_who_is_not_to_prove_anything(world: World) -> None:
    world.items(1, state=ItemState.DONE)
    assert anew.prove_again(world.ledger, Selection(destination="archive"), "anna") is None
    with world.ledger.read() as conn:
        assert standing.standing(conn, world.clock.time) == {}


@pytest.mark.parametrize("proof", [P.NONE, P.REQUESTED, P.OVERDUE, P.REFUSED, P.COMMITTED, P.VERIFIED])
def test_the_spool_keeps_what_may_have_to_be_sent_again(world: World, proof: Proof) -> None:
    world.destination(commitment="after_study")
    world.items(1, state=ItemState.DONE, proof=int(proof), settled_at=world.clock.time)
    if proof is P.NONE:
        rest(world)
    world.clock.pass_by(1_000)
    with world.ledger.read() as conn:
        files = retention.releasable(conn, world.spool(), world.clock.time - 1, 0, 10)
    assert bool(files) is (proof in (P.COMMITTED, P.VERIFIED))


def test_the_configuration_says_who_is_to_prove(world: World) -> None:
    spec = destinations.DestinationSpec("archive", "ARCHIVE", "US", commitment="before_delete", verify=True)
    world.ledger.transact(destinations.sync, [spec], "configuration")
    row = world.row()
    assert (row.commitment, row.verify) == ("before_delete", True)
