"""A migrated ledger for each test, on both databases, with a clock that the test moves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gurney.ledger.database import Ledger
from gurney.ledger.models import Base
from gurney.ledger.schema import migrate
from tests.ledger.world import ManualClock, World
from tests.services.postgresql import PostgreSql


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger to copy: migrating anew for each test would take longer than the tests."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def migrated_postgresql(postgres: PostgreSql) -> str:
    """One migrated database for the run; `empty_postgresql` makes it new."""
    url = postgres.create_database()
    migrate(url)
    return url


def empty_postgresql(url: str) -> None:
    """Remove every row but the ledger's own description."""
    ledger = Ledger(url)
    names = ", ".join(table.name for table in Base.metadata.sorted_tables if table.name != "ledger_meta")
    with ledger.write() as tx:
        tx.conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        tx.conn.execute(text("UPDATE ledger_meta SET draining = false"))
    ledger.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a migrated ledger without rows; the test runs once on each database."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("migrated_postgresql")
        empty_postgresql(url)
        return url
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
    return f"sqlite:///{path}"


@pytest.fixture
def world(fresh_url: str) -> Iterator[World]:
    """A ledger to act in; at the end its counts must equal the truth, whatever the test did."""
    yield from _world(fresh_url)


@pytest.fixture
def postgresql_world(migrated_postgresql: str) -> Iterator[World]:
    """A ledger for what SQLite, with its one writer, can't show."""
    empty_postgresql(migrated_postgresql)
    yield from _world(migrated_postgresql)


def _world(url: str) -> Iterator[World]:
    ledger = Ledger(url, clock=ManualClock())
    world = World(ledger)
    try:
        yield world
        world.assert_counts_are_true()
    finally:
        ledger.dispose()
