"""Everything that runs in the demo: a PACS and ``gurney up``, each a process, in a folder of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gurney.errors import GurneyError
from gurney.jobs.tether import SUPERVISOR
from gurney_daemon.demo.archive import AE_TITLE

__all__ = ["Interrupted", "Stage", "StageError", "set_stage"]

# What a drain may take; then the process is killed.
_DRAIN_SECONDS: Final = 90.0
_TAIL_LINES: Final = 15

# Paths count from the folder of the file.
_CONFIGURATION: Final = """\
# Written by the demo.
[node]
ae_title = "GURNEY"
data_dir = "data"

[spool]
keep_free = "50MB"

[log]
format = "json"

[[remote]]
name = "pacs"
ae_title = "{ae_title}"
host = "127.0.0.1"
port = {port}

[[watch]]
name = "modality"
path = "incoming"
settle_seconds = 0.5
scan_seconds = 2
send_to = ["pacs"]
"""


class StageError(GurneyError):
    """Report that a process of the demo did not start, or ended before its time."""


class Interrupted(Exception):
    """Report Ctrl-C or SIGTERM, at a moment when everything can be put away."""


@dataclass(frozen=True)
class Stage:
    """What stands while the demo runs."""

    folder: Path
    gurney: subprocess.Popen[bytes]
    pacs: subprocess.Popen[bytes]
    is_interrupted: Callable[[], bool]

    @property
    def configuration(self) -> Path:
        """The configuration file."""
        return self.folder / "gurney.toml"

    @property
    def incoming(self) -> Path:
        """The watched folder."""
        return self.folder / "incoming"

    @property
    def held(self) -> Path:
        """The PACS's folder."""
        return self.folder / "pacs"

    @property
    def ledger_url(self) -> str:
        """The ledger's SQLAlchemy URL."""
        return f"sqlite:///{self.folder / 'data' / 'ledger.sqlite3'}"

    @property
    def log(self) -> Path:
        """What Gurney's processes write."""
        return self.folder / "gurney.log"

    def check(self) -> None:
        """Raise Interrupted when the demo shall end, StageError when a process has ended."""
        if self.is_interrupted():
            raise Interrupted
        _check_runs("gurney up", self.gurney, self.log)
        _check_runs("the PACS", self.pacs, _pacs_log(self.folder))


@contextmanager
def set_stage(folder: Path) -> Iterator[Stage]:
    """Start everything in ``folder``, and leave no process behind, whatever happens inside.

    From the beginning to the end Ctrl-C and SIGTERM only ask: see :meth:`Stage.check`.
    """
    asked: list[int] = []
    previous = {
        number: signal.signal(number, lambda got, _: asked.append(got)) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        (folder / "incoming").mkdir()
        with _start_pacs(folder) as (pacs, port):
            (folder / "gurney.toml").write_text(_CONFIGURATION.format(ae_title=AE_TITLE, port=port))
            with _start_gurney(folder) as gurney:
                yield Stage(folder, gurney, pacs, lambda: bool(asked))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _start_pacs(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    module = "gurney_daemon.demo.archive"
    command = [sys.executable, "-m", module, str(folder / "pacs"), "--parent", str(os.getpid())]
    with _run(command, _pacs_log(folder), stdout=subprocess.PIPE) as pacs:
        assert pacs.stdout is not None  # noqa: S101 - it was asked for
        line = pacs.stdout.readline()
        if not line:
            pacs.wait()
            raise StageError(f"the PACS did not start:\n{_tail(_pacs_log(folder))}")
        yield pacs, int(line)


@contextmanager
def _start_gurney(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "gurney_daemon", "--config", str(folder / "gurney.toml"), "up"]
    with _run(command, folder / "gurney.log") as gurney:
        yield gurney


@contextmanager
def _run(command: Sequence[str], log: Path, stdout: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output if stdout is None else stdout,
            stderr=output,
            env=_environment(),
            # Ctrl-C is for the demo, which ends the others in order.
            start_new_session=True,
        )
    with process:
        try:
            yield process
        finally:
            _end(process)


def _check_runs(name: str, process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        raise StageError(f"{name} ended with code {process.returncode}; {log} ends:\n{_tail(log)}")


def _environment() -> dict[str, str]:
    """Leave out settings of the user's own: the environment outweighs the file."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GURNEY_")}
    return {**kept, SUPERVISOR: str(os.getpid())}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_DRAIN_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _pacs_log(folder: Path) -> Path:
    return folder / "pacs.log"


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
