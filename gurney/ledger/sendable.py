"""Files whose bytes we still have, kept for the length of a transaction.

Retention and disposal lock the files that they let go of, then look whether anything still needs them. Whoever gives
known files new work locks the same rows, and looks only then: on PostgreSQL either one waits for the other, and sees
what it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import literal_column, select, update

from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import File
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import can_be_sent

__all__ = ["SendableFile", "miss", "secure", "try_again"]

_MISSING: Final = "not found as accepted"
"""The reason on the row of a file that a worker has looked for in vain."""


class SendableFile(NamedTuple):
    """A file that can be sent, and the spool whose workers can. ``missed``: the last of them did not find it."""

    file_id: int
    spool_id: int
    missed: bool


_OF_INSTANCES = among(File.instance_id, "instances")
_LOCK = select(File.id).where(_OF_INSTANCES).order_by(File.id).with_for_update(read=True, key_share=True)
_MISSED = File.reason == literal_column(f"'{_MISSING}'")
_LOOK = (
    select(File.instance_id.label("instance"), File.id, File.spool_id, _MISSED.label("missed"))
    .where(_OF_INSTANCES, can_be_sent())
    .order_by(_MISSED.desc(), File.id)
)


def secure(tx: Transaction, instance_ids: Collection[int]) -> dict[int, list[SendableFile]]:
    """Return the files of each instance that can be sent, the newest last; nobody lets go of them before we commit.

    Those that were missed come before all others. An instance without any is left out.
    """
    ids = {"instances": sorted(instance_ids)}
    if tx.locks_rows:
        tx.conn.execute(_LOCK, ids).all()
    found: dict[int, list[SendableFile]] = defaultdict(list)
    row: AnyRow
    for row in tx.conn.execute(_LOOK, ids):
        found[row.instance].append(SendableFile(row.id, row.spool_id, bool(row.missed)))
    return dict(found)


def miss(tx: Transaction, file_id: int) -> None:
    """Note that a file was not where it should be, or not as it was accepted. It may come back: its state stays."""
    tx.conn.execute(update(File).where(File.id == file_id).values(reason=_MISSING))


def try_again(tx: Transaction, file_ids: Collection[int]) -> None:
    """Believe in files that were missed: somebody says that the cause is mended."""
    tx.conn.execute(update(File).where(File.id.in_(file_ids), _MISSED).values(reason=""))
