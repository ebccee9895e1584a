"""Leases: the right of one worker to write about one batch, for as long as the ledger's clock says so.

A lease is one row and one fence number. Whatever a worker writes carries both; where they no longer match, or the
lease has run out, nothing is written and the worker must abort its association.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, literal_column, or_, select, update

from gurney.ledger import trail
from gurney.ledger.database import AnyRow, Transaction
from gurney.ledger.errors import LeaseLost
from gurney.ledger.models import Destination, Item, Lease, Transfer
from gurney.ledger.models.predicates import is_live, item_is
from gurney.ledger.tally import Tally
from gurney.transfer.states import ItemState

__all__ = [
    "ALONE_AFTER",
    "LEASE_SECONDS",
    "LONGEST_LEASE",
    "LeaseTicket",
    "assert_live",
    "expire",
    "is_dead",
    "live_leases",
    "lock_destination",
    "postpone",
    "release",
    "renew",
    "take_back",
]

LEASE_SECONDS = 60.0
# The settings allow no longer one; what runs on for twice as long comes from a clock that jumped.
LONGEST_LEASE = 3600.0
# A database's time may go back so far at a failover.
_SKEW = 60.0
# From this many lost leases on an item is sent alone; two more lost alone are the item's own doing.
ALONE_AFTER = 2
_CRASHES_ALONE = 2


@dataclass(frozen=True, slots=True)
class LeaseTicket:
    """What a worker shows whenever it writes."""

    id: int
    fence: int
    destination_id: int


_LOCK = select(Destination.id).where(Destination.id == bindparam("id")).with_for_update(key_share=True)
_LOOK = (
    select(Lease.state, Lease.fence, Lease.until, Lease.transfer_id, Transfer.first_stored_at)
    .outerjoin(Transfer, Transfer.id == Lease.transfer_id)
    .where(Lease.id == bindparam("id"))
)
_OURS = (Lease.id == bindparam("lease"), Lease.fence == bindparam("our_fence"), is_live())
_RENEW = update(Lease).where(*_OURS, Lease.until > bindparam("now")).values(until=bindparam("new_until"))
_RELEASE = update(Lease).where(*_OURS).values(state="released", ended_at=bindparam("now"))
_RETURN = (
    update(Item)
    .where(Item.lease_id == bindparam("lease"), item_is(ItemState.RUNNING))
    .values(state=int(ItemState.READY), lease_id=None)
    .returning(Item.transfer_id)
)
# Run out, or written by a clock that has since been set right: acquired in the future, or for longer than any lease is.
_LOSE = (
    update(Lease)
    .where(
        Lease.destination_id == bindparam("destination"),
        is_live(),
        or_(
            Lease.until <= bindparam("now"),
            Lease.until > bindparam("latest"),
            Lease.acquired_at > bindparam("soon"),
        ),
    )
    .values(state="lost", ended_at=bindparam("now"))
    .returning(Lease.id, Lease.worker)
)


def lock_destination(tx: Transaction, destination_id: int) -> None:
    """Lock a destination's row. Everybody locks it before leases and items, so nobody waits in a circle."""
    if tx.locks_rows:
        tx.conn.execute(_LOCK, {"id": destination_id})


def assert_live(tx: Transaction, ticket: LeaseTicket) -> AnyRow:
    """Raise :class:`LeaseLost` unless the lease is the current one and has not run out.

    Return its row, with ``first_stored_at`` of its transfer.
    """
    row = tx.conn.execute(_LOOK, {"id": ticket.id}).one_or_none()
    if row is None or row.state != "live" or row.fence != ticket.fence or row.until <= tx.now:
        raise LeaseLost(f"lease {ticket.id} is {'unknown' if row is None else row.state} or has run out")
    return row


def renew(tx: Transaction, ticket: LeaseTicket, ttl: float = LEASE_SECONDS) -> None:
    """Prolong a live lease; raise :class:`LeaseLost` when it is not ours any more."""
    ours = {"lease": ticket.id, "our_fence": ticket.fence, "now": tx.now, "new_until": tx.now + ttl}
    if tx.conn.execute(_RENEW, ours).rowcount != 1:
        raise LeaseLost(f"lease {ticket.id} could not be renewed: it has run out or was taken over")


_LIVE = select(func.count()).select_from(Lease).where(Lease.destination_id == bindparam("destination"), is_live())


def live_leases(conn: Connection, destination_id: int) -> int:
    """Count the batches that are on their way to a destination, from whatever host: they share what it may get."""
    return conn.scalar(_LIVE, {"destination": destination_id}) or 0


def release(tx: Transaction, ticket: LeaseTicket, actor: str, reason: str = "done") -> int | None:
    """End a lease: what it had not settled goes back to READY, uncharged and at once. Return how many did.

    None, and nothing is written, when the lease is already lost: its items are somebody else's.
    """
    lock_destination(tx, ticket.destination_id)
    ours = {"lease": ticket.id, "our_fence": ticket.fence, "now": tx.now}
    if tx.conn.execute(_RELEASE, ours).rowcount != 1:
        return None
    returned = _return_items(tx, ticket.id, ticket.destination_id)
    trail.record(
        tx,
        actor,
        "batch.released",
        destination_id=ticket.destination_id,
        lease=ticket.id,
        returned=returned,
        reason=reason,
    )
    return returned


