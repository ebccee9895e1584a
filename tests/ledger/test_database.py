"""The database itself: durable, locked in time, honest about what it can't do."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError

from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import LedgerCorrupt, LedgerUnavailable
from gurney.ledger.models import Destination, Spool
from gurney.ledger.schema import migrate
from tests.ledger.world import World
from tests.services.ports import free_port
from tests.services.postgresql import PostgreSql


def test_sqlite_is_durable_and_checks_its_keys(migrated_sqlite: Path) -> None:
    ledger = Ledger(f"sqlite:///{migrated_sqlite}")
    with ledger.read() as conn:
        assert [
            conn.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous", "foreign_keys")
        ] == ["wal", 2, 1]
    ledger.dispose()


def test_a_reader_on_sqlite_can_write_nothing(migrated_sqlite: Path) -> None:
    ledger = Ledger(f"sqlite:///{migrated_sqlite}")
    with pytest.raises(LedgerUnavailable, match="readonly"), ledger.read() as conn:
        conn.execute(insert(Spool).values(name="x", path="/x", marker="x"))
    ledger.dispose()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_ledger_in_memory_is_refused(url: str) -> None:
    with pytest.raises(LedgerUnavailable, match="can't be shared"):
        Ledger(url)


def test_a_transaction_that_fails_leaves_nothing(world: World) -> None:
    def half(tx: Transaction) -> None:
        tx.conn.execute(insert(Spool).values(name="half", path="/x", marker="x"))
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        world.ledger.transact(half)
    with world.ledger.read() as conn:
        assert conn.scalar(select(func.count()).select_from(Spool)) == 0


def test_a_busy_database_is_asked_again_and_a_mistake_is_not(world: World) -> None:
    tries: list[int] = []

    def busy(tx: Transaction) -> str:
        tries.append(1)
        if len(tries) < 3:
            raise OperationalError("", {}, Exception("database is locked"))
        return "done"

    assert world.ledger.transact(busy) == "done"
    assert len(tries) == 3
    world.spool()

    def mistaken(tx: Transaction) -> None:
        tries.append(1)
        tx.conn.execute(insert(Spool).values(name="main", path="/x", marker="x"))

    with pytest.raises(IntegrityError):
        world.ledger.transact(mistaken)
    assert len(tries) == 4


def test_a_deadlock_is_undone_and_repeated(world: World) -> None:
    """Two transactions that lock two rows in opposite order; SQLite has one writer and no deadlock."""
    for name in ("a", "b"):
        world.destination(name)
    meet = threading.Barrier(2)
    failures: list[BaseException] = []

    def cross(tx: Transaction, names: tuple[str, str], wait: list[int]) -> None:
        for name in names:
            tx.conn.execute(update(Destination).where(Destination.name == name).values(claims=Destination.claims + 1))
            if wait and tx.locks_rows:
                wait.pop()
                meet.wait(20)

    def run(names: tuple[str, str]) -> None:
        try:
            world.ledger.transact(cross, names, [1])
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(names,)) for names in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert [world.row(name).claims for name in ("a", "b")] == [2, 2]


def test_a_server_that_is_away_is_unavailable_and_its_password_unsaid() -> None:
    ledger = Ledger(f"postgresql+psycopg://gurney:secret@127.0.0.1:{free_port()}/gurney")
    with pytest.raises(LedgerUnavailable, match="can't be reached") as caught:
        ledger.now()
    assert "secret" not in str(caught.value)
    ledger.dispose()


def test_a_server_that_crashed_is_reached_again(postgres: PostgreSql, postgres_url: str) -> None:
    migrate(postgres_url)
    ledger = Ledger(postgres_url)
    ledger.now()
    postgres.restart_immediately()
    assert ledger.now() > 0
    ledger.dispose()


def test_a_server_that_takes_no_writes_is_waited_for(postgres: PostgreSql, postgres_url: str) -> None:
    migrate(postgres_url)
    ledger, administrator = Ledger(postgres_url), Ledger(postgres.url())
    name = postgres_url.rpartition("/")[2]

    def write(tx: Transaction) -> None:
        tx.conn.execute(insert(Spool).values(name="main", path="/main", marker="x"))

    def make_read_only(be: str) -> None:
        with administrator.write() as tx:
            tx.conn.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {be}"))

    make_read_only("on")  # for whoever connects from now on
    for _ in range(2):
        with pytest.raises(LedgerUnavailable, match="read-only"):
            ledger.transact(write)
    assert ledger.now() > 0, "it can still be read"
    make_read_only("off")
    with pytest.raises(LedgerUnavailable, match="read-only"):
        ledger.transact(write)
    ledger.transact(write)  # over another connection
    ledger.dispose()
    administrator.dispose()


@pytest.mark.parametrize(
    ("state", "error"), [("XX000", LedgerUnavailable), ("57P04", LedgerUnavailable), ("XX001", LedgerCorrupt)]
)
def test_what_a_server_says_of_itself_is_no_mistake_of_ours(
    postgres_url: str, state: str, error: type[Exception]
) -> None:
    ledger = Ledger(postgres_url)
    with pytest.raises(error), ledger.write() as tx:
        tx.conn.execute(text(f"DO $$ BEGIN RAISE EXCEPTION 'trouble' USING ERRCODE = '{state}'; END $$"))
    ledger.dispose()


def test_a_damaged_file_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"this is no database" * 500)
    ledger = Ledger(f"sqlite:///{path}")
    with pytest.raises(LedgerCorrupt, match="restore a backup"):
        ledger.now()
    ledger.dispose()


def test_errors_name_no_values(world: World) -> None:
    world.spool()

    def mistaken(tx: Transaction) -> None:
        row: dict[str, Any] = {"name": "main", "path": "PLANTED^NAME", "marker": "x"}
        tx.conn.execute(insert(Spool), row)

    with pytest.raises(IntegrityError) as caught:
        world.ledger.transact(mistaken)
    assert "PLANTED" not in str(caught.value)
