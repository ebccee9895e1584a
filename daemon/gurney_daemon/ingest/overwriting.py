"""Notice that what the spool holds has been written over with the folder's file, of which it is but another name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from sqlalchemy import Connection

from gurney.ledger.arrivals import KnownFile, known_files
from gurney.transfer.states import FileState
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Spool

__all__ = ["overwritten"]


def overwritten(conn: Connection, source: str, group: Sequence[SettledFile], spool: Spool) -> list[int]:
    """Return the accepted files at the paths of a group that have changed in the spool too, by the ledger's ids."""
    known = known_files(conn, source, [settled.path for settled in group])
    return [
        file.file_id
        for settled in group
        if (file := known.get(settled.path)) is not None and _is_written_over(file, settled.signature, spool)
    ]


def _is_written_over(file: KnownFile, now: Signature, spool: Spool) -> bool:
    """Tell whether the spool's name leads to the very file that has changed: a clone or a copy does not."""
    if file.state is not FileState.ACCEPTED or not file.spool_path or now.inode != file.inode or now.is_of(file):
        return False
    try:
        held = Signature.of(os.lstat(spool.path_of(file.spool_path)))
    except OSError:
        return False
    return (held.dev, held.inode) == (now.dev, now.inode)
