"""What makes a worker end its batch at the next instance, and which of its items it must leave out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select

from gurney.ledger.leases import LeaseTicket
from gurney.ledger.models import Destination, Item, Lease, LedgerMeta
from gurney.ledger.models.idlist import among
from gurney.ledger.models.predicates import item_is
from gurney.transfer.states import ItemState, Priority

__all__ = ["Interruption", "interruption"]


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
