"""Pause, resume, resend."""

from __future__ import annotations

import getpass
import os

import pytest
from sqlalchemy import select

from gurney.jobs import Doorbell, Lane, make_app
from gurney.ledger.models import Destination, File, Item
from gurney.pacs.testing import FakePacs
from gurney.transfer.states import FileState, Priority
from tests.daemon.cli.desk import Desk
from tests.services.brokers import RedisServer


def test_pause_and_resume(desk: Desk) -> None:
    desk.world.items(1)
    assert desk("pause", "archive").code == 0
    assert desk.world.row().paused_by == getpass.getuser()
    assert desk.world.denied().reason == "paused"
    assert desk("resume", "archive").code == 0
    assert desk.world.take().work


@pytest.mark.parametrize("command", [("resume", "archive"), ("echo", "archive"), ("retry", "--to", "archive")])
def test_who_waited_for_a_destination_is_rung_at_once(
    desk: Desk, redis_server: RedisServer, command: tuple[str, ...]
) -> None:
    world = desk.world
    world.items(1)
    world.items(1, destination="research", study="2")
    doorbell = Doorbell(make_app(redis_server.url))
    with FakePacs(ae_title="ARCHIVE") as pacs:
        desk.configure(f'[broker]\nurl = "{redis_server.url}"\n', port=pacs.port)
        world.change(Destination, world.destination(), breaker="open", probe_at=world.clock.time + 1_000)
        if command[0] == "resume":
            assert desk("pause", "archive").code == 0
            assert doorbell.waiting("main", Lane.WORK) == 0
        assert desk(*command).code == 0
        assert doorbell.waiting("main", Lane.WORK) == 1
    doorbell.close()


def test_scripts_read_how_the_destination_stands_then(desk: Desk) -> None:
    desk.introduce_remotes()
    paused = desk("pause", "archive", "--json")
    assert paused.json == {"destination": "archive", "state": "paused", "paused_by": getpass.getuser()}
    assert desk("resume", "archive", "--json").json == {"destination": "archive", "state": "closed", "paused_by": ""}


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_a_destination_that_nobody_knows(desk: Desk, command: str) -> None:
    desk.world.destination("archive")
    answer = desk(command, "archvie")
    assert answer.code == 1
    assert "did you mean 'archive'? There are: archive" in answer.err


def test_resend_makes_a_generation_and_leaves_history(desk: Desk) -> None:
    desk.world.items(3, study="1.2.3")
    desk.world.send_all()
    answer = desk("resend", "--study", "1.2.3", "--to", "archive", "--priority", "stat", "--json")
    assert answer.code == 0
    assert answer.json == {"transfer": 2, "generation": 2, "instances": 3, "without_file": 0}
    with desk.ledger.read() as conn:
        priorities = conn.scalars(select(Item.priority).where(Item.transfer_id == 2)).all()
    assert set(priorities) == {Priority.STAT}
    assert desk("transfer", 1, "--json").json["counts"]["done"] == 3
    assert desk("study", "1.2.3", "--json").json["destinations"]["archive"]["ready"] == 3


def test_resend_of_what_has_no_file_left_leaves_nothing_behind(desk: Desk) -> None:
    desk.world.items(1, study="1.2.3")
    desk.world.change(File, 1, state=int(FileState.GONE), spool_path="")
    answer = desk("resend", "--study", "1.2.3", "--to", "archive")
    assert answer.code == 1
    assert "no file of study 1.2.3 is left here" in answer.err
    assert len(desk("transfers", "--json").json["transfers"]) == 1


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--study", "1.2.3", "--to", "archive", "--only-missing"], 2, "C-FIND"),
        (["--study", "1.2.3", "--to", "archvie"], 1, "no [[remote]] is called 'archvie'; did you mean 'archive'?"),
        (["--study", "9.9", "--to", "archive"], 1, "the ledger knows no study 9.9"),
        (["--study", "1.2.3", "--to", "archive", "--priority", "now"], 2, "stat, high, routine, bulk"),
        (["--to", "archive"], 2, "--study"),
    ],
)
def test_what_cannot_be_resent(desk: Desk, args: list[str], code: int, words: str) -> None:
    desk.world.items(1, study="1.2.3")
    answer = desk("resend", *args)
    assert answer.code == code
    assert words in answer.err.replace(os.linesep, " ")
