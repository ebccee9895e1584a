"""Spools: where accepted files lie, and whether this host can read them.

A spool carries a marker file with the name that the ledger gave it. Who can't read the marker (a share that is not
mounted, a folder of another spool) leaves the spool's work to others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy import Connection, select

from gurney.ledger.models import Spool

__all__ = ["MARKER", "SpoolPlace", "known_spools"]

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
