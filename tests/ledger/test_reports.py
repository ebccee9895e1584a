"""What people and scripts are told, in the shapes that they hold on to."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import select, update

from gurney.ledger import destinations, reports, resending
from gurney.ledger.models import Instance, Lease
from gurney.transfer.outcomes import EventKind
from gurney.transfer.states import ItemState, Priority, Routing
from tests.ledger.world import World, aborted, answered, happened

STATES = {"ready", "running", "retry", "done", "warned", "failed", "dead", "cancelled"}


def status(world: World) -> dict[str, Any]:
    """Ask as `gurney status` does."""
    with world.ledger.read() as conn:
        return reports.destination_states(conn, world.clock.time)


def test_a_destination_tells_its_state_queue_age_and_last_error(world: World) -> None:
    first, *_ = world.items(3)
    world.items(1, destination="workstation")
    claimed = world.take(instances=2)
    world.settle(claimed, {first: answered(0xC123)})
    world.clock.pass_by(10)
    shown = status(world)
    archive = shown["archive"]
    assert {"state", "ready", "running", "retry", "failed", "oldest_seconds", "last_error"} <= archive.keys()
    assert (archive["state"], archive["ready"], archive["running"], archive["retry"]) == ("closed", 1, 1, 1)
    assert (archive["oldest_seconds"], archive["associations"], archive["last_error_seconds"]) == (10.0, 1, 10.0)
    assert "C123" in archive["last_error"]
    assert shown["workstation"]["oldest_seconds"] == 10.0
    json.dumps(shown)


def test_an_idle_destination_has_nothing_old(world: World) -> None:
    world.items(1)
    world.send_all()
    assert status(world)["archive"]["oldest_seconds"] is None


def test_the_oldest_may_be_on_the_wire_or_waiting(world: World) -> None:
    world.items(1)
    claimed = world.take()
    world.clock.pass_by(5)
    assert status(world)["archive"]["oldest_seconds"] == 5.0
    world.settle(claimed, aborted)
    world.finish(claimed)
    world.items(1, study="2", priority=Priority.STAT)
    world.clock.pass_by(1)
    assert status(world)["archive"]["oldest_seconds"] == 6.0


def test_shown_is_paused_before_held_before_the_breaker(world: World) -> None:
    world.items(1)
    claimed = world.take()
    world.settle(claimed, happened(EventKind.TLS_FAILED))
    world.finish(claimed)
    held = status(world)["archive"]
    assert held["state"] == "held"
    assert "TLS" in held["hold_reason"]
    assert held["next_probe_seconds"] == 60.0
    world.ledger.transact(destinations.pause, "archive", "somebody")
    assert (status(world)["archive"]["state"], status(world)["archive"]["paused_by"]) == ("paused", "somebody")


def test_a_study_tells_where_it_stands_at_each_destination(world: World) -> None:
    world.items(2, study="1.2")
    world.items(1, study="1.2", destination="workstation", state=ItemState.DEAD)
    world.items(1, study="9")
    world.send_all()
    with world.ledger.read() as conn:
        told = reports.study_report(conn, "1.2")
        assert reports.study_report(conn, "nothing") is None
    assert told is not None
    assert (told["study_instance_uid"], told["instances"]) == ("1.2", 3)
    assert set(told["destinations"]) == {"archive", "workstation"}
    assert told["destinations"]["archive"].keys() >= STATES
    assert told["destinations"]["archive"]["done"] == 2
    assert told["destinations"]["workstation"]["dead"] == 1
    json.dumps(told)


def test_a_study_says_why_most_of_it_is_not_stored_in_its_newest_generation(world: World) -> None:
    for n, words in ((1, "rare"), (2, "frequent")):
        world.items(n, study="1.2", state=ItemState.FAILED, last_words=words)
    world.items(3, study="1.2", last_words="ready again")
    with world.ledger.read() as conn:
        first = reports.study_report(conn, "1.2")
    world.ledger.transact(resending.resend, "1.2", "archive", "somebody")
    with world.ledger.read() as conn:
        again = reports.study_report(conn, "1.2")
    assert first is not None
    assert again is not None
    assert (first["reasons"], again["reasons"]) == ({"archive": {"words": "frequent", "items": 2}}, {})


def test_a_second_version_of_an_instance_is_no_second_instance(world: World) -> None:
    world.items(3, study="1.2")
    with world.ledger.write() as tx:
        first, second = tx.conn.scalars(select(Instance.id).order_by(Instance.id).limit(2)).all()
        uid = tx.conn.scalar(select(Instance.sop_instance_uid).where(Instance.id == first))
        tx.conn.execute(update(Instance).where(Instance.id == first).values(routing=int(Routing.NO_ROUTE)))
        tx.conn.execute(update(Instance).where(Instance.id == second).values(sop_instance_uid=uid, version=2))
    with world.ledger.read() as conn:
        study = reports.study_report(conn, "1.2")
        transfer = reports.transfer_report(conn, 1)
    assert study is not None
    assert (study["instances"], [series["instances"] for series in study["series"]]) == (2, [2])
    assert study["not_routed"] == []
    assert transfer is not None
    told = [(item["version"], item["superseded"]) for item in transfer["items"]]
    assert told == [(1, True), (2, False), (1, False)]


def test_transfers_are_listed_newest_first_and_page_by_page(world: World) -> None:
    for study in range(5):
        world.items(1, study=f"1.{study}", state=ItemState.FAILED if study == 3 else ItemState.READY)
    with world.ledger.read() as conn:
        page = reports.list_transfers(conn, limit=2)
        rest = reports.list_transfers(conn, limit=9, before_id=page[-1]["id"])
        failed = reports.list_transfers(conn, state=ItemState.FAILED)
        one = reports.list_transfers(conn, destination="archive", study_instance_uid="1.0")
    assert [told["study_instance_uid"] for told in page + rest] == [f"1.{study}" for study in (4, 3, 2, 1, 0)]
    assert [told["study_instance_uid"] for told in failed] == ["1.3"]
    assert (one[0]["ready"], one[0]["quiet"]) == (1, False)
    json.dumps(page)


def test_a_transfer_tells_of_each_item_and_an_item_of_each_attempt(world: World) -> None:
    first, second = world.items(2)
    claimed = world.take()
    world.settle(claimed, {first: answered(0xA700), second: answered(0)})
    with world.ledger.read() as conn:
        told = reports.transfer_report(conn, claimed.transfer_id)
        trail = reports.item_trail(conn, first)
        assert reports.transfer_report(conn, 99) is None
    assert told is not None
    assert (told["counts"]["retry"], told["counts"]["done"]) == (1, 1)
    assert [(item["state"], item["status"], item["attempts"]) for item in told["items"]] == [
        ("retry", "A700", 1),
        ("done", "0000", 0),
    ]
    assert [(attempt["outcome"], attempt["status"], attempt["endpoint"]) for attempt in trail] == [
        ("transient", "A700", "pacs:104")
    ]
    json.dumps([told, trail])


def test_associations_that_have_run_out_are_not_shown(world: World) -> None:
    world.items(1)
    claimed = world.take()
    world.change(Lease, claimed.ticket.id, until=world.clock.time)
    assert status(world)["archive"]["associations"] == 0
