"""What arrives, in the ledger's own terms: items once, late ones at once, reports that follow their study."""

from __future__ import annotations

import dataclasses
import threading

import pytest
from sqlalchemy import func, select

from gurney.ledger import completion, operations
from gurney.ledger.arrivals import Arrival, FileFacts, InstanceFacts, SeriesFacts, StudyFacts
from gurney.ledger.database import AnyRow
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Bell
from gurney.ledger.intake import Intake, take_in
from gurney.ledger.models import File, Instance, Item, Transfer
from gurney.ledger.rerouting import Redecided, route_again
from gurney.ledger.selection import Selection
from gurney.ledger.terms import Claim
from gurney.transfer.routing import RoutingDecision, Send
from gurney.transfer.states import FileState, ItemState, Priority, Routing
from tests.ledger.world import CT, EXPLICIT, World, ids_of

FOLLOW = frozenset({"chest"})


def decided(*sends: Send, matched: frozenset[str] = frozenset(), state: Routing = Routing.ROUTED) -> RoutingDecision:
    """Decide as rules would."""
    return RoutingDecision(state, sends, matched, matched, ())


def to(destination: str = "archive", rule: str = "", when: str = "immediately") -> Send:
    """Send somewhere."""
    return Send(destination, rule, when, Priority.ROUTINE)  # type: ignore[arg-type]


def arrival(
    world: World,
    number: int,
    decision: RoutingDecision,
    *,
    modality: str = "CT",
    study_matched: frozenset[str] = frozenset(),
) -> Arrival:
    """Let one file of the study come in."""
    file = FileFacts("ct1", "watch", b"/in/%d" % number, 1, number, 500, number, world.spool(), spool_path=f"{number}")
    instance = InstanceFacts(
        f"2.25.{number}", CT, EXPLICIT, 100, StudyFacts("1.2.3"), SeriesFacts(f"1.2.3.{modality}", modality)
    )
    return Arrival(file, instance, decision, study_matched)


def take(world: World, *arrivals: Arrival) -> Intake:
    """Take a group in."""
    return world.ledger.transact(take_in, arrivals, "watch:ct1")


def items(world: World) -> list[tuple[str, int, ItemState]]:
    """Return which instance goes in which transfer, and how it stands."""
    with world.ledger.read() as conn:
        rows = conn.execute(
            select(Instance.sop_instance_uid, Item.transfer_id, Item.state)
            .join(Instance, Instance.id == Item.instance_id)
            .order_by(Instance.id, Item.transfer_id)
        )
        return [(uid, transfer, ItemState(state)) for uid, transfer, state in rows]


def test_a_group_becomes_items_and_rings_once_for_each_destination(world: World) -> None:
    world.destination("archive")
    world.destination("workstation")
    both = decided(to("archive"), to("workstation"))
    taken = take(world, arrival(world, 1, both), arrival(world, 2, both))
    assert taken.counts == {"accepted": 2}
    assert set(taken.bells) == {Bell("archive", world.spool(), "work"), Bell("workstation", world.spool(), "work")}
    assert len(items(world)) == 4
    assert len(world.take("workstation").work) == 2


def test_the_same_data_set_again_adds_no_item(world: World) -> None:
    world.destination()
    first = arrival(world, 1, decided(to()))
    take(world, first)
    again = dataclasses.replace(first, file=dataclasses.replace(first.file, path=b"/in/copy"), twin=1, same=True)
    assert take(world, again).counts == {"duplicate": 1}
    assert len(items(world)) == 1


@pytest.mark.parametrize(
    ("state", "after"), [(Routing.ROUTED, "delete"), (Routing.ERROR, "keep"), (Routing.NO_ROUTE, "keep")]
)
def test_a_copy_goes_only_where_its_own_door_has_sent_it(world: World, state: Routing, after: str) -> None:
    world.destination()
    first = arrival(world, 1, decided(to()))
    take(world, first)
    facts = dataclasses.replace(first.file, path=b"/in/copy", after="delete")
    sends = [to()] if state is Routing.ROUTED else []
    decision = decided(*sends, state=state)
    take(world, dataclasses.replace(first, file=facts, decision=decision, twin=1, same=True))
    with world.ledger.read() as conn:
        assert conn.scalar(select(File.after).where(File.path == b"/in/copy")) == after


def test_what_was_known_when_the_rules_were_asked_must_still_be_so(world: World) -> None:
    world.destination()
    take(world, arrival(world, 1, decided(to(), matched=FOLLOW)))
    with pytest.raises(StaleRead, match="same SOP Instance UID"):
        take(world, arrival(world, 1, decided(to())))
    with pytest.raises(StaleRead, match="matched other rules"):
        take(world, arrival(world, 2, decided(to())))
    assert len(items(world)) == 1
    take(world, arrival(world, 2, decided(to()), study_matched=FOLLOW))


@pytest.mark.parametrize("state", [FileState.ACCEPTED, FileState.GONE])
def test_a_report_that_came_before_its_study_matched_follows(world: World, state: FileState) -> None:
    world.destination()
    take(world, arrival(world, 1, decided(state=Routing.NO_ROUTE), modality="SR"))
    assert items(world) == []
    world.change(File, 1, state=int(state))  # gone: its console has purged the folder, the spool still has it
    taken = take(world, arrival(world, 2, decided(to(rule="chest"), matched=FOLLOW)))
    assert [uid for uid, *_ in items(world)] == ["2.25.1", "2.25.2"]
    assert len(taken.bells) == 1


