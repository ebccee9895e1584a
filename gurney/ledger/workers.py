"""Who works: processes announce themselves and what they can read; the drain flag that they all look at."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import delete, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import LedgerMeta, Worker

__all__ = ["RESTARTING", "announce", "leave", "set_draining"]

RESTARTING = "restarting"
"""The kind of a supervisor that has ended its daemon and workers and starts them again."""

_FORGOTTEN_AFTER = 24 * 3600.0


def announce(
    tx: Transaction,
    name: str,
    *,
    host: str,
    kind: str,
    slots: int,
    spools: list[str],
    folders: Mapping[str, Mapping[str, object]] | None = None,
) -> None:
    """Say that a process lives and which spools it can read; forget those silent for a day.

    ``folders`` says of each folder that a daemon watches, and of each receiver, how it fares: its state, why, since
    when.
    """
    values = {
        "host": host,
        "kind": kind,
        "slots": slots,
        "spools": ",".join(spools)[:400],
        "folders": json.dumps(folders or {}),
        "seen_at": tx.now,
    }
    tx.conn.execute(
        tx.upsert(Worker)
        .values(name=name, started_at=tx.now, **values)
        .on_conflict_do_update(index_elements=[Worker.name], set_=values)
    )
    tx.conn.execute(delete(Worker).where(Worker.seen_at < tx.now - _FORGOTTEN_AFTER))


def leave(tx: Transaction, name: str) -> None:
    """Say goodbye."""
    tx.conn.execute(delete(Worker).where(Worker.name == name))


def set_draining(tx: Transaction, *, draining: bool) -> None:
    """Raise or lower the flag at which every worker stops after the instance that it is sending."""
    tx.conn.execute(update(LedgerMeta).values(draining=draining))
