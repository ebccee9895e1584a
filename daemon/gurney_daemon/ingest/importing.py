"""Take in files that an operator names, for one destination: what ``gurney send`` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal

from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.ledger.arrivals import known_files
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.transfer.states import FileState, Priority
from gurney_daemon.ingest.admission import Admission, Taken
from gurney_daemon.ingest.errors import SpoolOffline
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.routes import FixedRoutes, check_destinations
from gurney_daemon.ingest.scan import Folder
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf, Spool

__all__ = ["SOURCE", "Imported", "import_paths"]

log = get_logger(__name__)

# What files are called that came by command.
SOURCE: Final = "send"
_AT_ONCE: Final = 200


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file. ``known``: the same data set is in the ledger already, and goes where it was to go.

    ``path`` may hold a patient's name: it is for the person who gave it.
    """

    path: bytes = field(repr=False)
    outcome: Literal["accepted", "known", "ignored", "refused"]
    reason: str = ""
    detail: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""


def import_paths(
    paths: Sequence[str | bytes],
    destination: str,
    *,
    ledger: Ledger,
    spool: Spool,
    ring: Callable[[Sequence[Bell]], None],
    actor: str,
    priority: Priority = Priority.ROUTINE,
    policy: ReadPolicy = STRICT,
) -> Iterator[list[Imported]]:
    """Take in files and whole folders, and yield what became of them, a group at a time.

    They are taken as they are, without waiting for them to settle, and no rule is asked. What is refused is said and
    not quarantined: who sent it stands by. Raises NoSuchDestination, SpoolOffline, and what the ledger raises.
    """
    check_destinations(ledger, {destination})
    shelf = Shelf(spool, SOURCE)
    _forget_leftovers(shelf, ledger)
    source = Source(SOURCE, door="import", policy=policy, quarantines=False)
    admission = Admission(source, ledger, shelf, FixedRoutes(destination, priority), actor=actor)
    files, missing = _files(paths)
    if missing:
        yield missing
    waiting: list[SettledFile] = []
    while group := [*waiting, *islice(files, _AT_ONCE - len(waiting))]:
        if spool.is_full():
            raise SpoolOffline("less space is free than the spool must leave: nothing more is taken in")
        taken = admission.admit(group)
        if taken.bells:
            ring(taken.bells)
        waiting = taken.inspected.deferred
        yield _outcomes(group, taken)


def _forget_leftovers(shelf: Shelf, ledger: Ledger) -> None:
    """Let go of what imports that were broken off held without a row: who started them saw that, and has the files.

    Where a file has gone since, ours is the last copy: it stays noted, and is told of each time.
    """
    for leftover in shelf.leftovers():
        held = list(leftover.held())
        with ledger.read() as conn:
            known = known_files(conn, SOURCE, [path for path, _ in held])
        last_copies: list[str] = []
        for path, spool_path in held:
            if path in known:
                continue
            if os.path.lexists(path):
                shelf.spool.remove(spool_path)
            else:
                last_copies.append(spool_path)
        if last_copies:
            log.warning("import_leaves_last_copies", spool=shelf.spool.place.name, files=last_copies)
        else:
            leftover.close()


def _files(paths: Sequence[str | bytes]) -> tuple[Iterator[SettledFile], list[Imported]]:
    """Return the files below some paths, lazily, and what can't be looked at."""
    folders: list[bytes] = []
    single: list[SettledFile] = []
    missing: list[Imported] = []
    for given in paths:
        path = os.path.realpath(os.fsencode(given))
        try:
            status = os.stat(path)
        except OSError as error:
            missing.append(Imported(os.fsencode(given), "refused", "unreadable", os.strerror(error.errno or 0)))
            continue
        if os.path.isdir(path):
            folders.append(path)
        else:
            single.append(SettledFile(path, Signature.of(status)))

    def walk() -> Iterator[SettledFile]:
        yield from single
        for folder in folders:
            for sights in Folder(folder).look_through():
                yield from (SettledFile(sight.path, sight.signature) for sight in sights)

    return walk(), missing


def _outcomes(group: Sequence[SettledFile], taken: Taken) -> list[Imported]:
    found: dict[bytes, Imported] = {}
    for arrival in taken.arrivals:
        uid, study = arrival.instance.sop_instance_uid, arrival.instance.study.study_instance_uid
        outcome: Literal["accepted", "known"] = "known" if arrival.same else "accepted"
        found[arrival.file.path] = Imported(arrival.file.path, outcome, "", "", uid, study)
    for refused in taken.refused:
        what: Literal["ignored", "refused"] = "ignored" if refused.state is FileState.IGNORED else "refused"
        found[refused.settled.path] = Imported(refused.settled.path, what, refused.reason, refused.detail)
    later = {settled.path for settled in taken.inspected.deferred}
    return [
        found.get(settled.path) or Imported(settled.path, "refused", "changed", "it changed or went while it was read")
        for settled in group
        if settled.path not in later
    ]