def test_a_report_of_the_same_group_that_goes_there_anyway_goes_once(world: World) -> None:
    world.destination()
    take(
        world,
        arrival(world, 1, decided(to(rule="reports")), modality="SR"),
        arrival(world, 2, decided(to(rule="chest"), matched=FOLLOW)),
    )
    assert [uid for uid, *_ in items(world)] == ["2.25.1", "2.25.2"]


def test_what_waits_for_its_study_goes_with_it_and_the_late_go_at_once(world: World) -> None:
    world.destination()
    when_complete = decided(to(when="study_complete"))
    assert take(world, arrival(world, 1, when_complete)).bells == []
    assert items(world)[0][2] is ItemState.HELD
    world.clock.pass_by(60)
    completion.complete_quiet(world.ledger, 60.0, 1_800.0, "reconciler")
    assert world.send_all() == [1]
    late = take(world, arrival(world, 2, when_complete))
    assert late.bells, "its study has been complete before"
    with world.ledger.read() as conn:
        assert conn.scalar(select(Transfer.quiet_since)) is None
        assert conn.scalar(select(func.count()).select_from(Transfer)) == 1, "it joins its study's transfer"
    assert ids_of(world.take()) == [2]


def test_a_report_and_the_image_that_it_follows_may_come_by_two_doors_at_once(world: World) -> None:
    world.destination()
    take(world, arrival(world, 9, decided(state=Routing.NO_ROUTE)))  # the study is known
    refused: list[StaleRead] = []

    def bring_the_image() -> None:
        try:
            take(world, arrival(world, 2, decided(to(rule="chest"), matched=FOLLOW)))
        except StaleRead as stale:
            refused.append(stale)

    image = threading.Thread(target=bring_the_image)
    with world.ledger.write() as tx:
        take_in(tx, [arrival(world, 1, decided(state=Routing.NO_ROUTE), modality="SR")], "watch:mr1")
        image.start()
        image.join(0.5)
    image.join(20)
    assert refused == []
    assert [uid for uid, *_ in items(world)] == ["2.25.1", "2.25.2"]


# --- A file that is written again before anything was sent ------------------------------------------------------------


def rewritten(world: World, first: RoutingDecision, *then: RoutingDecision, series: str = "CT") -> None:
    """Let a file come in, and be written again with other content."""
    take(world, arrival(world, 1, first))
    for size, decision in enumerate(then, 200):
        again = arrival(world, 1, decision, modality=series)
        instance = dataclasses.replace(again.instance, size=size)
        assert take(world, dataclasses.replace(again, instance=instance, twin=1)).counts["rewritten"] == 1


def instance_of(world: World) -> AnyRow:
    """Return the one instance."""
    with world.ledger.read() as conn:
        return conn.execute(select(Instance.__table__)).one()


DROPPED, ERROR = decided(state=Routing.FILTERED), decided(state=Routing.ERROR)


@pytest.mark.parametrize(
    "first", [decided(to()), decided(to(), state=Routing.HELD), decided(to(when="study_complete"))]
)
@pytest.mark.parametrize("then", [DROPPED, ERROR, decided(state=Routing.NO_ROUTE), decided(to("research"))])
def test_what_the_rules_do_not_send_any_more_is_withdrawn(
    world: World, first: RoutingDecision, then: RoutingDecision
) -> None:
    world.destination("archive")
    world.destination("research")
    rewritten(world, first, then)
    item = world.item(1)
    assert ItemState(item.state) is ItemState.CANCELLED
    assert (item.held_for, item.settled_at) == ("", world.clock.time)
    assert "written again" in item.last_words
    assert instance_of(world).routing == then.state
    assert not isinstance(world.claim("archive"), Claim)
    assert isinstance(world.claim("research"), Claim) == bool(then.sends)


def test_what_the_rules_hold_now_waits_for_an_operator(world: World) -> None:
    world.destination()
    rewritten(world, decided(to()), decided(to(), state=Routing.HELD))
    assert (ItemState(world.item(1).state), world.item(1).held_for) == (ItemState.HELD, "rule")
    assert instance_of(world).routing == Routing.HELD


@pytest.mark.parametrize("before", [ERROR, DROPPED, decided(to(), state=Routing.HELD), decided(to())])
def test_what_the_rules_send_now_goes_with_its_new_content(world: World, before: RoutingDecision) -> None:
    world.destination()
    rewritten(world, before, decided(to()), series="MR")
    (work,) = world.take().work
    item, instance = world.item(work.item_id), instance_of(world)
    assert (item.size, item.last_words, item.series_id) == (200, "", instance.series_id)
    assert instance.routing == Routing.ROUTED


def test_what_was_withdrawn_goes_when_the_rules_want_it_again(world: World) -> None:
    world.destination()
    rewritten(world, decided(to()), DROPPED, decided(to()))
    assert ids_of(world.take()) == [1]
    assert world.item(1).last_words == ""


def test_what_was_withdrawn_goes_when_the_rules_were_mended(world: World) -> None:
    world.destination()
    rewritten(world, decided(to()), ERROR)
    world.ledger.transact(route_again, [Redecided(1, decided(to()), frozenset())], "anna")
    assert ids_of(world.take()) == [1]


def test_what_a_person_cancelled_is_not_sent_for_being_written_again(world: World) -> None:
    world.destination()
    first = arrival(world, 1, decided(to()))
    take(world, first)
    operations.cancel(world.ledger, Selection(), "anna")
    take(world, dataclasses.replace(first, instance=dataclasses.replace(first.instance, size=200), twin=1))
    assert ItemState(world.item(1).state) is ItemState.CANCELLED
    assert world.item(1).last_words == "cancelled by anna"
