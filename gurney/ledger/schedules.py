"""When rules are next done. Only who holds the scheduler's role writes; a time counts as seen to when it has been."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, delete, select, update

from gurney.ledger.database import Transaction
from gurney.ledger.models import Schedule

__all__ = ["done", "keep", "put_off", "schedules"]


def schedules(conn: Connection) -> dict[str, dict[str, Any]]:
    """Return each rule's row, by its name."""
    rows = conn.execute(select(Schedule.__table__).order_by(Schedule.rule))
    return {row.rule: dict(row._mapping) for row in rows}


def keep(tx: Transaction, plans: dict[str, tuple[str, float]]) -> None:
    """Have a row for each scheduled rule, with its plan and its next time; those that are gone are forgotten.

    A rule whose plan is as it was keeps its time, however long nobody has looked: what was missed is caught up with.
    """
    known = schedules(tx.conn)
    for rule, (plan, due_at) in plans.items():
        if rule in known and known[rule]["plan"] == plan:
            continue
        values = {"plan": plan, "due_at": due_at, "look_at": due_at, "tries": 0}
        tx.conn.execute(
            tx.upsert(Schedule)
            .values(rule=rule, patients=0, retrievals=0, words="", **values)
            .on_conflict_do_update(index_elements=[Schedule.rule], set_=values)
        )
    tx.conn.execute(delete(Schedule).where(Schedule.rule.not_in(list(plans))))


def put_off(tx: Transaction, rule: str, look_at: float, words: str) -> None:
    """Try the same time again later, because not all could be asked."""
    tx.conn.execute(
        update(Schedule)
        .where(Schedule.rule == rule)
        .values(look_at=look_at, tries=Schedule.tries + 1, words=words[:400])
    )


def done(tx: Transaction, rule: str, now: float, next_at: float, *, patients: int, retrievals: int, words: str) -> None:
    """Note what came of a rule's time, and its next one."""
    tx.conn.execute(
        update(Schedule)
        .where(Schedule.rule == rule)
        .values(
            due_at=next_at,
            look_at=next_at,
            tries=0,
            done_at=now,
            patients=patients,
            retrievals=retrievals,
            words=words[:400],
        )
    )
