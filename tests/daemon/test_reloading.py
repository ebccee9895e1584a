"""What a reload applies, and what it refuses because it takes a restart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from gurney.errors import GurneyError
from gurney.settings import load
from gurney_daemon.cli import running
from gurney_daemon.cli.edge import Edge
from gurney_daemon.reloading import fixed_at_start
from gurney_daemon.supervisor import Child

BASE = '[[remote]]\nname = "archive"\nae_title = "A"\nhost = "127.0.0.1"\nport = 104\n'


def configure(folder: Path, *, data: str = "data", more: str = "") -> str:
    file = folder / "gurney.toml"
    file.write_text(f'[node]\ndata_dir = "{folder / data}"\n{more}{BASE}')
    return str(file)


@pytest.mark.parametrize(
    ("data", "more", "named"),
    [
        ("data", "", []),
        ("data", "[workers]\nstat_slot = false\nprocesses = 3\n", []),
        ("data", '[broker]\nurl = "redis://127.0.0.1/0"\n', ["[broker] url"]),
        ("other", "", ["[node] data_dir", "[ledger] url"]),
        ("data", '[ledger]\nurl = "sqlite:////var/lib/gurney/other.sqlite3"\n', ["[ledger] url"]),
    ],
)
def test_what_takes_a_restart_is_named(tmp_path: Path, data: str, more: str, named: list[str]) -> None:
    old = load(configure(tmp_path))
    assert fixed_at_start(old, load(configure(tmp_path, data=data, more=more))) == named


@pytest.fixture
def reload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Sequence[Child]]:
    """What `gurney up` would run after a reload, started on the first configuration."""
    taken: list[Callable[[], Sequence[Child]]] = []

    class Caught:
        def __init__(self, _children: object, *, reload: Callable[[], Sequence[Child]], **_: object) -> None:
            taken.append(reload)

        def run(self) -> None:
            """Nothing is run here."""

    monkeypatch.setattr(running, "Supervisor", Caught)
    running._supervise(Edge(configure(tmp_path)), running._all_children, fixed_at_start)
    return taken[0]


def names(children: Sequence[Child]) -> list[str]:
    return [child.name for child in children]


def test_a_slot_that_is_given_up_is_not_started_again(tmp_path: Path, reload: Callable[[], Sequence[Child]]) -> None:
    assert names(reload()) == ["worker:stat,work", "worker:stat", "daemon"]
    configure(tmp_path, more="[workers]\nstat_slot = false\n")
    assert names(reload()) == ["worker:stat,work", "daemon"]


def test_what_takes_a_restart_keeps_everything_as_it_is_and_says_so(
    tmp_path: Path, reload: Callable[[], Sequence[Child]]
) -> None:
    configure(tmp_path, more='[broker]\nurl = "redis://127.0.0.1/0"\n')
    with pytest.raises(GurneyError, match=r"^\[broker\] url: .* takes a restart"):
        reload()
    configure(tmp_path)
    assert reload()
