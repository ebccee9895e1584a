"""Do what ``after`` says with files whose every destination has them: move or delete, one group after the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from gurney.dicom.content import dataset_digest
from gurney.ledger import disposal
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.disposal import Disposable
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.removal import empty_trash, move, open_unchanged, to_trash

__all__ = ["Disposal"]

_GROUP: Final = 100
# Seconds between groups while there are files to dispose of, and between looks for some.
_BUSY: Final = 0.2
_IDLE: Final = 10.0
_TRASH: Final = 600.0


class Disposal:
    """The ``after`` policy of one folder, by :meth:`step`. ``target`` is where ``move`` puts files."""

    def __init__(
        self,
        source: str,
        root: bytes,
        target: bytes,
        ledger: Ledger,
        guard: Callable[[Transaction], None],
        *,
        grace_seconds: float = 24 * 3600.0,
    ) -> None:
        """Prepare; the first step finishes what was interrupted."""
        self._source, self._root, self._target, self._grace = source, root, target, grace_seconds
        self._ledger, self._guard = ledger, guard
        self._actor = f"watch:{source}"
        self._after_id = 0
        self._resumed = False
        self._trash_due = 0.0
        self.due = 0.0
        self._log = structlog.get_logger(__name__).bind(watch=source)

    def step(self) -> None:
        """Dispose of the next group. Raises what the ledger raises."""
        now = time.monotonic()
        if now >= self._trash_due:
            self._trash_due = now + _TRASH
            self._empty_trash()
        files = self._begun()
        if files:
            self._dispose(files)
        self.due = time.monotonic() + (_BUSY if files else _IDLE)

    def _begun(self) -> list[Disposable]:
        """Return files that are marked as being disposed of."""
        with self._ledger.read() as conn:
            if not self._resumed:
                files = disposal.interrupted(conn, self._source, _GROUP)
                self._resumed = len(files) < _GROUP
                if files:
                    return files
            files = disposal.disposable(conn, self._source, self._after_id, _GROUP)
        if not files:
            self._after_id = 0
            return []
        self._after_id = files[-1].file_id
        digests = {file.file_id: digest for file in files if not file.held and (digest := _digest(file))}
        files = [file for file in files if file.held or file.file_id in digests]
        marked = self._ledger.transact(self._mark, [file.file_id for file in files], digests)
        return [file for file in files if file.file_id in marked]

    def _dispose(self, files: Sequence[Disposable]) -> None:
        done: dict[int, str] = {}
        failed: dict[int, str] = {}
        for file in files:
            try:
                done[file.file_id] = self._remove(file)
            except FileNotFoundError:
                done[file.file_id] = "missing"
            except FileChanged:
                # Another content lies there, which the scan will see; this one is gone.
                done[file.file_id] = "overwritten"
            except OSError as error:
                failed[file.file_id] = f"can't be disposed of: {os.strerror(error.errno or 0)}"
                self._log.error("file_not_disposed", file_id=file.file_id, errno=error.errno)
        self._ledger.transact(self._write, done, failed)
        if done:
            self._log.info("files_disposed", files=len(done))

    def _remove(self, file: Disposable) -> str:
        if file.after == "move":
            move(self._root, self._target, file)
            return "moved"
        to_trash(self._root, file)
        return "deleted"

    def _mark(self, tx: Transaction, file_ids: Sequence[int], digests: dict[int, bytes]) -> set[int]:
        self._guard(tx)
        return disposal.begin(tx, file_ids, digests)

    def _write(self, tx: Transaction, done: dict[int, str], failed: dict[int, str]) -> None:
        self._guard(tx)
        disposal.finish(tx, done, self._actor)
        disposal.give_back(tx, failed)

    def _empty_trash(self) -> None:
        try:
            deleted = empty_trash(self._root, self._grace, time.time())
        except OSError as error:
            self._log.error("trash_not_emptied", errno=error.errno)
            return
        if deleted:
            self._log.info("trash_emptied", files=deleted)


def _digest(file: Disposable) -> bytes | None:
    """Take what tells the last file of a content from others, before it goes; None when it is not there any more."""
    try:
        fd = open_unchanged(file)
    except (FileChanged, OSError):
        return None
    try:
        return dataset_digest(fd, file.dataset_offset)
    except OSError:
        return None
    finally:
        os.close(fd)
