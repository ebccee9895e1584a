"""A command loads what it needs, and no more: that is most of the time that it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from gurney_daemon.cli import app
from gurney_daemon.cli.commands import COMMANDS
from tests.daemon.cli.desk import Desk

HEAVY = {
    "celery",
    "cel",
    "kombu",
    "numpy",
    "prompt_toolkit",
    "pydicom",
    "pynetdicom",
    "sqlalchemy",
    "pydantic_settings",
}
LIST_MODULES = """
import sys
from gurney_daemon.cli import main
try:
    main()
finally:
    print("loaded:", *sys.modules, file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("args", "needed"),
    [
        (["--help"], set()),
        (["config", "check"], {"pydantic_settings"}),
        (["transfers"], {"pydantic_settings", "sqlalchemy"}),
        (["pause", "archive"], {"pydantic_settings", "sqlalchemy"}),
        (["status"], {"pydantic_settings", "sqlalchemy", "celery", "kombu"}),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_command_loads_no_heavy_library_that_it_does_not_need(desk: Desk, args: list[str], needed: set[str]) -> None:
    desk.introduce_remotes()
    config = str(desk.folder / "gurney.toml")
    command = [sys.executable, "-c", LIST_MODULES, "--config", config, *args]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stderr.splitlines()[-1].removeprefix("loaded: ").split())
    assert loaded & HEAVY == needed


def test_each_module_has_just_the_commands_that_are_listed_for_it() -> None:
    group = typer.main.get_group(app)
    assert list(group.commands) == list(COMMANDS)
    assert all(group.commands[name].name == name for name in COMMANDS)


def test_the_list_of_commands_fits_a_terminal(desk: Desk) -> None:
    out = desk("--help").out
    assert max(map(len, out.splitlines())) <= 80
    for name, (_, summary) in COMMANDS.items():
        assert f"  {name.ljust(10)}  {summary}\n" in out


def test_a_command_that_is_almost_right_is_suggested(desk: Desk) -> None:
    assert "'status'" in desk("statsu").err
