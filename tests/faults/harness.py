"""Gurney as it runs on a site: a folder with a configuration, its processes found, killed and outlived by a test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import psutil
import tomlkit

from gurney.ledger.schema import migrate
from tests.faults.books import Books
from tests.faults.instances import Instance, drop
from tests.services import wait_until
from tests.services.process import leash

__all__ = ["LEASE_SECONDS", "Gurney", "Peer", "Site", "remote"]

LEASE_SECONDS = 3.0
"""A worker that is killed costs a test this long."""

_MARK = "TEST_OF_SITE"
_START, _END = 60.0, 60.0


class Peer(Protocol):
    """Whatever listens for DICOM on loopback."""

    @property
    def ae_title(self) -> str: ...

    @property
    def port(self) -> int: ...


def remote(peer: Peer, name: str = "pacs", **keys: Any) -> dict[str, Any]:
    """Describe a peer as a ``[[remote]]``; its timeouts are short."""
    timeouts = {"connect": 5, "acse": 5, "store": 20} | keys.pop("timeouts", {})
    address = {"ae_title": peer.ae_title, "host": "127.0.0.1", "port": peer.port}
    return {"name": name, **address, "timeouts": timeouts, **keys}


class Site:
    """A folder with ``gurney.toml``, a watched folder and a data folder. Each table of it may be overridden."""

    def __init__(
        self,
        folder: Path,
        remotes: Sequence[Mapping[str, Any]],
        *,
        ledger_url: str = "",
        broker_url: str = "",
        **tables: Mapping[str, Any],
    ) -> None:
        self.folder = folder
        self.inbox = folder / "inbox"
        self.data = folder / "data"
        self.inbox.mkdir(parents=True)
        self.data.mkdir()
        self.config = folder / "gurney.toml"
        self.ledger_url = ledger_url or f"sqlite:///{self.data / 'ledger.sqlite3'}"
        self.started: list[Gurney] = []
        self._books: Books | None = None
        self._runtime_folder = ""
        watch = {
            "name": "inbox",
            "path": str(self.inbox),
            "settle_seconds": 0.1,
            "scan_seconds": 1.0,
            "send_to": [one["name"] for one in remotes],
        }
        document: dict[str, Any] = {
            "node": {"data_dir": str(self.data)},
            "ledger": {"url": ledger_url},
            "broker": {"url": broker_url},
            "workers": {"processes": 2, "stat_slot": False, "lease_seconds": LEASE_SECONDS},
            "spool": {"keep_free": "1MB"},
            "complete": {"quiet": "1s"},
            "log": {"format": "json"},
            "watch": [watch],
            "remote": list(remotes),
        }
        for name, table in tables.items():
            if name == "watch":
                watch.update(table)
            else:
                document[name] = document.get(name, {}) | dict(table)
        self.config.write_text(tomlkit.dumps(document))

    @property
    def books(self) -> Books:
        """The ledger, for looking; its schema is made if it is not there."""
        if self._books is None:
            migrate(self.ledger_url)
            self._books = Books(self.ledger_url)
        return self._books

    def drop(self, *instances: Instance) -> None:
        """Drop instances into the watched folder."""
        drop(self.inbox, *instances)

    def start(self, *command: str) -> Gurney:
        """Start ``gurney`` with a command, ``up`` if none is named."""
        one = Gurney(self, command or ("up",))
        self.started.append(one)
        return one

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of ``gurney`` to its end."""
        done = subprocess.run(
            self.command_line(*command),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=_END,
            check=False,
        )
        assert done.returncode == 0 or not check, done.stderr
        return done

    def command_line(self, *command: str) -> list[str]:
        """Give the command line of ``gurney`` on this site."""
        return [sys.executable, "-m", "gurney_daemon", "--config", str(self.config), *command]

    def environment(self) -> dict[str, str]:
        """Give an environment by which every process of this site, also an orphan, is recognised."""
        return {**os.environ, _MARK: str(self.folder)}

    def processes(self) -> list[psutil.Process]:
        """Find every process that was ever started on this site and still lives."""
        # The broker writes its title over its environment; but it stands in the folder of its socket.
        with suppress(OSError):
            self._runtime_folder = os.path.dirname(os.readlink(self.data / "broker.sock"))
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            is_marked: bool = process.environ().get(_MARK) == str(self.folder)
            return is_marked or process.cwd() == (self._runtime_folder or None)
        except (psutil.Error, OSError):
            return False

    def wait_until_ended(self) -> None:
        """Wait until no process of this site is left."""
        wait_until(lambda: not self.processes(), _END, f"{self.processes()} to end with their parent")

    def close(self) -> None:
        """End in good order what runs, then make sure that nothing of it is left."""
        try:
            for one in self.started:
                one.terminate()
            for one in self.started:
                one.stop()
            self.wait_until_ended()
        finally:
            for process in self.processes():
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            if self._books is not None:
                self._books.close()
            shutil.rmtree(self.data, ignore_errors=True)

    def check_logs(self) -> None:
        """Hold the logs to their promises: every line is JSON, nothing is a traceback, nobody's name is in them."""
        for one in self.started:
            text = one.log.read_text()
            assert "planted" not in text.lower()
            assert "Traceback (most" not in text
            raised = [event for event in map(json.loads, text.splitlines()) if "exception" in event]
            # Celery's own words for a process that was killed while it had a task.
            assert {event["logger"] for event in raised} <= {"celery.worker.request"}, raised


