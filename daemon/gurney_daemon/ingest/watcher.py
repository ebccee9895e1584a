"""Watch one folder for as long as the daemon lives: whatever happens to folder, spool or ledger, it is waited out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from gurney.errors import GurneyError, LedgerError
from gurney.ledger import roles
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.forwarding import Bell
from gurney.ledger.roles import RoleTicket
from gurney_daemon.ingest.absences import Absences
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.disposal import Disposal
from gurney_daemon.ingest.errors import FolderOffline, SpoolOffline
from gurney_daemon.ingest.patrol import Patrol, PatrolChore, WatchedFolder
from gurney_daemon.ingest.recovery import recover
from gurney_daemon.ingest.routes import Routes
from gurney_daemon.ingest.spool import Shelf, Spool

__all__ = ["Health", "State", "Watcher"]

# Seconds. The role is short, because a daemon that was killed leaves it to run out.
_TTL: Final = 12.0
_RENEW: Final = 4.0
_LONGEST_SLEEP: Final = 0.5
_STANDBY: Final = 2.0
_SHORTEST_RETRY, _LONGEST_RETRY = 0.5, 15.0


class State(StrEnum):
    """How a watcher fares."""

    STARTING = "starting"
    WATCHING = "watching"
    STANDBY = "standby"  # another daemon watches this folder
    FOLDER_OFFLINE = "folder_offline"
    SPOOL_OFFLINE = "spool_offline"
    SPOOL_FULL = "spool_full"
    LEDGER_OFFLINE = "ledger_offline"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """A watcher's state, why, and since when (seconds since the epoch, for display)."""

    state: State
    why: str = ""
    since: float = 0.0

    def report(self) -> dict[str, object]:
        """Return this as plain data for the ledger."""
        return {"state": self.state.value, "why": self.why, "since": self.since, "ok": self.ok}

    @property
    def ok(self) -> bool:
        """Whether files of this folder are being taken in, here or by another daemon."""
        return self.state in {State.WATCHING, State.STANDBY}


class Watcher:
    """The thread of one watched folder; it owns the role ``watch:<name>``, so that no two daemons share a folder."""

    def __init__(
        self,
        watched: WatchedFolder,
        ledger: Ledger,
        spool: Spool,
        routes: Routes,
        ring: Callable[[Sequence[Bell]], None],
        *,
        holder: str,
    ) -> None:
        """Prepare; ``holder`` names this process among all, ``ring`` is called after each commit."""
        self.watched = watched
        self.health = Health(State.STARTING)
        self._ledger, self._spool, self._routes, self._ring, self._holder = ledger, spool, routes, ring, holder
        self._wake = threading.Event()
        self._ticket: RoleTicket | None = None
        self._log = structlog.get_logger(__name__).bind(watch=watched.name)

    def run(self, stop: threading.Event) -> None:
        """Watch until ``stop`` is set; returns within about a second of it."""
        retry = _SHORTEST_RETRY
        while not stop.is_set():
            began = time.monotonic()
            try:
                if self._has_role():
                    self._watch(stop)
                    continue
                self._turn(State.STANDBY, "another daemon watches this folder")
                pause = _STANDBY
            except Exception as error:  # noqa: BLE001 - this thread must not end in silence, whatever went wrong
                self._turn(*_why(error), error=error)
                retry = _SHORTEST_RETRY if time.monotonic() - began > _LONGEST_RETRY else min(2 * retry, _LONGEST_RETRY)
                pause = retry
            stop.wait(pause)
        self._resign()
        self._turn(State.STOPPED, "")

    def _watch(self, stop: threading.Event) -> None:
        """Recover what was left, then go round until something fails or ``stop`` is set."""
        shelf = Shelf(self._spool, self.watched.name)
        admission = Admission(
            self.watched.source(),
            self._ledger,
            shelf,
            self._routes,
            actor=f"watch:{self.watched.name}",
            guard=self._guard,
        )
        patrol = Patrol(self.watched, self._ledger, self._spool, admission, self._ring, self._wake.set, self._chores())
        patrol.start()
        try:
            recover(shelf, admission, self._ledger, self._ring)
            renew_at = time.monotonic() + _RENEW
            while not stop.is_set():
                pause = patrol.step()
                self._turn(*((State.SPOOL_FULL, "the spool is full") if patrol.is_full else (State.WATCHING, "")))
                if time.monotonic() >= renew_at:
                    self._ledger.transact(self._guard)
                    renew_at = time.monotonic() + _RENEW
                if pause:
                    self._wake.wait(min(pause, _LONGEST_SLEEP))
                    self._wake.clear()
        finally:
            patrol.stop()

    def _chores(self) -> list[PatrolChore]:
        watched, folder = self.watched, self.watched.folder()
        chores: list[PatrolChore] = [Absences(watched.name, folder, self._ledger, self._spool, self._guard)]
        if watched.after != "keep":
            target, grace = os.fsencode(watched.move_to), watched.trash_grace_seconds
            chores.append(Disposal(watched.name, folder.root, target, self._ledger, self._guard, grace_seconds=grace))
        return chores

    def _has_role(self) -> bool:
        if self._ticket is None or not self._ledger.transact(roles.keep, self._ticket, _TTL):
            self._ticket = self._ledger.transact(roles.assume, f"watch:{self.watched.name}", self._holder, _TTL)
        return self._ticket is not None

    def _guard(self, tx: Transaction) -> None:
        """Keep the role in the transaction that writes, so that nothing is written without it."""
        if self._ticket is None or not roles.keep(tx, self._ticket, _TTL):
            raise LeaseLost(f"the folder {self.watched.name!r} is watched by another daemon now")

    def _resign(self) -> None:
        if self._ticket is not None:
            try:
                self._ledger.transact(roles.resign, self._ticket)
            except LedgerError as error:
                self._log.info("role_left_to_run_out", error=error)

    def _turn(self, state: State, why: str, error: Exception | None = None) -> None:
        """Show a state, and log it when it is new."""
        if state is self.health.state and why == self.health.why:
            return
        self.health = Health(state, why, time.time())
        if self.health.ok or state is State.STOPPED:
            self._log.info("watch_state", state=state)
        else:
            unexpected = error if state is State.FAILED else None
            self._log.error("watch_state", state=state, why=why, exc_info=unexpected)


def _why(error: Exception) -> tuple[State, str]:
    match error:
        case FolderOffline():
            return State.FOLDER_OFFLINE, str(error)
        case SpoolOffline():
            return State.SPOOL_OFFLINE, str(error)
        case LeaseLost():
            return State.STANDBY, str(error)
        case LedgerError():
            return State.LEDGER_OFFLINE, str(error)
        case GurneyError():
            return State.FAILED, str(error)
        case _:
            return State.FAILED, type(error).__name__
