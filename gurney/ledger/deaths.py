"""Take back at once what processes held that are gone for certain, instead of waiting until their leases run out.

Only a process of the same host can say so (:mod:`gurney.ledger.processes`). Whoever notices does it, as often as they
like: the fence keeps it safe, and what is taken back comes back as from a lease that has run out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from sqlalchemy import Connection, delete, select

from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.leases import take_back
from gurney.ledger.models import Lease, Worker
from gurney.ledger.models.predicates import is_live
from gurney.ledger.processes import ProcessName
from gurney.ledger.reconciling import settle_losses

__all__ = ["bury", "living"]

T = TypeVar("T")


def bury(ledger: Ledger) -> int:
    """Forget who is gone and take back what they held, at every destination; return how many leases that were."""
    with ledger.read() as conn:
        gone = _gone(conn)
        held = select(Lease.destination_id).where(is_live(), Lease.worker.in_(gone)).distinct()
        holders = sorted(conn.scalars(held)) if gone else []
    lost = sum(ledger.transact(_take_back, destination_id, gone) for destination_id in holders)
    if gone:
        ledger.transact(_forget, gone)
    return lost


def living(processes: Mapping[str, T]) -> dict[str, T]:
    """Leave out the processes, by name, that are gone for certain."""
    return {name: process for name, process in processes.items() if not _is_gone(name)}


def _gone(conn: Connection) -> list[str]:
    names = {*conn.scalars(select(Worker.name)), *conn.scalars(select(Lease.worker).where(is_live()))}
    return sorted(name for name in names if _is_gone(name))


def _is_gone(name: str) -> bool:
    process = ProcessName.parse(name)
    return process is not None and process.is_gone()


def _take_back(tx: Transaction, destination_id: int, gone: list[str]) -> int:
    return settle_losses(tx, destination_id, lambda: take_back(tx, destination_id, gone))


def _forget(tx: Transaction, gone: list[str]) -> None:
    tx.conn.execute(delete(Worker).where(Worker.name.in_(gone)))
