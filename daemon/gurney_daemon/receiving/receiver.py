"""Listen for peers that push, for as long as the daemon lives: what happens to spool, ledger or port is waited out."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import structlog

from gurney.errors import GurneyError, LedgerError
from gurney.ledger import intake, roles, trail
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.forwarding import Bell
from gurney.ledger.roles import RoleTicket
from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.errors import ListenerError
from gurney.pacs.listener.receiving import ReceivingListener
from gurney.pacs.remote import Timeouts
from gurney.pacs.tls.options import InboundTls
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.errors import SpoolOffline
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.routes import Routes
from gurney_daemon.ingest.spool import Shelf, Spool
from gurney_daemon.receiving.adoption import adopt
from gurney_daemon.receiving.commitments import CommitmentAnswers
from gurney_daemon.receiving.doorkeeper import Doorkeeper
from gurney_daemon.receiving.landing import Landing

__all__ = ["Health", "ListensAt", "Receiver", "State"]

# Seconds. The role is short, because a daemon that was killed leaves it to run out.
_TTL: Final = 12.0
_RENEW: Final = 4.0
_LOOK_EVERY: Final = 0.5
_STANDBY: Final = 2.0
_SHORTEST_RETRY, _LONGEST_RETRY = 0.5, 15.0


class State(StrEnum):
    """How a receiver fares."""

    STARTING = "starting"
    RECEIVING = "receiving"
    STANDBY = "standby"  # another daemon has a receiver of this name
    PORT_TAKEN = "port_taken"
    SPOOL_OFFLINE = "spool_offline"
    SPOOL_FULL = "spool_full"
    LEDGER_OFFLINE = "ledger_offline"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Health:
    """A receiver's state, why, and since when (seconds since the epoch, for display)."""

    state: State
    why: str = ""
    since: float = 0.0

    def report(self) -> dict[str, object]:
        """Return this as plain data for the ledger."""
        return {"state": self.state.value, "why": self.why, "since": self.since, "ok": self.ok, "door": "receive"}

    @property
    def ok(self) -> bool:
        """Whether what peers push is being taken in, here or by another daemon."""
        return self.state in {State.RECEIVING, State.STANDBY}


@dataclass(frozen=True, slots=True)
class ListensAt:
    """Where a receiver listens, and what it puts up with: its limits are the listener's."""

    ae_title: str
    host: str
    port: int
    max_associations: int = 32
    max_instance_bytes: int | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    longest_association: float = math.inf
    tls: InboundTls | None = None


