"""Which files still lie in their folder: a file that two looks in a row did not find is GONE.

Its instance and its items stay: what was accepted is sent from the spool, whatever the folder's owner does.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import Connection, case, literal_column, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import File
from gurney.ledger.models.predicates import file_is
from gurney.transfer.states import FileState

__all__ = ["LOOKS", "Expected", "expected_files", "note_looks"]

LOOKS = 2


class Expected(NamedTuple):
    """A file that should lie at ``path``; ``missed`` looks in a row have not found it."""

    file_id: int
    path: bytes
    missed: int

    def __repr__(self) -> str:
        # Not the path, which may name a patient.
        return f"Expected(file_id={self.file_id!r}, missed={self.missed!r})"


def expected_files(conn: Connection, source: str, after_path: bytes, limit: int) -> list[Expected]:
    """Return files of a source in the order of their paths, behind a path.

    Quarantined files are not among them: they stay until somebody decides.
    """
    rows = conn.execute(
        select(File.id, File.path, File.missed_scans)
        .where(File.source == source, File.path > after_path, ~file_is(FileState.GONE))
        .where(file_is(FileState.ACCEPTED, FileState.IGNORED))
        .order_by(File.path)
        .limit(limit)
    )
    return [Expected(*row) for row in rows]


def note_looks(tx: Transaction, *, missing: Collection[int], found: Collection[int]) -> None:
    """Count looks that did not find a file; forget them for files that are there again."""
    if found:
        tx.conn.execute(update(File).where(File.id.in_(found)).values(missed_scans=0))
    if missing:
        gone = File.missed_scans + 1 >= LOOKS
        tx.conn.execute(
            update(File)
            .where(File.id.in_(missing), file_is(FileState.ACCEPTED, FileState.IGNORED))
            .values(
                missed_scans=File.missed_scans + 1,
                state=case((gone, literal_column(str(int(FileState.GONE)))), else_=File.state),
                reason=case((gone, "missing"), else_=File.reason),
                changed_at=case((gone, tx.now), else_=File.changed_at),
            )
        )
