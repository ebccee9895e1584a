"""Every statement on the hot path seeks an index: none reads the table of items from end to end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from gurney.ledger import batches, completion, interruptions, leases, reconciling, refusals, reports
from gurney.ledger.terms import Claim
from gurney.transfer.outcomes import EventKind, RefusalScope
from gurney.transfer.states import ItemState, Priority
from tests.ledger.world import CT, OK, World, answered, happened, ids_of

Statement = tuple[str, Any]


@contextmanager
def statements(world: World) -> Iterator[list[Statement]]:
    """Collect what goes to the database."""
    seen: list[Statement] = []
    engines = {id(engine): engine for engine in (world.ledger._write, world.ledger._read)}.values()

    def note(_conn: Any, _cursor: Any, sql: str, parameters: Any, _context: Any, many: bool) -> None:
        if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
            seen.append((sql, parameters[0] if many else parameters))

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    yield seen
    for engine in engines:
        event.remove(engine, "before_cursor_execute", note)


def plan(world: World, statement: Statement) -> str:
    """Ask the database how it would run a statement, without running it."""
    sql, parameters = statement
    if world.ledger.dialect == "sqlite":
        with world.ledger.read() as conn:
            return "\n".join(row[-1] for row in conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters))
    with world.ledger.read() as conn:
        driver: Any = conn.connection.driver_connection
        with psycopg.ClientCursor(driver) as cursor:
            cursor.execute(f"EXPLAIN {sql}", parameters)
            return "\n".join(row[0] for row in cursor.fetchall())


def reads_all_items(how: str) -> bool:
    """Tell whether a plan walks through the whole table, or through the primary key in the hope of finding soon."""
    return any(
        line.strip() == "SCAN item"
        or line.strip().startswith("SCAN item USING INTEGER PRIMARY KEY")
        or "Seq Scan on item" in line
        or ("Index Scan using pk_item on item" in line and "Index Cond" not in how)
        for line in how.splitlines()
    )


def seen_once(seen: list[Statement]) -> Iterator[Statement]:
    """Drop repetitions: the last parameters of each statement."""
    yield from dict(seen).items()


@pytest.fixture
def worn(world: World) -> World:
    """A ledger that has been at work for a while: most items are done, a few stand in every other state."""
    world.destination(max_associations=4)
    world.destination("workstation", max_associations=4)
    for study in range(6):
        world.items(400, study=f"1.{study}", state=ItemState.DONE)
    for priority in Priority:
        world.items(30, study=f"2.{priority}", priority=priority)
    world.items(40, study="3", state=ItemState.RETRY, due_at=world.clock.time - 1)
    world.items(40, study="4", state=ItemState.RETRY, due_at=world.clock.time + 1_000)
    world.items(10, study="5", state=ItemState.FAILED, refused=True)
    world.items(10, study="5", state=ItemState.HELD, held_for="study_complete")
    world.items(20, study="6", destination="workstation")
    _analyze(world)
    return world


def _analyze(world: World) -> None:
    """Let PostgreSQL count, as its autovacuum does; nobody does it for SQLite."""
    if world.ledger.dialect == "postgresql":
        with world.ledger.write() as tx:
            tx.conn.execute(text("ANALYZE"))


def _claim(world: World) -> None:
    world.take()


def _claim_every_priority(world: World) -> None:
    for _ in range(8):
        world.finish(world.take())


def _crash(world: World) -> None:
    world.take()
    world.crash()
    world.take()


def _settle(world: World) -> None:
    claim = world.take()
    first, second, *others = ids_of(claim)
    world.settle(claim, dict.fromkeys(others, OK))
    world.settle(claim, {first: answered(0xA700), second: happened(EventKind.NO_CONTEXT, result=3)})
    world.finish(claim, stored=len(others))


def _look(world: World) -> None:
    claim = world.take(instances=5)
    with world.ledger.read() as conn:
        assert batches.has_due_work(conn, world.destination(), world.spool(), world.clock.time)
        interruptions.interruption(conn, claim.ticket, Priority.STAT, ids_of(claim))


def _renew(world: World) -> None:
    claim = world.take()
    world.renew(claim)
    world.ledger.transact(leases.release, claim.ticket, "w1")


def _reconcile(world: World) -> None:
    world.take()
    reconciling.due_bells(world.ledger)
    world.crash()
    reconciling.expire_leases(world.ledger)
    completion.complete_quiet(world.ledger, 60.0, 1_800.0, "reconciler")


def _clear(world: World) -> None:
    with world.ledger.write() as tx:
        refusals.remember(tx, world.destination(), RefusalScope.SOP_CLASS, CT, "", "not supported")
        refusals.clear(tx, world.destination())
    assert refusals.expire(world.ledger) == 10


def _report(world: World) -> None:
    world.take()
    with world.ledger.read() as conn:
        reports.destination_states(conn, world.clock.time)
        reports.study_report(conn, "1.3")
        reports.transfer_report(conn, 3)
        reports.list_transfers(conn, limit=5)


@pytest.mark.parametrize(
    "act", [_claim, _claim_every_priority, _crash, _settle, _look, _renew, _reconcile, _clear, _report]
)
def test_nothing_reads_the_items_from_end_to_end(worn: World, act: Callable[[World], Claim | None]) -> None:
    with statements(worn) as seen:
        act(worn)
    assert any("item" in sql for sql, _ in seen)
    plans = {sql: plan(worn, (sql, parameters)) for sql, parameters in dict(seen_once(seen)).items()}
    wanting = [f"{sql}\n--\n{how}" for sql, how in plans.items() if reads_all_items(how)]
    assert not wanting, "\n\n".join(wanting)


@pytest.mark.parametrize(
    ("index", "marker"),
    [
        ("ix_item_ready", "ORDER BY item.priority"),
        ("ix_item_retry", "ORDER BY item.due_at"),
        ("ix_item_running", "lease_id = "),
    ],
)
def test_each_seek_of_a_claim_has_its_partial_index(worn: World, index: str, marker: str) -> None:
    worn.take(instances=3)
    worn.crash()
    with statements(worn) as seen:
        worn.take()
    plans = [plan(worn, statement) for statement in seen if marker in statement[0]]
    assert plans
    assert all(index in how for how in plans), "\n\n".join(plans)
