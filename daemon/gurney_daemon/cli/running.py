"""The commands that run for long: ``up``, ``daemon``, ``worker``; and ``migrate``, which must come before them."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial

import typer

from gurney.errors import GurneyError, LedgerError
from gurney.jobs import EmbeddedBroker, FolderLock, Lane
from gurney.jobs.tether import SUPERVISOR, tie_to_parent
from gurney.ledger import workers
from gurney.ledger.processes import ProcessName
from gurney.ledger.schema import migrate
from gurney.observability import configure_logging, get_logger
from gurney.settings import Settings
from gurney_daemon.cli.edge import Edge
from gurney_daemon.reload_answer import answer_reload, forget_answer
from gurney_daemon.reloading import fixed_at_start
from gurney_daemon.supervisor import Child, Supervisor

__all__ = ["register"]

log = get_logger(__name__)

# Workers end first, while the daemon still stands to be asked.
_WORKERS_FIRST, _DAEMON_LAST = 0, 1


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("daemon")(daemon)
    app.command("worker")(worker)
    app.command("migrate")(migrate_ledger)


def up(ctx: typer.Context) -> None:
    """Run everything on this machine: broker, migration, daemon, workers. SIGTERM drains, SIGHUP reloads."""
    edge: Edge = ctx.obj
    settings = edge.settings
    _log_to(settings, "up")
    _tie()
    os.makedirs(settings.node.data_dir, exist_ok=True)
    answer = partial(answer_reload, settings.node.data_dir)
    if not settings.broker_is_embedded:
        with FolderLock(settings.node.data_dir):
            forget_answer(settings.node.data_dir)
            migrate(settings.ledger_url)
            _supervise(edge, _all_children, fixed_at_start, answer=answer)
        return
    with EmbeddedBroker(settings.node.data_dir) as broker:
        forget_answer(settings.node.data_dir)
        migrate(settings.ledger_url)
        if broker.is_degraded:
            from gurney_daemon.one_process import run_in_one_process

            log.warning("broker_degraded", reason="no Valkey or Redis server was found: everything runs in one process")
            run_in_one_process(settings, answer=answer)
        else:
            _supervise(edge, _all_children, fixed_at_start, answer=answer, tick=broker.ensure)


def daemon(ctx: typer.Context) -> None:
    """Run the daemon alone: it watches folders, takes files in, rings the workers. SIGTERM drains, SIGHUP reloads."""
    from gurney_daemon.service import run_daemon

    edge: Edge = ctx.obj
    settings = edge.settings
    _log_to(settings, "daemon")
    _tie()
    if SUPERVISOR in os.environ:
        run_daemon(settings)  # it is the supervisor that reloads
    elif run_daemon(settings, on_reload=partial(_accepts_reload, edge)):
        # Afresh, as a restart would, but with the same process id: whoever started it need not know.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        command = _command("gurney_daemon", edge, "daemon")
        os.execv(command[0], command)  # noqa: S606 - this very program, with its own arguments


def worker(ctx: typer.Context) -> None:
    """Run this host's workers: they send. One slot serves STAT alone."""
    edge: Edge = ctx.obj
    _log_to(edge.settings, "worker")
    _tie()
    with edge.ledger():
        pass  # refuse here, in one line, what every worker would refuse in its log
    _supervise(edge, _worker_children)


def migrate_ledger(ctx: typer.Context) -> None:
    """Bring the ledger's schema to this version. Safe to run twice."""
    settings = ctx.obj.settings
    _log_to(settings, "migrate")
    migrate(settings.ledger_url)
    log.info("ledger_migrated")


def _all_children(edge: Edge) -> list[Child]:
    return [*_worker_children(edge), _daemon_child(edge)]


def _worker_children(edge: Edge) -> list[Child]:
    lanes = ["stat,work", "stat"] if edge.settings.workers.stat_slot else ["stat,work"]
    if edge.settings.retrieve is not None:
        lanes.append(Lane.RETRIEVE.value)
    return [
        Child(f"worker:{served}", _command("gurney_workers", edge, "--lanes", served), _WORKERS_FIRST)
        for served in lanes
    ]


def _daemon_child(edge: Edge) -> Child:
    return Child("daemon", _command("gurney_daemon", edge, "daemon"), _DAEMON_LAST)


def _command(package: str, edge: Edge, *arguments: str) -> list[str]:
    config = ["--config", edge.config] if edge.config else []
    return [sys.executable, "-m", package, *config, *arguments]


def _supervise(
    edge: Edge,
    children_of: Callable[[Edge], list[Child]],
    fixed: Callable[[Settings, Settings], list[str]] = lambda _old, _new: [],
    *,
    answer: Callable[[int, str], object] = lambda _begun, _refused: None,
    tick: Callable[[], object] = lambda: None,
) -> None:
    def reload() -> list[Child]:
        """Read the new configuration. Raises GurneyError where it is wrong, or needs a restart of this process."""
        new = Edge(edge.config)
        if restart_for := fixed(edge.settings, new.settings):
            raise GurneyError(f"{', '.join(restart_for)}: what has changed takes a restart of `gurney up`")
        log.info("reload_accepted")
        _announce_restart(edge)
        return children_of(new)

    Supervisor(children_of(edge), reload=reload, answer=answer, tick=tick).run()


def _accepts_reload(edge: Edge) -> bool:
    """Tell whether there's a new configuration to run with, and log why not."""
    try:
        _ = Edge(edge.config).settings
    except GurneyError as error:
        log.error("reload_refused", reason=str(error))
        return False
    log.info("reload_accepted")
    return True


def _announce_restart(edge: Edge) -> None:
    """Tell the ledger why in a moment nobody is there, so that no health check takes it for a fault."""
    name = str(ProcessName.of_this_process("up"))
    try:
        with edge.ledger() as ledger:
            ledger.transact(
                workers.announce, name, host=socket.gethostname(), kind=workers.RESTARTING, slots=0, spools=[]
            )
    except LedgerError as error:
        log.warning("announce_failed", reason=str(error))


def _tie() -> None:
    """Under a supervisor, end when it ends, however it does."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor:
        tie_to_parent(int(supervisor))


def _log_to(settings: Settings, service: str) -> None:
    configure_logging(settings.log.format, settings.log.level, service=service)