class Receiver:
    """The thread of one receiver; it owns the role ``receive:<name>``, so that no two daemons share its folders."""

    def __init__(
        self,
        source: Source,
        door: ListensAt,
        doorkeeper: Doorkeeper,
        ledger: Ledger,
        spool: Spool,
        routes: Routes,
        ring: Callable[[Sequence[Bell]], None],
        *,
        holder: str,
    ) -> None:
        """Prepare; ``holder`` names this process among all, ``ring`` is called after each commit."""
        self.name, self.port = source.name, door.port
        self.health = Health(State.STARTING)
        self._source, self._door, self._doorkeeper = source, door, doorkeeper
        self._ledger, self._spool, self._routes, self._ring, self._holder = ledger, spool, routes, ring, holder
        self._actor = f"receive:{source.name}"
        self._ticket: RoleTicket | None = None
        self._renew_at = 0.0
        self._log = structlog.get_logger(__name__).bind(receiver=source.name)

    def run(self, stop: threading.Event) -> None:
        """Receive until ``stop`` is set; open associations are aborted then: what was not answered is sent again."""
        retry = _SHORTEST_RETRY
        while not stop.is_set():
            began = time.monotonic()
            try:
                if self._has_role():
                    self._receive(stop)
                    continue
                self._turn(State.STANDBY, "another daemon has a receiver of this name")
                pause = _STANDBY
            except Exception as error:  # noqa: BLE001 - this thread must not end in silence, whatever went wrong
                self._turn(*_why(error), error=error)
                retry = _SHORTEST_RETRY if time.monotonic() - began > _LONGEST_RETRY else min(2 * retry, _LONGEST_RETRY)
                pause = retry
            stop.wait(pause)
        self._resign()
        self._turn(State.STOPPED, "")

    def _receive(self, stop: threading.Event) -> None:
        """Take in what was left, then listen until the role is lost or ``stop`` is set."""
        shelf = Shelf(self._spool, self.name)
        admission = Admission(self._source, self._ledger, shelf, self._routes, actor=self._actor, guard=self._guard)
        adopt(shelf, admission, self._ledger, self._ring)
        landing = Landing(shelf, admission, self._ledger, self._ring, self._door.max_instance_bytes)
        listener = ReceivingListener(
            self._door.ae_title,
            landing,
            self._doorkeeper,
            host=self._door.host,
            port=self._door.port,
            max_associations=self._door.max_associations,
            timeouts=self._door.timeouts,
            tls=self._door.tls,
        )
        listener.event_report(CommitmentAnswers(self._ledger, self._ring, self._actor).hear)
        with DicomEngine(), listener:
            self.port = listener.port
            while True:
                self._look_after(landing)
                if cut := listener.cut_older_than(self._door.longest_association):
                    self._log.warning("associations_cut", associations=cut, seconds=self._door.longest_association)
                if stop.wait(_LOOK_EVERY):
                    break
        # Nobody is answered any more: what is told last is of the associations that ended just now.
        self._tell(landing)

    def _look_after(self, landing: Landing) -> None:
        """See whether there is room, keep the role and tell what was refused. A ledger that is away closes the intake.

        Peers go on to associate: A700 says to come again, a port that is closed sends people looking for a fault.
        """
        try:
            self._tell(landing)
            landing.tidy()
            state, why = (State.SPOOL_FULL, "the spool is full") if self._spool.is_full() else (State.RECEIVING, "")
        except LeaseLost:
            raise
        except (LedgerError, SpoolOffline) as error:
            state, why = _why(error)
        landing.closed_because = why
        self._turn(state, why)

    def _tell(self, landing: Landing) -> None:
        """Write what happened at the door since last time; with nothing to tell, the role is kept now and then."""
        turned_away = self._doorkeeper.turned_away()
        counts, landing.counts = landing.counts, Counter()
        due = time.monotonic() >= self._renew_at
        if not due and not turned_away and not counts:
            return

        def write(tx: Transaction) -> None:
            self._guard(tx)
            intake.count(tx, self.name, dict(counts))
            for who, times in turned_away.items():
                trail.record(
                    tx,
                    self._actor,
                    "association.rejected",
                    calling_ae_title=who.calling.calling_ae_title,
                    called_ae_title=who.calling.called_ae_title,
                    address=who.calling.address,
                    reason=who.reason,
                    times=times,
                )

        self._ledger.transact(write)
        self._renew_at = time.monotonic() + _RENEW

    def _has_role(self) -> bool:
        if self._ticket is None or not self._ledger.transact(roles.keep, self._ticket, _TTL):
            self._ticket = self._ledger.transact(roles.assume, self._actor, self._holder, _TTL)
        return self._ticket is not None

    def _guard(self, tx: Transaction) -> None:
        """Keep the role in the transaction that writes, so that nothing is written without it."""
        if self._ticket is None or not roles.keep(tx, self._ticket, _TTL):
            raise LeaseLost(f"another daemon has taken over the receiver {self.name!r}")

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
            self._log.info("receiver_state", state=state)
        else:
            unexpected = error if state is State.FAILED else None
            self._log.error("receiver_state", state=state, why=why, exc_info=unexpected)


def _why(error: Exception) -> tuple[State, str]:
    match error:
        case SpoolOffline():
            return State.SPOOL_OFFLINE, str(error)
        case LeaseLost():
            return State.STANDBY, str(error)
        case LedgerError():
            return State.LEDGER_OFFLINE, str(error)
        case ListenerError():
            return State.PORT_TAKEN, str(error)
        case GurneyError():
            return State.FAILED, str(error)
        case _:
            return State.FAILED, type(error).__name__
