"""What the rules left behind is decided on again: by today's rules, for the door that brought it, and sent once."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from sqlalchemy import insert, select, update

from gurney.ledger import completion, resending
from gurney.ledger.database import Ledger
from gurney.ledger.errors import StaleRead
from gurney.ledger.models import Audit, File, Instance, StudyRoute
from gurney.ledger.rerouting import AGAIN, Redecided, UnroutedFilter, count_unrouted, unrouted_studies
from gurney.ledger.rerouting import route_again as write
from gurney.transfer.routing import RouteRule, RoutingDecision
from gurney.transfer.states import ItemState, Routing
from gurney_daemon.ingest import rerouting
from gurney_daemon.ingest.errors import NoSuchDestination
from gurney_daemon.ingest.rerouting import RoutedAgain
from gurney_daemon.ingest.spool import open_spool
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site
from tests.daemon.ingest.test_disposal import accept

CT = RouteRule("ct", 't.Modality == "CT"', ("archive",))
# Modality is no number: the rule fails for every instance.
BROKEN = RouteRule("broken", "int(t.Modality) == 1", ("research",))


@pytest.fixture
def site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    site.send_to = ()
    yield site
    site.close()


def bring(site: Site, n: int = 1, *, modality: str = "CT") -> None:
    """Let instances come in; the names of their files are counted on."""
    first = len(site.files())
    accept(site, *(drop(site.folder, f"{i}", ct_bytes(modality=modality)) for i in range(first, first + n)))


def again(site: Site, *states: Routing, study: str = "", source: str = "") -> RoutedAgain:
    which = UnroutedFilter(states or UnroutedFilter().states, study, source)
    doors = {"ct1": site.routes()}
    return rerouting.route_again(which, ledger=site.ledger, doors=doors, ring=site.ring, actor="anna")


def routing(site: Site) -> list[Routing]:
    return [Routing(instance.routing) for instance in site.instances()]


def found(site: Site, *states: Routing, study: str = "", source: str = "") -> dict[str, dict[str, int]]:
    with site.ledger.read() as conn:
        return count_unrouted(conn, UnroutedFilter(states or UnroutedFilter().states, study, source))


def test_what_a_broken_rule_left_behind_goes_when_the_rule_is_mended(site: Site) -> None:
    site.rules = [BROKEN]
    bring(site, 2)
    assert (routing(site), site.items()) == ([Routing.ERROR] * 2, [])
    assert found(site) == {"ct1": {"error": 2}}
    site.rules = [CT]
    done = again(site)
    assert (done.outcomes, done.items, done.why) == ({"routed": 2}, 2, {})
    assert routing(site) == [Routing.ROUTED] * 2
    assert [item.state for item in site.items()] == [ItemState.READY] * 2
    assert [bell.destination for bell in site.bells] == ["archive"]
    assert found(site) == {}
    assert again(site).outcomes == {}


def test_the_studies_are_named_in_a_list_and_in_the_log(site: Site) -> None:
    site.rules = [BROKEN]
    with structlog.testing.capture_logs() as logged:
        bring(site, 2)
    study = logged[0]["study_instance_uid"]
    assert [(told["event"], told["instances"]) for told in logged if "rules" in told] == [("routing_failed", 2)]
    with site.ledger.read() as conn:
        (listed,) = unrouted_studies(conn, UnroutedFilter((Routing.NO_ROUTE, Routing.ERROR)), 9)
        assert unrouted_studies(conn, UnroutedFilter((Routing.ERROR,), source="other"), 9) == []
    assert (listed.study_instance_uid, listed.source, listed.instances) == (study, "ct1", 2)
    assert (listed.routing, listed.why.split(": ")[0]) == (Routing.ERROR, "broken")


def test_it_is_in_the_trail_who_did_it(site: Site) -> None:
    bring(site, 2)
    site.rules = [CT]
    again(site)
    with site.ledger.read() as conn:
        row = conn.execute(select(Audit.__table__).where(Audit.action == "instances.routed_again")).one()
    assert (row.actor, row.study_instance_uid) == ("anna", "1.2.3.4")
    assert json.loads(row.detail) == {"instances": 2, "routing": "routed"}


def test_what_still_fails_or_has_no_route_is_counted_in_the_rules_words(site: Site) -> None:
    site.rules = [BROKEN]
    bring(site)
    bring(site, modality="MR")
    site.rules = [RouteRule("mr", 't.Modality == "MR" && int(t.BodyPartExamined) > 0', ("research",))]
    done = again(site)
    assert done.outcomes == {"no_route": 1, "error": 1}
    assert [(state, why.partition(":")[0], n) for (state, why), n in sorted(done.why.items()) if why] == [
        (Routing.ERROR, "mr", 1)
    ]
    assert sorted(routing(site)) == [Routing.NO_ROUTE, Routing.ERROR]


def test_only_what_is_asked_for(site: Site) -> None:
    bring(site)
    site.rules = [RouteRule("away", action="drop")]
    bring(site)
    site.rules = [CT]
    for nothing in (again(site, Routing.ERROR), again(site, study="9.9"), again(site, source="mr1")):
        assert nothing.outcomes == {}
    assert again(site, study="1.2.3.4", source="ct1").outcomes == {"routed": 1}
    assert routing(site) == [Routing.ROUTED, Routing.FILTERED]
    assert again(site, *AGAIN).outcomes == {"routed": 1}


def test_what_was_sent_already_is_not_sent_again(site: Site) -> None:
    mended = RouteRule("mended", "", ("research",))
    site.rules = [CT, mended]
    bring(site)
    site.rules = [CT, BROKEN]
    bring(site)
    site.settle_items(ItemState.DONE)
    with site.ledger.write() as tx:
        resending.resend(tx, "1.2.3.4", "research", "anna")  # by hand, while the rule was broken
    assert len(site.items()) == 5
    site.rules = [CT, mended]
    assert (again(site).items, len(site.items())) == (0, 5)
    assert routing(site) == [Routing.ROUTED] * 2


def test_a_report_follows_its_study(site: Site) -> None:
    bring(site, modality="SR")
    bring(site)
    site.rules = [CT]
    done = again(site)
    assert (done.items, routing(site)) == (2, [Routing.ROUTED] * 2)
    with site.ledger.read() as conn:
        assert conn.scalars(select(StudyRoute.route)).all() == ["ct"]


def test_what_waits_for_its_study_waits_here_too(site: Site) -> None:
    bring(site)
    site.rules = [RouteRule("ct", "", ("archive",), send="study_complete")]
    again(site)
    assert [item.held_for for item in site.items()] == ["study_complete"]
    site.rules = [RouteRule("ct", "", ("archive",), action="hold")]
    bring(site)
    assert found(site) == {}, "what a rule holds waits for an operator"


def test_a_file_that_is_gone_is_counted_and_no_error(site: Site) -> None:
    bring(site, 3)
    os.unlink(site.spool.path_of(site.files()[0].spool_path))
    with site.ledger.write() as tx:
        tx.conn.execute(update(File).where(File.id == 2).values(state=5, spool_path=""))
    site.rules = [CT]
    assert again(site).outcomes == {"gone": 2, "routed": 1}
    assert routing(site) == [Routing.NO_ROUTE, Routing.NO_ROUTE, Routing.ROUTED]


def test_a_spool_that_is_away_is_not_a_file_that_is_gone(site: Site, tmp_path: Path) -> None:
    bring(site)
    (tmp_path / "spool").rename(tmp_path / "elsewhere")
    site.rules = [CT]
    assert again(site).outcomes == {"unreadable": 1}


def test_a_door_that_is_not_configured_any_more_is_counted(site: Site) -> None:
    bring(site)
    with site.ledger.write() as tx:
        tx.conn.execute(update(File).values(source="mr1"))
    site.rules = [CT]
    assert again(site).outcomes == {"no_door": 1}


def test_a_remote_that_the_ledger_does_not_know_yet_is_named_beforehand(site: Site) -> None:
    bring(site)
    site.rules = [RouteRule("new", "", ("newcomer",))]
    with pytest.raises(NoSuchDestination, match=r"newcomer.*gurney reload"):
        again(site)
    assert routing(site) == [Routing.NO_ROUTE]


def test_many_are_routed_in_short_transactions(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerouting, "_ROWS", 6)
    bring(site, 7)
    site.rules = [CT]
    assert again(site).outcomes == {"routed": 7}
    with site.ledger.read() as conn:
        rows = conn.execute(select(Audit.detail).where(Audit.action == "instances.routed_again")).all()
    assert [json.loads(row.detail)["instances"] for row in rows] == [3, 3, 1]


def test_what_was_replaced_by_another_content_stays(site: Site) -> None:
    bring(site)
    with site.ledger.write() as tx:
        old = tx.conn.execute(select(Instance.__table__)).mappings().one()
        tx.conn.execute(insert(Instance).values({**old, "id": 99, "version": 2, "routing": int(Routing.ROUTED)}))
    site.rules = [CT]
    assert again(site).outcomes == {}


def test_rules_that_a_study_has_matched_meanwhile_are_asked_again(site: Site) -> None:
    bring(site)
    decision = RoutingDecision(Routing.ROUTED, (), frozenset(), frozenset(), ())
    stale = Redecided(site.instances()[0].id, decision, frozenset({"another"}))
    with pytest.raises(StaleRead):
        site.ledger.transact(write, [stale], "anna")
    assert routing(site) == [Routing.NO_ROUTE]


def test_what_waits_goes_when_its_study_rests(site: Site) -> None:
    bring(site)
    site.rules = [RouteRule("ct", "", ("archive",), send="study_complete")]
    again(site)
    assert completion.complete_quiet(site.ledger, 0.0, 60.0, "reconciler")
    assert [item.state for item in site.items()] == [ItemState.READY]
