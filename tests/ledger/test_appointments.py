"""Appointments are noted once, change what they asked for when they change, and withdraw only what nobody has begun."""

from __future__ import annotations

import dataclasses

from sqlalchemy import select

from gurney.ledger import aliases, appointments
from gurney.ledger.appointments import HL7, Change, Expected
from gurney.ledger.models import Retrieval
from gurney.ledger.retrieving.requests import Request, ask
from gurney.transfer.retrieving import RetrievalState
from tests.ledger.world import World

NOON = 1_800_000_000.0
ONE = Expected("4711", ("P0",), NOON, "ACC1", description="CT Thorax", modality="CT")


def note(world: World, one: Expected = ONE, told_at: float = NOON - 100) -> Change:
    return world.ledger.transact(appointments.note, HL7, one, told_at, told_at, "hl7")


def fetch(world: World, key: str, study: str) -> int:
    world.destination()
    asked = world.ledger.transact(ask, Request("archive", study, origin="prefetch:x"), "hl7")
    world.ledger.transact(appointments.link, HL7, key, [asked.retrieval_id])
    return asked.retrieval_id


def state(world: World, retrieval_id: int) -> RetrievalState:
    with world.ledger.read() as conn:
        return RetrievalState(conn.scalars(select(Retrieval.state).where(Retrieval.id == retrieval_id)).one())


def due(world: World, now: float = NOON - 50, *, rule: str = "priors", anew: bool = False) -> list[str]:
    with world.ledger.read() as conn:
        return [one.key for one in appointments.due(conn, rule, now - 3600, now + 86_400, now, anew=anew)]


def test_what_is_told_again_changes_nothing(world: World) -> None:
    assert note(world) is Change.NEW
    with world.ledger.read() as conn:
        assert appointments.stands(conn, HL7, ONE, NOON)
        assert not appointments.stands(conn, HL7, dataclasses.replace(ONE, modality="MR"), NOON)
    assert note(world, told_at=NOON) is Change.SAME
    assert note(world, dataclasses.replace(ONE, scheduled_at=NOON + 60)) is Change.CHANGED


def test_an_old_message_brings_nothing_back(world: World) -> None:
    note(world)
    world.ledger.transact(appointments.cancel, HL7, "4711", NOON, NOON, "hl7")
    with world.ledger.read() as conn:
        assert appointments.stands(conn, HL7, ONE, NOON - 1)
        assert appointments.is_cancelled(conn, HL7, "4711", NOON + 1)
    assert note(world, told_at=NOON - 1) is Change.STALE
    assert due(world) == []
    assert note(world, told_at=NOON + 1) is Change.CHANGED
    assert due(world) == ["4711"]


def test_what_is_cancelled_before_it_is_known_does_not_come_with_an_older_order(world: World) -> None:
    world.ledger.transact(appointments.cancel, HL7, "4711", NOON, NOON, "hl7")
    assert note(world, told_at=NOON - 1) is Change.STALE


def test_each_rule_sees_to_an_appointment_once(world: World) -> None:
    note(world)
    world.ledger.transact(appointments.seen_to, HL7, "4711", "priors")
    assert (due(world), due(world, rule="other"), due(world, anew=True)) == ([], ["4711"], ["4711"])
    note(world, dataclasses.replace(ONE, scheduled_at=NOON + 60))
    assert due(world) == ["4711"], "it has changed"


def test_what_is_expected_of_a_patient_with_another_id_is_seen_to_again(world: World) -> None:
    note(world)
    note(world, dataclasses.replace(ONE, key="other", patient_ids=("P1",)))
    for key in ("4711", "other"):
        world.ledger.transact(appointments.seen_to, HL7, key, "priors")
    assert world.ledger.transact(appointments.see_again, ("P0", "OLD"), NOON - 50) == 1
    assert due(world) == ["4711"]
    world.ledger.transact(appointments.seen_to, HL7, "4711", "priors")
    assert world.ledger.transact(appointments.see_again, ("P0", "OLD"), NOON + 50) == 0, "that one is over"