class Gurney:
    """One ``gurney`` command that runs for long, as the head of its processes."""

    def __init__(self, site: Site, command: Sequence[str]) -> None:
        self.site = site
        self._is_ending = False
        self.log = site.folder / f"{len(site.started)}-{command[0]}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*leash("KILL"), *site.command_line(*command)],
                env=site.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        """Whether the head of it lives."""
        return self._process.poll() is None

    def head(self) -> psutil.Process:
        """The command itself."""
        return psutil.Process(self._process.pid)

    def daemon(self) -> psutil.Process:
        """The daemon below ``gurney up``."""
        return self._child("gurney_daemon")

    def worker(self) -> psutil.Process:
        """The worker below ``gurney up``: the parent of the processes that send."""
        return self._child("gurney_workers")

    def broker(self) -> psutil.Process:
        """The embedded broker."""
        return self._child("valkey-server", "redis-server")

    def process(self, pid: int) -> psutil.Process:
        """One of its processes, by its id."""
        (found,) = [child for child in self.head().children(recursive=True) if child.pid == pid]
        return found

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """Read the log, or the events of one name in it."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
        return [event for event in found if not name or event["event"] == name]

    def wait_until_ready(self) -> None:
        """Wait until the daemon watches and a slot is open."""

        def is_ready() -> bool:
            assert self.is_running, self.log.read_text()
            return any(event["state"] == "watching" for event in self.events("watch_state")) and bool(
                self.events("slot_open")
            )

        wait_until(is_ready, _START, "gurney to be ready")

    def wait_for(self, *names: str) -> None:
        """Wait for one of some events in the log."""
        wait_until(lambda: any(self.events(name) for name in names), _START, f"an event {' or '.join(names)}")

    def stop(self) -> None:
        """End it in good order; nothing happens when it has ended. Raises AssertionError if it does not end well."""
        if not self.is_running:
            return
        self.terminate()
        try:
            code = self._process.wait(_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise AssertionError(f"gurney did not end; its log ends:\n{self.log.read_text()[-3000:]}") from None
        assert code == 0, f"gurney ended with {code}; its log ends:\n{self.log.read_text()[-3000:]}"

    def terminate(self) -> None:
        """Ask it once to end, and go on."""
        if not self._is_ending:
            self._is_ending = True
            self._process.terminate()

    def kill(self) -> None:
        """End the head with SIGKILL, and nothing else."""
        self._process.kill()
        self._process.wait()

    def _child(self, *words: str) -> psutil.Process:
        def find() -> psutil.Process | None:
            return next((child for child in self._children() if any(word in _words(child) for word in words)), None)

        found = wait_until(find, _START, f"a process of {words[0]}")
        assert found is not None
        return found

    def _children(self) -> Iterator[psutil.Process]:
        with suppress(psutil.NoSuchProcess):
            yield from self.head().children()


def _words(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
