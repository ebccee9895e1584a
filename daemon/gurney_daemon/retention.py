"""Empty the spool of what was sent long enough ago, in an order that a crash can't harm.

What is about to go is noted in the spool, then the rows let go of it, then it is deleted, then the note. A note that is
found at the start names what may still lie there: whatever no row holds any more is deleted then.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Final

from gurney.dicom.content import dataset_digest
from gurney.ledger import retention
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.retention import Retained
from gurney.ledger.spools import SpoolPlace
from gurney.observability import get_logger

__all__ = ["Retention"]

_GROUP: Final = 200
_GROUP_BYTES: Final = 1 << 30
_NOTE: Final = ".released"

log = get_logger(__name__)


class Retention:
    """The chore of one spool; :meth:`step` does a group. ``seconds`` is how long what was sent stays."""

    def __init__(self, ledger: Ledger, place: SpoolPlace, seconds: float) -> None:
        """Prepare; the first step finishes what a crash interrupted."""
        self._ledger, self._place, self._seconds = ledger, place, seconds
        self._note = os.path.join(place.path, _NOTE)
        self._after_id = 0

    def step(self) -> None:
        """Let go of the next group of old files. Raises what the ledger raises; a spool that is away is left alone."""
        if not self._place.is_readable():
            return
        self._finish()
        with self._ledger.read() as conn:
            before = self._ledger.clock.now(conn) - self._seconds
            found = retention.releasable(conn, self._place.id, before, self._after_id, _GROUP)
        files = _first(found)
        self._after_id = files[-1].file_id if len(files) < len(found) or len(found) == _GROUP else 0
        if not files:
            return
        self._write_note(files)
        # Looked at before the transaction: a share that hangs shall not hold the ledger.
        in_place = {file.file_id for file in files if not file.wanted or self._lies_unchanged(file)}
        digests = {file.file_id: self._digest(file) for file in files if file.file_id not in in_place}
        released = self._ledger.transact(self._let_go, files, before, in_place, digests)
        self._finish()
        log.info("spool_released", spool=self._place.name, files=released)

    def _let_go(
        self,
        tx: Transaction,
        files: list[Retained],
        before: float,
        in_place: set[int],
        digests: dict[int, bytes | None],
    ) -> int:
        """Let go of those files that have been given no new work since they were listed."""
        retention.lock(tx, [file.file_id for file in files])
        still = retention.releasable(tx.conn, self._place.id, before, files[0].file_id - 1, _GROUP)
        agreed = {file.file_id for file in still}
        gone = {file_id: digest for file_id, digest in digests.items() if file_id in agreed}
        retention.let_go(tx, sorted(agreed & in_place), gone)
        return len(agreed & in_place) + len(gone)

    def _finish(self) -> None:
        """Delete what a note names and no row holds, then the note."""
        try:
            with open(self._note, encoding="utf-8") as note:
                noted = {int(file_id): name for file_id, name in (line.split() for line in note)}
        except FileNotFoundError:
            return
        with self._ledger.read() as conn:
            held = retention.still_held(conn, list(noted))
        for file_id, name in noted.items():
            if file_id not in held:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(self._place.path, name))
        os.unlink(self._note)

    def _write_note(self, files: list[Retained]) -> None:
        with open(self._note + ".part", "w", encoding="utf-8") as note:
            note.writelines(f"{file.file_id} {file.spool_path}\n" for file in files)
            note.flush()
            os.fsync(note.fileno())
        os.rename(self._note + ".part", self._note)

    def _lies_unchanged(self, file: Retained) -> bool:
        """Tell whether a file still lies in its folder; what a peer pushed never had one but the spool."""
        if file.path == os.fsencode(os.path.join(self._place.path, file.spool_path)):
            return False
        try:
            status = os.lstat(file.path)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)

    def _digest(self, file: Retained) -> bytes | None:
        """Take what tells this content from others, before its last file goes."""
        if file.has_digest:
            return None
        try:
            with open(os.path.join(self._place.path, file.spool_path), "rb") as held:
                return dataset_digest(held.fileno(), file.dataset_offset)
        except FileNotFoundError:
            log.warning("spool_file_missing", spool=self._place.name, file_id=file.file_id)
            return None


def _first(files: list[Retained]) -> list[Retained]:
    """Return as many as may be read in one step, but one at least."""
    total = 0
    for n, file in enumerate(files):
        total += file.size
        if n and total > _GROUP_BYTES:
            return files[:n]
    return files
