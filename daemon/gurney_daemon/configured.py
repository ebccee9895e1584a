"""The parts of a running Gurney as the configuration describes them, for the daemon and for commands beside it."""

from __future__ import annotations

from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.settings import Remote, Settings, Watch
from gurney.transfer.routing import RouteTable
from gurney.transfer.states import Priority
from gurney_daemon.ingest.patrol import WatchedFolder
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import Spool, find_spool, open_spool

__all__ = ["destination_spec", "destination_specs", "door_routes", "present_spool", "spool_of", "watched_folder"]


def destination_specs(settings: Settings) -> list[DestinationSpec]:
    """Return what the ledger keeps of each remote."""
    return [destination_spec(settings, remote) for remote in settings.remote]


def destination_spec(settings: Settings, remote: Remote) -> DestinationSpec:
    """Return what the ledger keeps of one remote."""
    return DestinationSpec(
        name=remote.name,
        ae_title=remote.ae_title,
        calling_ae_title=settings.calling_ae_title(remote),
        max_associations=remote.max_associations,
        association=remote.association,
        duplicate_ok=remote.duplicate == "ok",
    )


def spool_of(settings: Settings, ledger: Ledger) -> Spool:
    """Open the spool, or make it at first use. Raises SpoolOffline or SpoolMismatch."""
    keep_free = settings.spool.keep_free
    return open_spool(
        ledger,
        settings.spool.name,
        settings.spool_path,
        keep_share=keep_free.share,
        keep_bytes=keep_free.size,
    )


def present_spool(settings: Settings, ledger: Ledger) -> Spool:
    """Find the spool, for commands that steer: perhaps of a configuration that names another. Raises SpoolOffline."""
    return find_spool(ledger, settings.spool.name, settings.spool_path)


def watched_folder(watch: Watch) -> WatchedFolder:
    """Return what the watcher needs to know of a folder."""
    return WatchedFolder(**watch.model_dump(exclude={"send_to", "priority"}))


def door_routes(watch: Watch, table: RouteTable) -> DoorRoutes:
    """Return where what comes in by a folder goes."""
    return DoorRoutes(table, watch.name, watch.send_to, priority=Priority[watch.priority.upper()])
