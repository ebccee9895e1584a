"""Retrievals: asked once, claimed by one, settled by what arrives, ended honestly, stopped by nobody else's fault."""

from __future__ import annotations

import pytest
from sqlalchemy import insert

from gurney.ledger import destinations
from gurney.ledger.errors import LeaseLost
from gurney.ledger.leases import LEASE_SECONDS
from gurney.ledger.models import Spool
from gurney.ledger.retrieving import claims, expectations, reports, requests, settlement
from gurney.ledger.retrieving.arrivals import Arrived, settle_arrivals
from gurney.ledger.retrieving.claims import ClaimedRetrieval, due_bells
from gurney.ledger.retrieving.expectations import Named
from gurney.ledger.retrieving.requests import Request
from gurney.ledger.terms import Denied
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.retrieving import Listing, Step, Verdict
from gurney.transfer.states import Priority
from tests.ledger.world import World, longest

GRACE = 10.0


class Desk:
    """What people and workers do with retrievals from the archive."""

    def __init__(self, world: World) -> None:
        self.world, self.ledger = world, world.ledger
        world.destination("archive")
        world.destination("station")
        self.spool = world.spool()

    def ask(self, study: str = "1.2", **more: object) -> int:
        return self.ledger.transact(requests.ask, Request("archive", study, **more), "op").retrieval_id  # type: ignore[arg-type]

    def claim(self, worker: str = "w1", at_once: int = 1) -> ClaimedRetrieval | Denied:
        return self.ledger.transact(claims.claim, "archive", worker, self.spool, at_once=at_once)

    def take(self, worker: str = "w1", at_once: int = 1) -> ClaimedRetrieval:
        claimed = self.claim(worker, at_once)
        assert isinstance(claimed, ClaimedRetrieval), claimed
        return claimed

    def expect(self, claimed: ClaimedRetrieval, *uids: str, series: str = "1.2.1") -> None:
        named = [Named(series, uid) for uid in uids]
        self.ledger.transact(expectations.expect, claimed.ticket, named)
        self.ledger.transact(
            expectations.listed, claimed.ticket, Listing.TRUSTED, words="", said=len(uids), nearline=False
        )

    def round(self, claimed: ClaimedRetrieval, *arrivals: str) -> Verdict:
        self.ledger.transact(settlement.begin_round, claimed.ticket)
        self.arrive(*arrivals)
        self.ledger.transact(settlement.answered, claimed.ticket, 0)
        return self.conclude(claimed)

    def conclude(self, claimed: ClaimedRetrieval) -> Verdict:
        conclusion = self.ledger.transact(lambda tx: settlement.conclude(tx, claimed.ticket, GRACE, uniform=longest))
        assert conclusion is not None
        return conclusion.verdict

    def arrive(self, *uids: str, study: str = "1.2", series: str = "1.2.1") -> None:
        if uids:
            self.ledger.transact(settle_arrivals, [Arrived(study, series, uid) for uid in uids], "receive")

    def fail(self, claimed: ClaimedRetrieval, event: Event, step: Step = Step.MOVE) -> None:
        self.ledger.transact(lambda tx: settlement.fail(tx, claimed.ticket, event, step, uniform=longest))

    def report(self, retrieval_id: int) -> dict[str, object]:
        with self.ledger.read() as conn:
            report = reports.retrieval_report(conn, retrieval_id)
        assert report is not None
        return report


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


def there(world: World, n: int) -> list[str]:
    """Put instances into the ledger, as a receiver does before it settles them."""
    world.items(n, destination="elsewhere")
    return [f"2.25.{number}" for number in range(1, n + 1)]


def test_the_same_request_is_one_retrieval_and_the_more_urgent_counts(desk: Desk) -> None:
    first = desk.ask()
    assert desk.ask(priority=Priority.HIGH) == first
    assert desk.ask(forward_to=("station",)) != first
    assert desk.report(first)["priority"] == Priority.HIGH


