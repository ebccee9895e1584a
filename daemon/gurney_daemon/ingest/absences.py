"""Notice slowly what has gone from a watched folder, and conclude nothing from a folder that is not really there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

import structlog

from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.presence import LOOKS, Expected, expected_files, note_looks
from gurney_daemon.ingest.scan import Folder
from gurney_daemon.ingest.spool import Spool

__all__ = ["Absences"]

_PAGE: Final = 200
# Seconds between two pages, and from the beginning of one round through all files to that of the next.
_PAGE_PAUSE: Final = 1.0
_ROUND: Final = 60.0


class Absences:
    """Look for every file that the ledger expects in a folder, a page at a time by :meth:`step`.

    The one who calls has made sure that the folder's share is mounted.
    """

    def __init__(
        self, source: str, folder: Folder, ledger: Ledger, spool: Spool, guard: Callable[[Transaction], None]
    ) -> None:
        """Begin with the first round a while from now: a start has more urgent things to do."""
        self._source, self._folder, self._ledger, self._spool, self._guard = source, folder, ledger, spool, guard
        self._after = b""
        self._round_began = time.monotonic()
        self.due = self._round_began + _ROUND
        self._log = structlog.get_logger(__name__).bind(watch=source)
        self._empty = False

    def step(self) -> None:
        """Look at the next page. Raises what the ledger raises."""
        now = time.monotonic()
        if not self._after:
            self._round_began = now
        with self._ledger.read() as conn:
            page = expected_files(conn, self._source, self._after, _PAGE)
        if page and self._is_conclusive():
            self._look(page)
            self._after = page[-1].path
        if len(page) < _PAGE or self._empty:
            self._after = b""
        self.due = now + _PAGE_PAUSE if self._after else max(now + _PAGE_PAUSE, self._round_began + _ROUND)

    def _is_conclusive(self) -> bool:
        """Tell whether a file that is not found has really gone: an empty folder may be a share that is not there."""
        try:
            empty = self._folder.is_empty()
        except OSError:
            return False
        if empty and not self._empty:
            self._log.warning("watch_folder_empty")
        self._empty = empty
        return not empty and self._spool.place.is_readable()

    def _look(self, page: list[Expected]) -> None:
        missing: list[Expected] = []
        found_again: list[int] = []
        for expected in page:
            try:
                os.lstat(expected.path)
            except FileNotFoundError:
                missing.append(expected)
            except OSError:
                continue
            else:
                if expected.missed:
                    found_again.append(expected.file_id)
        if missing or found_again:
            ids = [expected.file_id for expected in missing]
            self._ledger.transact(self._note, ids, found_again)
        gone = sum(expected.missed + 1 >= LOOKS for expected in missing)
        if gone:
            self._log.info("files_gone", files=gone)

    def _note(self, tx: Transaction, missing: list[int], found: list[int]) -> None:
        self._guard(tx)
        note_looks(tx, missing=missing, found=found)
