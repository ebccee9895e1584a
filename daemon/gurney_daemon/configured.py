"""The parts of a running Gurney as the configuration describes them, for the daemon and for commands beside it."""

from __future__ import annotations

from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.pacs.remote import Timeouts
from gurney.settings import Receiver, Remote, Retrieve, Settings, Watch
from gurney.settings.remotes import inbound_tls_of
from gurney.transfer.routing import Door, RouteTable
from gurney.transfer.states import Priority
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.patrol import WatchedFolder
from gurney_daemon.ingest.routes import DoorRoutes, RetrieveRoutes
from gurney_daemon.ingest.spool import Spool, find_spool, open_spool
from gurney_daemon.received import RETRIEVED
from gurney_daemon.receiving.doorkeeper import Caller, Doorkeeper
from gurney_daemon.receiving.receiver import ListensAt

__all__ = [
    "destination_spec",
    "destination_specs",
    "door_routes",
    "doorkeeper_of",
    "every_door",
    "listens_at",
    "present_spool",
    "received_source",
    "receiver_routes",
    "retrieve_doorkeeper",
    "retrieve_routes",
    "retrieve_source",
    "retrieves_at",
    "spool_of",
    "watched_folder",
]


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
        commitment=remote.commitment,
        verify=remote.verify == "find",
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


def received_source(receiver: Receiver) -> Source:
    """Return what is done with what comes in by a receiver."""
    return Source(receiver.name, door=Door.RECEIVE, on_conflict=receiver.on_conflict)


def receiver_routes(receiver: Receiver, table: RouteTable) -> DoorRoutes:
    """Return where what comes in by a receiver goes."""
    priority = Priority[receiver.priority.upper()]
    return DoorRoutes(table, receiver.name, receiver.send_to, door=Door.RECEIVE, priority=priority)


def doorkeeper_of(settings: Settings, receiver: Receiver) -> Doorkeeper:
    """Return who may call a receiver, and with what."""
    return Doorkeeper(
        receiver.name,
        settings.called_ae_titles(receiver),
        [Caller(caller.ae_title, caller.host) for caller in receiver.accept],
        receiver.sop_classes,
        receiver.transfer_syntaxes,
    )


def listens_at(settings: Settings, receiver: Receiver) -> ListensAt:
    """Return where a receiver listens, and what it puts up with."""
    waits = receiver.timeouts
    return ListensAt(
        settings.called_ae_titles(receiver)[0],
        receiver.host,
        receiver.port,
        max_associations=receiver.max_associations,
        max_instance_bytes=receiver.max_instance_bytes,
        timeouts=Timeouts(acse=waits.acse, network=waits.network),
        longest_association=waits.association,
        tls=inbound_tls_of(receiver.tls) if receiver.tls is not None else None,
    )


def retrieve_source(retrieve: Retrieve) -> Source:
    """Return what is done with what a retrieve brings."""
    return Source(RETRIEVED, door=Door.RETRIEVE, on_conflict=retrieve.on_conflict)


def retrieve_routes(table: RouteTable) -> RetrieveRoutes:
    """Return where what a retrieve brings goes, beside what the retrieval says."""
    return RetrieveRoutes(DoorRoutes(table, RETRIEVED, door=Door.RETRIEVE))


def retrieve_doorkeeper(retrieve: Retrieve) -> Doorkeeper:
    """Return who may send where retrieves arrive: the archives, and our own workers with what they got by C-GET."""
    callers = [Caller(caller.ae_title, caller.host) for caller in retrieve.accept]
    if callers:
        callers += [Caller(retrieve.ae_title, host) for host in ("127.0.0.1", "::1", retrieve.host)]
    return Doorkeeper(RETRIEVED, (retrieve.ae_title,), callers, (), ())


def retrieves_at(retrieve: Retrieve) -> ListensAt:
    """Return where retrieves arrive, and what is put up with there."""
    waits = retrieve.timeouts
    return ListensAt(
        retrieve.ae_title,
        retrieve.host,
        retrieve.port,
        max_associations=retrieve.max_associations,
        max_instance_bytes=retrieve.max_instance_bytes,
        timeouts=Timeouts(acse=waits.acse, network=waits.network),
        longest_association=waits.association,
        tls=inbound_tls_of(retrieve.tls) if retrieve.tls is not None else None,
    )


def every_door(settings: Settings, table: RouteTable) -> dict[str, tuple[Source, DoorRoutes | RetrieveRoutes]]:
    """Return what is done, by each source's name, with what it brings, and where it goes."""
    doors: dict[str, tuple[Source, DoorRoutes | RetrieveRoutes]] = {
        watch.name: (watched_folder(watch).source(), door_routes(watch, table)) for watch in settings.watch
    }
    for receiver in settings.receiver:
        doors[receiver.name] = received_source(receiver), receiver_routes(receiver, table)
    if settings.retrieve is not None:
        doors[RETRIEVED] = retrieve_source(settings.retrieve), retrieve_routes(table)
    return doors