def test_what_could_not_be_asked_is_tried_again_later(world: World) -> None:
    note(world)
    world.ledger.transact(appointments.try_again, HL7, "4711", "priors", NOON)
    assert due(world, NOON - 1) == []
    assert due(world, NOON) == ["4711"]


def test_only_what_is_within_reach_is_due(world: World) -> None:
    note(world, dataclasses.replace(ONE, key="past", scheduled_at=NOON - 10_000))
    note(world, dataclasses.replace(ONE, key="far", scheduled_at=NOON + 200_000))
    note(world, dataclasses.replace(ONE, key="soon", scheduled_at=NOON + 60))
    note(world, dataclasses.replace(ONE, key="unset", scheduled_at=None))
    assert set(due(world)) == {"soon", "unset"}


def test_a_cancellation_withdraws_what_nobody_has_begun_and_nobody_else_wants(world: World) -> None:
    note(world)
    note(world, dataclasses.replace(ONE, key="other"))
    alone, begun, shared = fetch(world, "4711", "1.1"), fetch(world, "4711", "1.2"), fetch(world, "4711", "1.3")
    world.ledger.transact(appointments.link, HL7, "other", [shared])
    world.change(Retrieval, begun, fence=1)
    assert world.ledger.transact(appointments.cancel, HL7, "4711", NOON, NOON, "hl7") == [alone]
    states = [state(world, one) for one in (alone, begun, shared)]
    assert states == [RetrievalState.CANCELLED, RetrievalState.WAITING, RetrievalState.WAITING]
    assert world.ledger.transact(appointments.cancel, HL7, "other", NOON, NOON, "hl7") == [shared]


def test_what_a_person_asked_for_too_stays(world: World) -> None:
    note(world)
    after, before = fetch(world, "4711", "1.1"), world.ledger.transact(ask, Request("archive", "1.2"), "anna")
    assert not world.ledger.transact(ask, Request("archive", "1.1"), "anna").is_new
    assert fetch(world, "4711", "1.2") == before.retrieval_id
    assert world.ledger.transact(appointments.cancel, HL7, "4711", NOON, NOON, "hl7") == []
    assert [state(world, one) for one in (after, before.retrieval_id)] == [RetrievalState.WAITING] * 2


def test_what_a_list_names_no_more_has_vanished(world: World) -> None:
    for key, at in (("a", NOON), ("b", NOON + 60), ("later", NOON + 100_000)):
        world.ledger.transact(appointments.note, "rule:x", Expected(key, (), at), NOON, NOON, "scheduler")
    with world.ledger.read() as conn:
        assert appointments.vanished(conn, "rule:x", ["a"], NOON, NOON + 86_400) == ["b"]
        assert appointments.vanished(conn, "rule:y", [], NOON, NOON + 86_400) == []


def test_what_is_long_past_is_forgotten(world: World) -> None:
    note(world)
    fetch(world, "4711", "1.1")
    world.ledger.transact(appointments.seen_to, HL7, "4711", "priors")
    assert world.ledger.transact(appointments.forget, NOON - 1_000) == 0
    assert world.ledger.transact(appointments.forget, NOON + 1) == 1
    assert due(world, anew=True) == []


def test_ids_that_were_joined_stay_one_patients(world: World) -> None:
    join = lambda *ids: world.ledger.transact(aliases.join, ids)  # noqa: E731 - a verb of the test
    assert join("A", "B")
    assert not join("B", "A")
    assert not join("A")
    assert join("C", "D")
    assert join("E", "D")
    with world.ledger.read() as conn:
        assert aliases.known_ids(conn, ["A"]) == ("A", "B")
        assert aliases.known_ids(conn, ["D"]) == ("D", "C", "E")
        assert aliases.known_ids(conn, ["X"]) == ("X",)
        assert not aliases.are_one(conn, ["A", "C"])
    assert join("B", "C")
    with world.ledger.read() as conn:
        assert aliases.known_ids(conn, ["E"]) == ("E", "A", "B", "C", "D")
        assert aliases.are_one(conn, ["A", "E"])
