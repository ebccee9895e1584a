"""Roles: work that one process at a time does, kept by a lease on ledger time and fenced like any other."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Role

__all__ = ["RoleTicket", "assume", "is_held", "keep", "resign", "resign_all"]


@dataclass(frozen=True, slots=True)
class RoleTicket:
    """The right to do a role's work while ``fence`` is the newest."""

    name: str
    holder: str
    fence: int


def assume(tx: Transaction, name: str, holder: str, ttl: float = 30.0) -> RoleTicket | None:
    """Take a role that is free, run out, or this holder's own; None while another holds it.

    What comes back under the name of the holder that it was before its death need not wait for its own lease.
    """
    insert = tx.upsert(Role)
    fence = tx.conn.scalar(
        insert.values(name=name, holder=holder, fence=1, until=tx.now + ttl)
        .on_conflict_do_update(
            index_elements=[Role.name],
            set_={"holder": holder, "fence": Role.fence + 1, "until": tx.now + ttl},
            # A lease far in the future was written by a clock that has since been set right.
            where=(Role.until <= tx.now) | (Role.until > tx.now + 2 * ttl) | (Role.holder == holder),
        )
        .returning(Role.fence)
    )
    return None if fence is None else RoleTicket(name, holder, fence)


def is_held(conn: Connection, name: str, now: float) -> bool:
    """Tell whether somebody has a role at a ledger time, without asking for it."""
    return conn.scalar(select(Role.name).where(Role.name == name, Role.until > now)) is not None


_KEEP = (
    update(Role)
    .where(Role.name == bindparam("its_name"), Role.fence == bindparam("its_fence"), Role.until > bindparam("now"))
    .values(until=bindparam("new_until"))
)


def keep(tx: Transaction, ticket: RoleTicket, ttl: float = 30.0) -> bool:
    """Renew a role; false when it was taken over, and then its work must stop."""
    ours = {"its_name": ticket.name, "its_fence": ticket.fence, "now": tx.now, "new_until": tx.now + ttl}
    changed = tx.conn.execute(_KEEP, ours).rowcount
    return changed == 1


def resign(tx: Transaction, ticket: RoleTicket) -> None:
    """Give a role back at once, so that the next holder need not wait."""
    tx.conn.execute(update(Role).where(Role.name == ticket.name, Role.fence == ticket.fence).values(until=tx.now))


def resign_all(tx: Transaction, holder: str) -> None:
    """Give back all roles of a holder that is about to end, whatever its threads are at."""
    tx.conn.execute(update(Role).where(Role.holder == holder, Role.until > tx.now).values(until=tx.now))
