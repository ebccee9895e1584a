"""Files whose bytes we still have, kept for the length of a transaction.

Retention and disposal lock the files that they let go of, then look whether anything still needs them. Whoever gives
known files new work locks the same rows, and looks only then: on PostgreSQL either one waits for the other, and sees
what it did.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import NamedTuple

from sqlalchemy import select

from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.models import File
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import can_be_sent

__all__ = ["SendableFile", "secure"]


class SendableFile(NamedTuple):
    """A file that can be sent, and the spool whose workers can."""

    file_id: int
    spool_id: int


_OF_INSTANCES = among(File.instance_id, "instances")
_LOCK = select(File.id).where(_OF_INSTANCES).order_by(File.id).with_for_update(read=True, key_share=True)
_LOOK = (
    select(File.instance_id.label("instance"), File.id, File.spool_id)
    .where(_OF_INSTANCES, can_be_sent())
    .order_by(File.id)
)


def secure(tx: Transaction, instance_ids: Collection[int]) -> dict[int, list[SendableFile]]:
    """Return the files of each instance that can be sent, the newest last; nobody lets go of them before we commit.

    An instance without any is left out.
    """
    ids = {"instances": sorted(instance_ids)}
    if tx.locks_rows:
        tx.conn.execute(_LOCK, ids).all()
    found: dict[int, list[SendableFile]] = defaultdict(list)
    row: AnyRow
    for row in tx.conn.execute(_LOOK, ids):
        found[row.instance].append(SendableFile(row.id, row.spool_id))
    return dict(found)
