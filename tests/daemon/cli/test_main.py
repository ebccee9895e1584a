"""The way in: exit codes, one line for what went wrong, and a reference page that names everything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from gurney.transfer.states import ItemState
from gurney_daemon.cli import app
from tests.daemon.cli.desk import Desk

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "command-line.md"


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = dict(commands(typer.main.get_command(app)))
# What the contract says of every reading command.
READING = {
    ("status",): [],
    ("transfers",): [],
    ("transfer",): ["1"],
    ("study",): ["1.2"],
    ("quarantine", "list"): [],
}


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(desk: Desk, path: tuple[str, ...]) -> None:
    answer = desk(*path, "--help")
    assert answer.code == 0
    assert answer.out.startswith(f"Usage: gurney {' '.join(path)}")


@pytest.mark.parametrize("path", READING, ids=" ".join)
def test_reading_commands_answer_with_one_document(desk: Desk, path: tuple[str, ...]) -> None:
    desk.world.items(1)
    assert isinstance(desk(*path, *READING[path], "--json").json, dict)


@pytest.mark.parametrize("path", [path for path in READING if path != ("status",)], ids=" ".join)
@pytest.mark.parametrize(("content", "words"), [(None, "gurney migrate"), (b"no database " * 999, "damaged")])
def test_a_ledger_that_cannot_be_used_is_one_line_on_standard_error(
    desk: Desk, path: tuple[str, ...], content: bytes | None, words: str
) -> None:
    ledger = desk.data / "ledger.sqlite3"
    ledger.unlink()
    if content is not None:
        ledger.write_bytes(content)
    answer = desk(*path, *READING[path], "--json")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("gurney: ")
    assert words in answer.err
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize("wrong", ["[ledgr]\n", "[spool]\nname = '/'\n", "= TOML\n"])
def test_whoever_cannot_tell_which_ledger_is_meant_touches_none(desk: Desk, wrong: str) -> None:
    (desk.folder / "gurney.toml").write_text(f'[node]\ndata_dir = "{desk.data}"\n{wrong}')
    for args in (["status", "--json"], ["pause", "archive"], ["quarantine", "list"]):
        answer = desk(*args)
        assert (answer.code, answer.out) == (2, "")
        assert "gurney.toml:3:1: error:" in answer.err or "gurney.toml:4:1: error: spool.name" in answer.err
        assert "Traceback" not in answer.err


def test_a_mistake_elsewhere_leaves_what_runs_within_reach(desk: Desk) -> None:
    desk.world.items(1, state=ItemState.FAILED)
    desk.configure("[wrokers]\n[[route]]\nname = 'r'\nwhen = 't.Modalty == 1'\n")
    for args in (
        ["status"],
        ["transfers"],
        ["transfer", "1"],
        ["study", "1.2"],
        ["retry", "--all", "--yes"],
        ["pause", "archive"],
        ["resume", "archive"],
        ["cancel", "--all", "--yes"],
        ["quarantine", "list"],
    ):
        answer = desk(*args)
        assert answer.code in ({0, 1} if args == ["status"] else {0}), (args, answer.err)
        warnings = [line for line in answer.err.splitlines() if line.startswith("gurney: warning: ")]
        assert len(warnings) == 1, args
        assert "wrokers" in warnings[0]
        assert "gurney config check" in warnings[0]
        assert "(2 more)" in warnings[0]


@pytest.mark.parametrize(
    "args",
    [
        ["send", "/dev/null", "--to", "archive"],
        ["resend", "--study", "1.2", "--to", "archive"],
        ["echo", "archive"],
        ["route", "explain", "/dev/null"],
        ["quarantine", "release", "1"],
        ["config", "show"],
        ["reload"],
        ["migrate"],
        ["up"],
        ["daemon"],
        ["worker"],
    ],
    ids=" ".join,
)
def test_nothing_is_started_or_sent_with_a_wrong_configuration(desk: Desk, args: list[str]) -> None:
    desk.configure("[wrokers]\n")
    answer = desk(*args)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.count("wrokers: is not a key") == 1


@pytest.mark.parametrize("args", [["nonsense"], ["status", "--nonsense"], ["quarantine", "burn"]])
def test_wrong_usage(desk: Desk, args: list[str]) -> None:
    answer = desk(*args)
    assert (answer.code, answer.out) == (2, "")
    assert "Usage: gurney" in answer.err


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_the_reference_names_every_command_and_option(path: tuple[str, ...]) -> None:
    heading = re.compile(rf"`gurney {' '.join(path)}[ `]")
    sections = [part for part in PAGE.read_text(encoding="utf-8").split("\n### ") if heading.match(part)]
    assert len(sections) == 1, "one section must begin with the command"
    options = {name for param in COMMANDS[path].params for name in param.opts if name.startswith("--")} - {"--help"}
    assert [name for name in sorted(options) if name not in sections[0]] == []
