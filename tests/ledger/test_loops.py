"""What comes back from where it was sent is not sent there again, and what changes on its way round is stopped."""

from __future__ import annotations

import dataclasses

from sqlalchemy import func, select

from gurney.ledger.arrivals import Arrival
from gurney.ledger.intake import Intake, take_in
from gurney.ledger.loops import MOST_VERSIONS
from gurney.ledger.models import Conflict, File, Instance, Item
from gurney.transfer.states import FileState
from tests.ledger.test_intake import arrival, decided, to
from tests.ledger.world import World


def pushed(world: World, number: int, calling: str, *destinations: str, again: int = 0, same: bool = False) -> Arrival:
    """Let an instance be pushed, as another file than before; ``again`` is the instance that is known of it."""
    one = arrival(world, number, decided(*(to(name) for name in destinations)))
    with world.ledger.read() as conn:
        files = conn.scalar(select(func.count()).select_from(File)) or 0
    place = {"path": b"/spool/%d" % files, "spool_path": f"s{files}"}
    file = dataclasses.replace(one.file, door="receive", source="main", calling_ae_title=calling, **place)  # type: ignore[arg-type]
    return dataclasses.replace(one, file=file, twin=again or None, same=same, on_conflict="replace")


def take(world: World, *arrivals: Arrival) -> Intake:
    return world.ledger.transact(take_in, arrivals, "receiver:main")


def sent(world: World) -> list[str]:
    """Return what was sent or waits to be, by SOP Instance UID."""
    with world.ledger.read() as conn:
        rows = select(Instance.sop_instance_uid).join(Item, Item.instance_id == Instance.id).order_by(Item.id)
        return list(conn.scalars(rows))


def test_the_same_content_comes_back_and_goes_nowhere(world: World) -> None:
    world.destination()
    assert take(world, pushed(world, 1, "CT1", "archive")).counts == {"accepted": 1}
    world.send_all()
    back = take(world, pushed(world, 1, "ARCHIVE", "archive", again=1, same=True))
    assert (back.counts, back.returned) == ({"duplicate": 1, "returned": 1}, {"archive": 1})
    assert sent(world) == ["2.25.1"]


def test_changed_content_comes_back_and_goes_everywhere_but_back(world: World) -> None:
    world.destination()
    world.destination("station")
    take(world, pushed(world, 1, "CT1", "archive"))
    world.send_all()
    back = take(world, pushed(world, 1, "ARCHIVE", "archive", "station", again=1))
    assert (back.counts, back.returned) == ({"accepted": 1, "conflict": 1, "returned": 1}, {"archive": 1})
    assert len(sent(world)) == 2
    assert world.take("station")
    world.denied("archive")


def test_what_its_modality_corrects_goes_to_the_archive_again(world: World) -> None:
    world.destination()
    take(world, pushed(world, 1, "CT1", "archive"))
    world.send_all()
    corrected = take(world, pushed(world, 1, "CT1", "archive", again=1))
    assert (corrected.counts, corrected.returned) == ({"accepted": 1, "conflict": 1}, {})
    assert len(sent(world)) == 2


def test_a_destination_that_calls_with_something_else_is_a_modality_like_any_other(world: World) -> None:
    world.destination()
    world.destination("station")
    take(world, pushed(world, 1, "CT1", "station"))
    world.send_all("station")
    first = take(world, pushed(world, 2, "ARCHIVE", "archive"))
    assert first.returned == {}
    never_sent_there = take(world, pushed(world, 1, "ARCHIVE", "archive", again=1, same=True))
    assert never_sent_there.returned == {}
    assert sorted(sent(world)) == ["2.25.1", "2.25.1", "2.25.2"]


def test_a_longer_circle_that_changes_content_is_stopped_by_its_number(world: World) -> None:
    world.destination()
    take(world, pushed(world, 1, "CT1", "archive"))
    for known in range(1, MOST_VERSIONS):
        world.send_all()
        assert take(world, pushed(world, 1, "THIRD", "archive", again=known)).counts["accepted"] == 1
    world.send_all()
    last = take(world, pushed(world, 1, "THIRD", "archive", again=MOST_VERSIONS))
    assert last.counts == {"quarantined": 1, "conflict": 1}
    assert len(sent(world)) == MOST_VERSIONS
    with world.ledger.read() as conn:
        detail = conn.scalar(select(File.detail).where(File.state == int(FileState.QUARANTINED)))
        assert conn.scalar(select(func.count()).where(Conflict.state == "open")) == 1
    assert detail is not None
    assert "in a circle" in detail
    world.clock.pass_by(86_401)
    assert take(world, pushed(world, 1, "THIRD", "archive", again=MOST_VERSIONS)).counts["accepted"] == 1
