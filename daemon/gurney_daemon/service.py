"""The daemon: a thread for each watched folder, and those that reconcile, empty the spool and check counts."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NoReturn
from zoneinfo import ZoneInfo

from gurney import settings as configuration
from gurney.errors import BrokerError, GurneyError
from gurney.jobs import Doorbell, embedded_url, make_app
from gurney.jobs.tether import SUPERVISOR
from gurney.ledger import destinations, roles, workers
from gurney.ledger.database import Ledger
from gurney.ledger.processes import ProcessName
from gurney.ledger.schema import check_schema
from gurney.observability import get_logger
from gurney.settings import Settings, Watch
from gurney.transfer.routing import RouteTable, compile_routes
from gurney_daemon.bookkeeping import check_counts
from gurney_daemon.configured import (
    destination_specs,
    door_routes,
    doorkeeper_of,
    listens_at,
    received_source,
    receiver_routes,
    retrieve_doorkeeper,
    retrieve_routes,
    retrieve_source,
    retrieves_at,
    spool_of,
    watched_folder,
)
from gurney_daemon.hl7_listener import Hl7Listener
from gurney_daemon.ingest.spool import Spool
from gurney_daemon.ingest.watcher import Watcher
from gurney_daemon.prover import Prover, proves
from gurney_daemon.receiving.receiver import Receiver
from gurney_daemon.reconciler import Reconciler
from gurney_daemon.retention import Retention
from gurney_daemon.ringing import Ringer
from gurney_daemon.rounds import Chore, Rounds
from gurney_daemon.scheduler import SCHEDULER, Scheduler

__all__ = ["DRAIN_SECONDS", "Daemon", "run_daemon"]

DRAIN_SECONDS = 30.0
"""How long threads may take to end: nothing of ours takes so long, but a share whose server has gone takes for ever."""

_ANNOUNCE_EVERY = 15.0
_NEWS_EVERY = 0.5
_RETENTION_EVERY = 30.0
# A step reads up to a gibibyte, perhaps from a slow share.
_RETENTION_SECONDS = 600.0
_CHECK_EVERY = 24 * 3600.0
# Not with everything else that a start sets off.
_CHECK_FIRST_AFTER = 3600.0
_CHECK_SECONDS = 600.0
_RESIGN_SECONDS = 5.0

log = get_logger(__name__)


def _ignore_reload() -> None:
    log.warning("reload_ignored", reason="restart this process to reload")


def run_daemon(
    settings: Settings,
    broker_url: str = "",
    *,
    on_reload: Callable[[], object] = _ignore_reload,
    on_stop: Callable[[], object] = lambda: None,
    drain_seconds: float = DRAIN_SECONDS,
) -> bool:
    """Run the daemon in this process until SIGTERM or SIGINT; true when it has ended to be run anew.

    ``on_stop`` ends what else runs in this process, before the daemon's own threads. These have ``drain_seconds``; if
    one hangs for longer, in a share whose server has gone, this ends the process instead of returning.

    SIGHUP asks ``on_reload``, which either says why nothing is applied, or answers true: then the daemon ends for the
    caller to run it with the new configuration.

    Raises LedgerError when the ledger can't be used, BrokerError when there is no broker to ring by.
    """
    stop, told_to_end = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        told_to_end.set()
        stop.set()

    def reload(*_: object) -> None:
        if on_reload():
            stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    # Its default action would end the process undrained.
    signal.signal(signal.SIGHUP, reload)
    url = broker_url or settings.broker.url or embedded_url(settings.node.data_dir)
    if url is None:
        raise BrokerError("no broker serves this data folder: start `gurney up`, or give [broker] a url")
    ledger = Ledger(settings.ledger_url)
    doorbell = Doorbell(make_app(url))
    try:
        check_schema(ledger)
        with Daemon(settings, ledger, doorbell, on_failure=stop.set, drain_seconds=drain_seconds) as daemon:
            stop.wait()
            on_stop()
        if daemon.hanging:
            _quit(daemon)
        if daemon.failed:
            raise GurneyError(f"the thread {daemon.failed!r} of the daemon has failed; its log says why")
        return not told_to_end.is_set()
    finally:
        doorbell.close()
        ledger.dispose()


def _quit(daemon: Daemon) -> NoReturn:
    """End this process with no goodbye but to the ledger: Python would wait at its end for a thread that hangs."""
    # The ledger may hang as well.
    goodbye = threading.Thread(target=daemon.resign, name="goodbye", daemon=True)
    goodbye.start()
    goodbye.join(_RESIGN_SECONDS)
    log.critical(
        "threads_abandoned",
        threads=daemon.hanging,
        reason="they hang and did not drain in time; look at the disk or share. What they were at begins anew",
    )
    os._exit(os.EX_IOERR)


class Daemon:
    """The daemon's threads, for the length of a ``with`` block."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        doorbell: Doorbell,
        *,
        on_failure: Callable[[], None] = lambda: None,
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        """Copy the configuration's remotes into the ledger, open the spool, compile the rules.

        ``on_failure`` is called when a thread ends by a mistake of ours: better a restart than half a daemon. Threads
        that have not ended ``drain_seconds`` after the block are left behind, and named in ``hanging``.
        """
        self.failed = ""
        self.hanging: list[str] = []
        self._on_failure, self._drain_seconds = on_failure, drain_seconds
        self._settings, self._ledger = settings, ledger
        self._host = socket.gethostname()
        self._name = str(ProcessName.of_this_process("daemon"))
        # A supervisor runs one daemon at a time: the next one takes up the roles of one that died, without a wait.
        self._holder = holder = f"{self._host}:{os.environ.get(SUPERVISOR, os.getpid())}:daemon"
        self._stop = threading.Event()
        ledger.transact(destinations.sync, destination_specs(settings), "configuration")
        ring = Ringer(ledger, doorbell)
        spool = spool_of(settings, ledger)
        table = compile_routes(settings.route_rules)
        self.watchers = [self._watcher(watch, spool, table, ring, holder) for watch in settings.watch]
        self.receivers = [self._receiver(receiver, spool, table, ring, holder) for receiver in settings.receiver]
        if settings.retrieve is not None:
            self.receivers.append(self._retrieve_receiver(settings.retrieve, spool, table, ring, holder))
        self._reconciler = Reconciler(
            ledger,
            ring,
            holder=holder,
            quiet=settings.complete.quiet,
            max_wait=settings.complete.max_wait,
        )
        retention = Retention(ledger, spool.place, settings.spool.retain_days * 86_400.0)
        # Apart from the reconciler: it reads whole files, and looks into folders that may hang.
        self._pruner = Rounds(
            f"pruner:{spool.place.name}",
            ledger,
            [Chore(_RETENTION_EVERY, retention.step)],
            holder=holder,
            seconds=_RETENTION_SECONDS,
        )
        # Apart from both: among millions of items it reads for seconds.
        self._bookkeeper = Rounds(
            "bookkeeper",
            ledger,
            [Chore(_CHECK_EVERY, partial(check_counts, ledger), due=time.monotonic() + _CHECK_FIRST_AFTER)],
            holder=holder,
            seconds=_CHECK_SECONDS,
        )
        scheduler = Scheduler(settings, ledger, ring, holder=holder)
        asked = filter(proves, settings.remote)
        provers = [Prover(settings, remote, ledger, ring, holder=holder) for remote in asked]
        self._messages: list[Hl7Listener] = []
        if settings.hl7 is not None:
            self._messages.append(Hl7Listener(settings.hl7, ledger, ZoneInfo(settings.node.timezone)))
        self._threads = [
            self._thread("reconciler", self._reconciler.run),
            self._thread("pruner", self._pruner.run),
            self._thread("bookkeeper", self._bookkeeper.run),
            self._thread("announce", self._announce),
            self._thread(SCHEDULER, scheduler.run),
            *[self._thread(prover.name, prover.run) for prover in provers],
            *[self._thread(listener.name, listener.run) for listener in self._messages],
            *[self._thread(f"watch:{watcher.watched.name}", watcher.run) for watcher in self.watchers],
            *[self._thread(f"receive:{receiver.name}", receiver.run) for receiver in self.receivers],
        ]

    def __enter__(self) -> Daemon:
        """Start every thread."""
        for thread in self._threads:
            thread.start()
        log.info(
            "daemon_started",
            watches=[watcher.watched.name for watcher in self.watchers],
            receivers=[receiver.name for receiver in self.receivers],
        )
        return self

    def __exit__(self, *_: object) -> None:
        """Stop, and wait for what is being taken in, as long as that may take."""
        self._stop.set()
        deadline = time.monotonic() + self._drain_seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.hanging = [thread.name for thread in self._threads if thread.is_alive()]
        if not self.hanging:
            log.info("daemon_stopped")

    def resign(self) -> None:
        """Give back every role, also those whose threads hang: the next daemon need not wait until they run out."""
        try:
            self._ledger.transact(roles.resign_all, self._holder)
        except GurneyError as error:
            log.warning("roles_not_resigned", reason=str(error))

    def _thread(self, name: str, work: Callable[[threading.Event], None]) -> threading.Thread:
        def run() -> None:
            try:
                work(self._stop)
            except BaseException:  # whatever it was goes on; the process must not run with a thread less
                self.failed = name
                self._on_failure()
                raise

        return threading.Thread(target=run, name=name)

    def _watcher(self, watch: Watch, spool: Spool, table: RouteTable, ring: Ringer, holder: str) -> Watcher:
        grace = self._settings.spool.trash_grace_hours * 3600.0
        watched = replace(watched_folder(watch), trash_grace_seconds=grace)
        routes = door_routes(watch, table)
        return Watcher(watched, self._ledger, spool, routes, ring, holder=holder)

    def _receiver(
        self, receiver: configuration.Receiver, spool: Spool, table: RouteTable, ring: Ringer, holder: str
    ) -> Receiver:
        return Receiver(
            received_source(receiver),
            listens_at(self._settings, receiver),
            doorkeeper_of(self._settings, receiver),
            self._ledger,
            spool,
            receiver_routes(receiver, table),
            ring,
            holder=holder,
        )

    def _retrieve_receiver(
        self, retrieve: configuration.Retrieve, spool: Spool, table: RouteTable, ring: Ringer, holder: str
    ) -> Receiver:
        return Receiver(
            retrieve_source(retrieve),
            retrieves_at(retrieve),
            retrieve_doorkeeper(retrieve),
            self._ledger,
            spool,
            retrieve_routes(table),
            ring,
            holder=holder,
        )

    def _health(self) -> dict[str, dict[str, object]]:
        """Say of each source how it fares."""
        watched = {watcher.watched.name: watcher.health.report() for watcher in self.watchers}
        doors: list[Receiver | Hl7Listener] = [*self.receivers, *self._messages]
        return watched | {door.name: door.health.report() for door in doors}

    def _wait_for_news(self, stop: threading.Event, told: dict[str, dict[str, object]]) -> bool:
        """Wait until it is time to announce again, or a source fares otherwise; true when told to stop."""
        again = time.monotonic() + _ANNOUNCE_EVERY
        while time.monotonic() < again and told == self._health():
            if stop.wait(_NEWS_EVERY):
                return True
        return stop.is_set()

    def _announce(self, stop: threading.Event) -> None:
        """Say that we live, and how the sources fare, until the end."""
        while True:
            told = self._health()
            try:
                self._ledger.transact(
                    workers.announce,
                    self._name,
                    host=self._host,
                    kind="daemon",
                    slots=0,
                    spools=[self._settings.spool.name],
                    folders=told,
                )
            except GurneyError as error:
                log.warning("announce_failed", reason=str(error))
            if self._wait_for_news(stop, told):
                break
        try:
            self._ledger.transact(workers.leave, self._name)
        except GurneyError as error:
            log.warning("leave_failed", reason=str(error))
