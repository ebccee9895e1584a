"""A desk to type commands at: a configuration, a data folder with a migrated ledger, and what each command answered."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gurney.ledger import destinations
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney_daemon.cli import main
from tests.ledger.world import ManualClock, World

__all__ = ["Answer", "Desk"]


@dataclass(frozen=True)
class Answer:
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Desk:
    """Commands run in this process, through the entry point that users have."""

    def __init__(self, folder: Path, ledger_template: Path | None, ledger_url: str = "") -> None:
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir()
        self.url = ledger_url or f"sqlite:///{self.data / 'ledger.sqlite3'}"
        if ledger_template is not None:
            shutil.copy(ledger_template, self.data / "ledger.sqlite3")
        self._ledgers: list[Ledger] = []
        self.configure()

    def configure(self, more: str = "", *, port: int = 104) -> None:
        """Write the configuration: two remotes, and more."""
        remotes = "".join(
            f'[[remote]]\nname = "{name}"\nae_title = "{name.upper()}"\nhost = "127.0.0.1"\nport = {port}\n'
            for name in ("archive", "research")
        )
        ledger = f'[ledger]\nurl = "{self.url}"\n' if self.url.startswith("postgresql") else ""
        spool = '[spool]\nkeep_free = "1MB"\n'
        (self.folder / "gurney.toml").write_text(
            f'[node]\ndata_dir = "{self.data}"\n{ledger}{spool}{remotes}{more}', encoding="utf-8"
        )

    def __call__(self, *args: str | bytes | Path | int, typed: str | None = None) -> Answer:
        """Run a command; with ``typed`` standard input is a terminal at which somebody types that."""
        words = [str(arg) if isinstance(arg, int) else os.fsdecode(arg) for arg in args]
        out, err = io.StringIO(), io.StringIO()
        before = sys.argv, sys.stdin
        sys.argv = ["gurney", "--config", str(self.folder / "gurney.toml"), *words]
        sys.stdin = io.StringIO() if typed is None else _Terminal(typed)
        code: object = 0
        try:
            with redirect_stdout(out), redirect_stderr(err):
                main()
        except SystemExit as end:
            code = end.code or 0
        finally:
            sys.argv, sys.stdin = before
        assert isinstance(code, int)
        return Answer(code, out.getvalue(), err.getvalue())

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger as every process sees it."""
        return self._open(Ledger(self.url))

    @cached_property
    def world(self) -> World:
        """The same ledger to act in, at a time that stands still where the commands' time begins."""
        return World(self._open(Ledger(self.url, clock=ManualClock(self.ledger.now()))))

    def introduce_remotes(self) -> None:
        """Tell the ledger of the remotes, as the daemon does when it starts."""
        specs = [DestinationSpec(name, name.upper(), "GURNEY") for name in ("archive", "research")]
        self.ledger.transact(destinations.sync, specs, "test")

    def _open(self, ledger: Ledger) -> Ledger:
        self._ledgers.append(ledger)
        return ledger

    def leave(self) -> None:
        for ledger in self._ledgers:
            ledger.dispose()