def test_a_study_is_whole_when_every_named_instance_is_here(desk: Desk) -> None:
    uids = there(desk.world, 3)
    asked = desk.ask(forward_to=("station",))
    claimed = desk.take()
    desk.expect(claimed, *uids)
    assert desk.round(claimed, *uids) is Verdict.COMPLETE
    report = desk.report(asked)
    assert (report["state"], report["arrived"], report["missing"]) == ("done", 3, 0)
    assert desk.world.claim("station") != Denied("nothing is due"), "it is sent on"


def test_what_arrives_twice_counts_once(desk: Desk) -> None:
    uids = there(desk.world, 2)
    asked = desk.ask()
    claimed = desk.take()
    desk.expect(claimed, *uids)
    assert desk.round(claimed, uids[0], uids[0]) is Verdict.WAIT
    assert desk.report(asked)["arrived"] == 1


def test_success_that_precedes_the_images_is_waited_out_without_a_worker(desk: Desk) -> None:
    uids = there(desk.world, 2)
    asked = desk.ask()
    claimed = desk.take()
    desk.expect(claimed, *uids)
    assert desk.round(claimed) is Verdict.WAIT
    assert isinstance(desk.claim(), Denied), "nobody is to look before the grace is over"
    desk.arrive(*uids)
    again = desk.take("w2")  # the last of them makes it due at once
    assert again.answered
    assert desk.conclude(again) is Verdict.COMPLETE
    assert desk.report(asked)["state"] == "done"


def test_three_rounds_in_vain_end_incomplete_with_the_missing_listed(desk: Desk) -> None:
    uids = there(desk.world, 2)
    asked = desk.ask()
    verdicts = []
    for _ in range(4):
        claimed = desk.take()
        if claimed.listing is Listing.NOT_ASKED:
            desk.expect(claimed, *uids, "2.25.99")
        desk.round(claimed, *uids)
        desk.world.clock.pass_by(GRACE)
        verdicts.append(desk.conclude(desk.take()))
        desk.world.clock.pass_by(3600)
    assert verdicts == [Verdict.AGAIN, Verdict.AGAIN, Verdict.AGAIN, Verdict.INCOMPLETE]
    report = desk.report(asked)
    assert report["state"] == "incomplete"
    assert "INCOMPLETE_AT_SOURCE" in str(report["words"])
    assert report["missing_instances"] == [{"series_instance_uid": "1.2.1", "sop_instance_uid": "2.25.99"}]
    assert isinstance(desk.claim(), Denied)
    desk.world.clock.pass_by(24 * 3600)
    assert desk.take().was_incomplete, "it is asked for once more after a day"


def test_a_destination_that_is_off_closes_its_own_way_alone(desk: Desk) -> None:
    off = desk.ask(study="1.5", direct_to="station")
    claimed = desk.take()
    assert claimed.ticket.id == off
    for _ in range(3):
        desk.fail(claimed, Event(EventKind.RESPONSE, status=0xA702))
        desk.world.clock.pass_by(1)
        again = desk.claim()
        if isinstance(again, Denied):
            break
        claimed = again
    assert isinstance(desk.claim(), Denied)
    desk.ask(study="1.6")
    assert desk.take().study_instance_uid == "1.6", "the archive itself goes on"


def test_an_unknown_move_destination_is_held_and_named(desk: Desk) -> None:
    desk.ask(direct_to="station")
    claimed = desk.take()
    desk.ledger.transact(
        lambda tx: settlement.fail(
            tx, claimed.ticket, Event(EventKind.RESPONSE, status=0xA801), Step.MOVE, move_destination="READING1"
        )
    )
    with desk.ledger.read() as conn:
        gates = reports.gate_states(conn)
    assert gates["archive"]["station"]["state"] == "held"
    assert "'READING1'" in gates["archive"]["station"]["why"]


