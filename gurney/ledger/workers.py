"""Who works: processes announce themselves and what they can read; the drain flag that they all look at."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.leases import LeaseTicket
from gurney.ledger.models import Destination, Item, Lease, LedgerMeta, Worker
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import item_is
from gurney.transfer.states import ItemState, Priority

__all__ = ["RESTARTING", "Interruption", "announce", "interruption", "leave", "set_draining"]

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

    ``folders`` says of each folder that a daemon watches how it fares: its state, why, since when.
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


@dataclass(frozen=True, slots=True)
class Interruption:
    """What a worker must know between two instances. ``stop`` says why to end the batch; "" is to go on."""

    stop: str
    cancelled: frozenset[int]


# Made once, here: a worker asks ten times a second while its association waits.
_INTERRUPTED = (
    select(Destination.paused_by, Destination.stat_waiting_at, LedgerMeta.draining, Lease.recalled)
    .select_from(Destination)
    .join(LedgerMeta, LedgerMeta.id == 1)
    .join(Lease, Lease.id == bindparam("lease"))
    .where(Destination.id == bindparam("destination"))
)
_CANCELLED = select(Item.id).where(among(Item.id, "ids"), item_is(ItemState.CANCELLED))


def interruption(conn: Connection, ticket: LeaseTicket, priority: Priority, item_ids: Sequence[int]) -> Interruption:
    """Look whether a batch must stop at the next instance: drained, paused, or STAT waiting for its association."""
    row = conn.execute(_INTERRUPTED, {"destination": ticket.destination_id, "lease": ticket.id}).one()
    cancelled: frozenset[int] = frozenset()
    if row.recalled:
        cancelled = frozenset(conn.scalars(_CANCELLED, {"ids": item_ids}).all())
    if row.draining:
        return Interruption("draining", cancelled)
    if row.paused_by:
        return Interruption("paused", cancelled)
    if row.stat_waiting_at is not None and priority is not Priority.STAT:
        return Interruption("STAT goes first", cancelled)
    return Interruption("", cancelled)
