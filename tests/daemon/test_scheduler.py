"""A rule's time counts as seen to when it has been: sources that are away are asked again, in a bounded way."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from gurney.ledger import schedules
from gurney.pacs import DicomEngine
from gurney.settings import Settings, load
from gurney_daemon.scheduler import Scheduler
from tests.ledger.world import World
from tests.services.ports import free_port

UTC = ZoneInfo("UTC")
EVENING = datetime(2026, 11, 24, 20, 0, tzinfo=UTC).timestamp()


class Wall:
    """The clock on the wall."""

    def __init__(self) -> None:
        self.time = EVENING - 3600

    def __call__(self) -> float:
        return self.time


class Office:
    """A scheduler with a list of patients and an archive that is away."""

    def __init__(self, world: World, folder: Path, catch_up: str = "once") -> None:
        self.world, self.wall = world, Wall()
        self.list = folder / "list.csv"
        self.list.write_text("patient_id\n4711\n")
        config = folder / "gurney.toml"
        remotes = "".join(
            f'[[remote]]\nname = "{name}"\nae_title = "A"\nhost = "127.0.0.1"\nport = {free_port()}\n'
            for name in ("archive", "station")
        )
        config.write_text(
            f'[node]\ndata_dir = "{folder}"\n{remotes}[[prefetch]]\nname = "nightly"\npatients = "{self.list}"\n'
            f'from = ["archive"]\nto = ["station"]\nschedule = "0 20 * * *"\ncatch_up = "{catch_up}"\n'
        )
        self.settings: Settings = load(str(config), {})
        self.scheduler = self.another()

    def another(self) -> Scheduler:
        return Scheduler(self.settings, self.world.ledger, lambda _: None, holder="test", clock=self.wall)

    def step(self, at: float) -> dict[str, Any]:
        self.wall.time = at
        with DicomEngine():
            self.scheduler.step()
        with self.world.ledger.read() as conn:
            return schedules.schedules(conn)["nightly"]


@pytest.fixture
def office(world: World, tmp_path: Path) -> Office:
    return Office(world, tmp_path)


def test_nothing_is_done_before_its_time(office: Office) -> None:
    row = office.step(EVENING - 1)
    assert (row["due_at"], row["tries"], row["done_at"]) == (EVENING, 0, None)


def test_a_source_that_is_away_is_asked_again_and_then_its_time_is_given_up(office: Office) -> None:
    office.step(EVENING - 1)
    row = office.step(EVENING)
    assert (row["due_at"], row["look_at"], row["tries"]) == (EVENING, EVENING + 300, 1)
    assert "archive" in row["words"]
    assert "4711" not in row["words"]
    assert office.step(EVENING + 299)["tries"] == 1
    at = EVENING
    for _ in range(12):
        at += 300
        row = office.step(at)
    assert (row["done_at"], row["due_at"], row["tries"]) == (at, EVENING + 86_400, 0)
    assert "archive" in row["words"], "what went wrong is not forgotten"


def test_a_list_that_is_gone_is_said_and_tried_again(office: Office) -> None:
    office.step(EVENING - 1)
    office.list.unlink()
    row = office.step(EVENING)
    assert row["tries"] == 1
    assert "No such file" in row["words"]


def test_a_list_of_nobody_is_done(office: Office) -> None:
    office.step(EVENING - 1)
    office.list.write_text("patient_id\n")
    row = office.step(EVENING)
    assert (row["done_at"], row["due_at"], row["patients"], row["words"]) == (EVENING, EVENING + 86_400, 0, "")


def test_what_was_missed_is_caught_up_with_after_a_restart(office: Office) -> None:
    office.step(EVENING - 1)
    office.list.write_text("patient_id\n")
    office.scheduler = office.another()
    row = office.step(EVENING + 2 * 86_400 + 3600)
    assert (row["done_at"], row["due_at"]) == (EVENING + 2 * 86_400 + 3600, EVENING + 3 * 86_400)


def test_what_was_missed_may_be_skipped_and_this_is_said(world: World, tmp_path: Path) -> None:
    office = Office(world, tmp_path, "skip")
    office.step(EVENING - 1)
    office.scheduler = office.another()
    row = office.step(EVENING + 3600)
    assert (row["due_at"], row["patients"]) == (EVENING + 86_400, 0)
    assert "skipped" in row["words"]
