"""Take in what a crash left of a receiver between the spool and the ledger.

A file that has its name and no row was perhaps never answered, or its answer is lost on the way: who sent it may send
it again, which costs nothing. Who that was stands in the file. One that is not whole goes to quarantine.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pydicom.dataset import FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from gurney.dicom.incoming import INCOMING
from gurney.ledger.arrivals import ever_known, known_files
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.pacs.wire.leftovers import clear_leftovers
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.peer import NO_PEER, Peer
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf

__all__ = ["adopt"]

_AT_ONCE: Final = 500
_SCHEME: Final = "dicom://"

log = get_logger(__name__)


def adopt(shelf: Shelf, admission: Admission, ledger: Ledger, ring: Callable[[Sequence[Bell]], None]) -> int:
    """Take in each file of the receiver's folders that has no row, and say how many; nobody may be receiving yet.

    What was still on its way is cleared away. Raises SpoolOffline, OSError for a file that can't be read, and what the
    ledger raises; what was not taken in by then is, by the next call.
    """
    adopted = 0
    for spool_path in _without_row(shelf, ledger):
        path = shelf.spool.path_of(spool_path)
        settled = SettledFile(path, Signature.of(os.lstat(path)))
        ring(admission.adopt(settled, spool_path, _peer_of(path)).bells)
        adopted += 1
    if adopted:
        log.warning("spool_leftovers_settled", source=shelf.source, taken_in=adopted)
    return adopted


def _without_row(shelf: Shelf, ledger: Ledger) -> Iterator[str]:
    for names in _named(shelf):
        paths = {shelf.spool.path_of(name): name for name in names}
        with ledger.read() as conn:
            unknown = sorted(paths.keys() - known_files(conn, shelf.source, list(paths)).keys())
            # What the pruner is about to delete has a row, of a file that is gone.
            unknown = sorted(set(unknown) - ever_known(conn, shelf.source, unknown))
        yield from (paths[path] for path in unknown)


def _named(shelf: Shelf) -> Iterator[list[str]]:
    """Yield what has its name, some at a time, having cleared away what has none yet."""
    top = os.path.join(shelf.spool.place.path, shelf.source)
    for folder in sorted(shelf.folders()):
        clear_leftovers(os.path.join(top, folder))
        with os.scandir(os.path.join(top, folder)) as entries:
            names = [f"{shelf.source}/{folder}/{entry.name}" for entry in entries if _is_ours(entry)]
        for start in range(0, len(names), _AT_ONCE):
            yield names[start : start + _AT_ONCE]


def _is_ours(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False) and not entry.name.startswith(INCOMING)


def _peer_of(path: bytes) -> Peer:
    """Read from a file who sent it; nobody is known where it does not say."""
    try:
        meta = read_file_meta_info(os.fsdecode(path))
    except (InvalidDicomError, OSError, EOFError, ValueError, AttributeError):  # not whole: the admission says so
        return NO_PEER
    address = str(meta.get("SourcePresentationAddress") or "").strip().removeprefix(_SCHEME).strip("[]")
    return Peer(_title(meta, "SendingApplicationEntityTitle"), _title(meta, "ReceivingApplicationEntityTitle"), address)


def _title(meta: FileMetaDataset, keyword: str) -> str:
    return str(meta.get(keyword) or "").strip()
