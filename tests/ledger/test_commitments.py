"""A commitment is written before it is asked for, and its answers count once, whenever and in however many parts."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import select

from gurney.ledger import commitments
from gurney.ledger.commitments import Answered, Reference
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Commitment, CommitmentItem, File
from gurney.transfer.commitment import MOST_REFERENCES
from gurney.transfer.states import FileState, ItemState, Proof
from tests.ledger.world import CT, MR, World

S, P = ItemState, Proof


def ask(world: World, ids: Sequence[int], uid: str = "2.25.9") -> list[Reference]:
    return world.ledger.transact(commitments.request, uid, "archive", ids, "worker")


def say(
    world: World,
    committed: Sequence[Reference] = (),
    failed: dict[str, int | None] | None = None,
    *,
    uid: str = "2.25.9",
    ae_title: str = "ARCHIVE",
) -> Answered | None:
    return world.ledger.transact(commitments.answer, uid, ae_title, committed, failed or {}, "receiver")


def proofs(world: World, ids: Sequence[int]) -> list[Proof]:
    return [Proof(world.item(item_id).proof) for item_id in ids]


def state(world: World, uid: str = "2.25.9") -> str | None:
    with world.ledger.read() as conn:
        return conn.scalar(select(Commitment.state).where(Commitment.transaction_uid == uid))


def is_overdue(world: World) -> bool:
    with world.ledger.read() as conn:
        return commitments.is_overdue(conn, "archive", 100, world.clock.time)


def test_a_request_names_what_is_stored_and_not_asked_for_yet(world: World) -> None:
    done = world.items(2, state=S.DONE)
    (renamed,) = world.items(1, state=S.WARNED, sent_sop_instance_uid="2.25.77", sop_class_uid=MR)
    ready = world.items(1)
    references = ask(world, [*done, renamed, *ready])
    assert references == [Reference(CT, "2.25.1"), Reference(CT, "2.25.2"), Reference(MR, "2.25.77")]
    assert proofs(world, [*done, renamed, *ready]) == [P.REQUESTED] * 3 + [P.NONE]
    assert state(world) == "requested"
    assert ask(world, [*done, *ready], "2.25.10") == [], "it is asked for already"
    assert state(world, "2.25.10") is None


def test_a_request_has_a_bound(world: World) -> None:
    with pytest.raises(ValueError, match="at most"):
        ask(world, range(MOST_REFERENCES + 1))


def test_an_answer_in_parts_commits_each_part(world: World) -> None:
    ids = world.items(3, state=S.DONE)
    references = ask(world, ids)
    assert say(world, references[:1]) == Answered(1, 0, 0, 0, [])
    assert state(world) == "requested"
    assert say(world, references) == Answered(2, 0, 0, 0, [])
    assert proofs(world, ids) == [P.COMMITTED] * 3
    assert state(world) == "committed"
    assert say(world, references) == Answered(0, 0, 0, 0, []), "it counts once"
    assert say(world, failed={"2.25.1": 0x0112}) == Answered(0, 0, 0, 0, []), "what was committed stays"
    assert world.states(ids) == [S.DONE] * 3


def test_what_the_peer_does_not_have_is_sent_again_once(world: World) -> None:
    ids = world.items(2, state=S.DONE)
    references = ask(world, ids)
    answered = say(world, references[:1], {"2.25.2": 0x0112})
    assert answered == Answered(1, 1, 0, 0, [Bell("archive", world.spool(), "work")])
    assert world.states(ids) == [S.DONE, S.READY]
    assert (world.item(ids[1]).attempts, proofs(world, ids)) == (1, [P.COMMITTED, P.NONE])
    assert state(world) == "partial"
    assert world.send_all()
    assert ask(world, ids, "2.25.10") == references[1:]
    assert say(world, failed={"2.25.2": 0x0112}, uid="2.25.10") == Answered(0, 0, 0, 1, [])
    assert world.states(ids) == [S.DONE, S.DONE]
    assert proofs(world, ids) == [P.COMMITTED, P.REFUSED]
    assert state(world, "2.25.10") == "refused"


def test_what_can_not_be_sent_again_is_refused(world: World) -> None:
    ids = world.items(1, state=S.DONE)
    world.change(File, world.item(ids[0]).file_id, state=int(FileState.GONE), spool_path="")
    ask(world, ids)
    assert say(world, failed={"2.25.1": 0x0112}) == Answered(0, 0, 0, 1, [])
    assert (world.states(ids), proofs(world, ids)) == ([S.DONE], [P.REFUSED])


def test_what_may_pass_is_asked_again_and_what_does_not_pass_is_not(world: World) -> None:
    ids = world.items(3, state=S.DONE)
    ask(world, ids)
    assert say(world, failed={"2.25.1": 0x0213, "2.25.2": 0x0122, "2.25.3": None}) == Answered(0, 0, 2, 1, [])
    assert proofs(world, ids) == [P.OVERDUE, P.REFUSED, P.OVERDUE]
    assert [one.sop_instance_uid for one in ask(world, ids, "2.25.10")] == ["2.25.1", "2.25.3"]


def test_only_what_was_asked_counts_and_only_from_whom_it_was_asked(world: World) -> None:
    ids = world.items(2, state=S.DONE)
    references = ask(world, ids)
    assert say(world, references, uid="2.25.8") is None
    assert say(world, references, ae_title="OTHER") is None
    wrong_class = [Reference(MR, "2.25.1"), Reference(CT, "2.25.99")]
    assert say(world, wrong_class) == Answered(0, 0, 0, 0, [])
    assert say(world, references, {"2.25.1": 0x0110}) == Answered(1, 0, 1, 0, []), "both is not committed"
    assert proofs(world, ids) == [P.OVERDUE, P.COMMITTED]


def test_silence_is_overdue_and_a_late_answer_counts_all_the_same(world: World) -> None:
    ids = world.items(2, state=S.DONE)
    references = ask(world, ids)
    say(world, references[:1])
    world.clock.pass_by(99)
    assert world.ledger.transact(commitments.overdue, "archive", 100, "daemon") == 0
    assert not is_overdue(world)
    world.clock.pass_by(1)
    assert is_overdue(world)
    assert world.ledger.transact(commitments.overdue, "archive", 100, "daemon") == 1
    assert not is_overdue(world)
    assert world.ledger.transact(commitments.overdue, "archive", 100, "daemon") == 0
    assert (proofs(world, ids), state(world)) == ([P.COMMITTED, P.OVERDUE], "overdue")
    assert ask(world, ids, "2.25.10") == references[1:]
    assert say(world, references) == Answered(1, 0, 0, 0, [])
    assert (proofs(world, ids), state(world)) == ([P.COMMITTED] * 2, "committed")


def test_a_failure_of_an_older_request_does_not_touch_what_is_sent_again(world: World) -> None:
    ids = world.items(1, state=S.DONE)
    ask(world, ids)
    world.clock.pass_by(100)
    world.ledger.transact(commitments.overdue, "archive", 100, "daemon")
    ask(world, ids, "2.25.10")
    assert say(world, failed={"2.25.1": 0x0112}, uid="2.25.10") is not None
    assert world.states(ids) == [S.READY]
    assert say(world, failed={"2.25.1": 0x0112}) == Answered(0, 0, 0, 0, [])
    assert (world.states(ids), world.item(ids[0]).attempts) == ([S.READY], 1)
    with world.ledger.read() as conn:
        assert set(conn.scalars(select(CommitmentItem.reason))) == {0x0112}