def test_a_source_that_is_down_charges_no_retrieval(desk: Desk) -> None:
    asked = desk.ask()
    down = Event(EventKind.CONNECT_FAILED, detail="refused")
    for _ in range(3):
        desk.fail(desk.take(), down, Step.FIND)
        assert isinstance(desk.claim(), Denied), "not at once again"
        desk.world.clock.pass_by(3600)
    assert desk.report(asked)["state"] == "waiting"
    desk.world.clock.pass_by(3600)
    assert desk.take().ticket.id == asked


def test_only_so_many_run_at_once_and_no_study_twice(desk: Desk) -> None:
    for study in ("1.1", "1.1", "1.2"):
        desk.ask(study=study, forward_to=("station",) if study == "1.2" else ())
    desk.ask(study="1.1", folder="/somewhere")
    first = desk.take("w1", 2)
    assert isinstance(desk.claim("w2", 1), Denied)
    assert desk.take("w2", 2).study_instance_uid != first.study_instance_uid


def test_a_worker_that_died_is_followed_by_another_and_writes_no_more(desk: Desk) -> None:
    uids = there(desk.world, 2)
    desk.ask()
    dead = desk.take("w1")
    desk.expect(dead, *uids)
    desk.ledger.transact(settlement.begin_round, dead.ticket)
    desk.arrive(uids[0])
    desk.world.clock.pass_by(LEASE_SECONDS + 1)
    heir = desk.take("w2")
    assert (heir.rounds, heir.listing) == (1, Listing.TRUSTED)
    with desk.ledger.read() as conn:
        assert [one.sop_instance_uid for one in expectations.wanting(conn, heir.ticket.id)] == [uids[1]]
    with pytest.raises(LeaseLost):
        desk.ledger.transact(settlement.answered, dead.ticket, 0)
    with pytest.raises(LeaseLost):
        desk.ledger.transact(claims.renew, dead.ticket)


def test_whoever_is_cancelled_notices(desk: Desk) -> None:
    started, waiting = desk.ask(study="1.1"), desk.ask(study="1.2")
    claimed = desk.take()
    assert claimed.ticket.id == started
    withdrawn = desk.ledger.transact(lambda tx: requests.cancel(tx, [started, waiting], "ris", only_unstarted=True))
    assert withdrawn == [waiting], "what has begun is not wasted"
    assert desk.ledger.transact(requests.cancel, [started], "op") == [started]
    with pytest.raises(LeaseLost):
        desk.ledger.transact(claims.renew, claimed.ticket)


def test_asking_again_lists_anew_and_keeps_what_came(desk: Desk) -> None:
    uids = there(desk.world, 2)
    asked = desk.ask()
    claimed = desk.take()
    desk.expect(claimed, *uids)
    desk.round(claimed, uids[0])
    desk.ledger.transact(requests.cancel, [asked], "op")
    again, _ = desk.ledger.transact(requests.again, [asked], "op")
    assert again == [asked]
    claimed = desk.take()
    assert claimed.listing is Listing.NOT_ASKED
    desk.expect(claimed, *uids)
    assert desk.round(claimed, uids[1]) is Verdict.COMPLETE


def test_a_paused_source_is_not_asked(desk: Desk) -> None:
    desk.ask()
    desk.ledger.transact(destinations.pause, "archive", "op")
    assert desk.claim() == Denied("paused")


def test_whoever_is_due_is_rung_for_once_in_a_while(desk: Desk) -> None:
    with desk.ledger.write() as tx:
        tx.conn.execute(insert(Spool).values(name="other", path="/other", marker="other"))
    bells = desk.ledger.transact(requests.ask, Request("archive", "1.2"), "op").bells
    assert {bell.lane for bell in bells} == {"retrieve"}
    assert len(bells) == 2, "workers of any spool can ask"
    assert due_bells(desk.ledger) == [], "they have just been rung"
    desk.world.clock.pass_by(60)
    assert len(due_bells(desk.ledger)) == 2