def postpone(tx: Transaction, ticket: LeaseTicket, item_ids: Sequence[int], delay: float, actor: str, why: str) -> int:
    """Give some items of a live lease back for later, uncharged and untried; return how many.

    For what can't be sent yet through no fault of its own: what waits stands behind what can go. Raises
    :class:`LeaseLost`.
    """
    lock_destination(tx, ticket.destination_id)
    assert_live(tx, ticket)
    rows = tx.conn.execute(
        update(Item)
        .where(Item.id.in_(item_ids), Item.lease_id == ticket.id, item_is(ItemState.RUNNING))
        .values(state=int(ItemState.RETRY), lease_id=None, due_at=tx.now + delay, last_words=why)
        .returning(Item.transfer_id)
    ).all()
    tally = Tally()
    for transfer_id, n in Counter(row.transfer_id for row in rows).items():
        tally.move(ticket.destination_id, transfer_id, ItemState.RUNNING, ItemState.RETRY, n)
    tally.write(tx)
    trail.record(
        tx,
        actor,
        "items.postponed",
        destination_id=ticket.destination_id,
        lease=ticket.id,
        items=len(rows),
        reason=why,
    )
    return len(rows)


def _return_items(tx: Transaction, lease_id: int, destination_id: int) -> int:
    rows = tx.conn.execute(_RETURN, {"lease": lease_id}).all()
    tally = Tally()
    for transfer_id, n in Counter(row.transfer_id for row in rows).items():
        tally.move(destination_id, transfer_id, ItemState.RUNNING, ItemState.READY, n)
    tally.write(tx)
    return len(rows)


def is_dead(now: float, acquired_at: float, until: float) -> bool:
    """Tell whether a lease in these terms is lost at a time; :func:`expire` asks the database the same."""
    return not (now < until <= now + 2 * LONGEST_LEASE and acquired_at <= now + _SKEW)


def expire(tx: Transaction, destination_id: int) -> int:
    """Take back what dead workers held at a destination; its row must be locked. Return how many leases were lost.

    The items return uncharged but suspect of having killed their worker: they come back in smaller batches, and one
    that was alone in two lost leases is failed, so that a poisonous file can't take a destination down for ever.
    """
    limits = {"now": tx.now, "latest": tx.now + 2 * LONGEST_LEASE, "soon": tx.now + _SKEW}
    dead = tx.conn.execute(_LOSE, limits | {"destination": destination_id}).all()
    return _lose(tx, destination_id, dead, "it has run out", "died or stood still")


def take_back(tx: Transaction, destination_id: int, workers: Sequence[str]) -> int:
    """Take back what these workers hold at a destination, as :func:`expire` does; its row must be locked.

    For workers whose processes are known to have ended. Return how many leases were lost.
    """
    held = (
        update(Lease)
        .where(Lease.destination_id == destination_id, is_live(), Lease.worker.in_(workers))
        .values(state="lost", ended_at=tx.now)
        .returning(Lease.id, Lease.worker)
    )
    return _lose(tx, destination_id, tx.conn.execute(held).all(), "its process is gone", "died")


def _lose(tx: Transaction, destination_id: int, leases: Sequence[AnyRow], reason: str, end: str) -> int:
    for lease in leases:
        trail.record(
            tx,
            "ledger",
            "lease.lost",
            destination_id=destination_id,
            lease=lease.id,
            worker=lease.worker,
            items=_expire_items(tx, lease.id, destination_id, end),
            reason=reason,
        )
    return len(leases)


def _expire_items(tx: Transaction, lease_id: int, destination_id: int, end: str) -> int:
    rows = tx.conn.execute(
        select(Item.id, Item.transfer_id, Item.crash_suspect).where(
            Item.lease_id == lease_id, item_is(ItemState.RUNNING)
        )
    ).all()
    tally = Tally()
    guilty = [row for row in rows if row.crash_suspect + 1 >= ALONE_AFTER + _CRASHES_ALONE]
    alone = [row for row in rows if row.crash_suspect >= ALONE_AFTER]
    if alone:
        tx.conn.execute(
            update(Item)
            .where(Item.id.in_([row.id for row in alone]))
            .values(attempts=Item.attempts + 1, last_words=f"its worker {end} while sending it alone")
        )
    if guilty:
        tx.conn.execute(
            update(Item)
            .where(Item.id.in_([row.id for row in guilty]))
            .values(
                state=int(ItemState.FAILED),
                lease_id=None,
                crash_suspect=Item.crash_suspect + 1,
                settled_at=tx.now,
                last_words=f"failed: sent alone in two leases that were lost; the last time its worker {end}",
            )
        )
        for row in guilty:
            tally.move(destination_id, row.transfer_id, ItemState.RUNNING, ItemState.FAILED)
    returned = tx.conn.execute(
        update(Item)
        .where(Item.lease_id == lease_id, item_is(ItemState.RUNNING))
        .values(state=int(ItemState.READY), lease_id=None, crash_suspect=Item.crash_suspect + literal_column("1"))
        .returning(Item.transfer_id)
    ).all()
    for transfer_id, n in Counter(row.transfer_id for row in returned).items():
        tally.move(destination_id, transfer_id, ItemState.RUNNING, ItemState.READY, n)
    tally.write(tx)
    return len(rows)
