"""Spools: where accepted files lie, and whether this host can read them.

A spool carries a marker file with the name that the ledger gave it. Who can't read the marker (a share that is not
mounted, a folder of another spool) leaves the spool's work to others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.errors import SpoolMismatch
from gurney.ledger.models import Spool

__all__ = ["MARKER", "SpoolPlace", "known_spools", "register_spool"]

MARKER = ".gurney-spool"


@dataclass(frozen=True, slots=True)
class SpoolPlace:
    """A spool as the ledger knows it."""

    id: int
    name: str
    path: str
    marker: str

    def is_readable(self) -> bool:
        """Tell whether the marker can be read here, and is this spool's."""
        try:
            with open(os.path.join(self.path, MARKER), encoding="ascii") as marker:
                return marker.read(128).strip() == self.marker
        except (OSError, UnicodeDecodeError):
            return False


def known_spools(conn: Connection) -> list[SpoolPlace]:
    """Return every spool, readable from here or not."""
    return [
        SpoolPlace(row.id, row.name, row.path, row.marker)
        for row in conn.execute(select(Spool.__table__).order_by(Spool.id))
    ]


def register_spool(tx: Transaction, name: str, path: str, marker: str) -> SpoolPlace:
    """Enter a spool that carries ``marker``, or find it again; a spool that was moved as a whole gets its new path.

    Raises :class:`SpoolMismatch` when the name is another spool's, or the marker another name's.
    """
    rows = tx.conn.execute(select(Spool.__table__).where((Spool.name == name) | (Spool.marker == marker))).all()
    if not rows:
        spool_id = tx.conn.execute(insert(Spool).values(name=name, path=path, marker=marker).returning(Spool.id))
        return SpoolPlace(spool_id.scalar_one(), name, path, marker)
    row = rows[0]
    if len(rows) > 1 or row.name != name or row.marker != marker:
        raise SpoolMismatch(
            f"the folder {path} is not the spool {name!r} that the ledger knows: mount or restore the right one, or "
            "give this one another name"
        )
    if row.path != path:
        tx.conn.execute(update(Spool).where(Spool.id == row.id).values(path=path))
    return SpoolPlace(row.id, name, path, marker)
