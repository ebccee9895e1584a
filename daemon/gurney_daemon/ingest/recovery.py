"""Finish what a crash broke off between holding files and committing their rows.

A file that is held and has no row is taken in from the spool: the console may have purged it from its folder meanwhile,
and then ours is the last copy. Where it still lies there, the scan will find it known.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import structlog

from gurney.ledger.arrivals import known_files
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Leftover, Shelf

__all__ = ["recover"]


def recover(shelf: Shelf, admission: Admission, ledger: Ledger, ring: Callable[[Sequence[Bell]], None]) -> None:
    """Go through what earlier groups left; safe to be broken off, and to be run again.

    What can't be read stays noted for the next start, and stops nobody. Raises SpoolOffline, and what the ledger
    raises.
    """
    log = structlog.get_logger(__name__).bind(source=shelf.source)
    for leftover in shelf.leftovers():
        taken_in = unreadable = 0
        for path, spool_path in _without_row(leftover, shelf, ledger):
            try:
                settled = SettledFile(path, Signature.of(os.lstat(shelf.spool.path_of(spool_path))))
                ring(admission.adopt(settled, spool_path).bells)
            except OSError as error:
                log.error("spool_leftover_unreadable", file=spool_path, errno=error.errno)
                unreadable += 1
            else:
                taken_in += 1
        if not unreadable:
            leftover.close()
        log.info("spool_leftovers_settled", taken_in=taken_in, unreadable=unreadable)


def _without_row(leftover: Leftover, shelf: Shelf, ledger: Ledger) -> list[tuple[bytes, str]]:
    """Return what is held for paths that the ledger does not know. A path that it knows has been dealt with since."""
    held = list(leftover.held())
    with ledger.read() as conn:
        known = known_files(conn, shelf.source, [path for path, _ in held])
    return [(path, spool_path) for path, spool_path in held if path not in known]
