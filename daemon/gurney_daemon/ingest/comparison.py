"""Tell whether a file brings what we have already: the same data set, in the same transfer syntax."""

from __future__ import annotations

import os
from typing import Final

from gurney.dicom.content import dataset_digest, same_dataset
from gurney.dicom.part10 import Part10
from gurney.ledger.arrivals import Twin, TwinFile
from gurney_daemon.ingest.errors import SpoolOffline
from gurney_daemon.ingest.spool import Spool

__all__ = ["is_same"]

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def is_same(part: Part10, path: bytes, twin: Twin, spool: Spool) -> bool:
    """Compare the file at ``path`` with the first file of its twin that is what it was, or else with digests.

    What can't be compared is not the same: people are asked rather than an instance lost. Raises SpoolOffline when the
    file can't be read.
    """
    if (part.transfer_syntax_uid, part.size - part.dataset_offset) != (twin.transfer_syntax_uid, twin.size):
        return False
    try:
        fd = os.open(path, _READ)
    except OSError as error:
        raise SpoolOffline(f"what was just held can't be read: {os.strerror(error.errno or 0)}") from error
    try:
        for file in twin.files:
            same = _compare(fd, part.dataset_offset, file, spool)
            if same is not None:
                return same
        digests = {file.digest for file in twin.files} - {None}
        return bool(digests) and dataset_digest(fd, part.dataset_offset) in digests
    finally:
        os.close(fd)


def _compare(fd: int, dataset_offset: int, file: TwinFile, spool: Spool) -> bool | None:
    """Compare data sets byte by byte; None when the twin's file is not here, or not what it was."""
    if file.spool_path and file.spool_id != spool.id:
        return None
    try:
        other = os.open(spool.path_of(file.spool_path) if file.spool_path else file.path, _READ)
    except OSError:
        return None
    try:
        status = os.fstat(other)
        if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
            return None
        return same_dataset(fd, dataset_offset, other, file.dataset_offset)
    except OSError:
        return None
    finally:
        os.close(other)
