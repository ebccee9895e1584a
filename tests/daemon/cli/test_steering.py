"""Pause, resume, resend."""

from __future__ import annotations

import getpass
import os

import pytest
from sqlalchemy import select

from gurney.ledger.models import File, Item
from gurney.transfer.states import FileState, Priority
from tests.daemon.cli.desk import Desk


def test_pause_and_resume(desk: Desk) -> None:
    desk.world.items(1)
    assert desk("pause", "archive").code == 0
    assert desk.world.row().paused_by == getpass.getuser()
    assert desk.world.denied().reason == "paused"
    assert desk("resume", "archive").code == 0
    assert desk.world.take().work


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
