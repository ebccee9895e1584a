"""Models and migrations say the same; code and ledger that don't fit refuse each other, and say what to do."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, text, update

from gurney.ledger import schema
from gurney.ledger.database import Ledger
from gurney.ledger.errors import LedgerMismatch
from gurney.ledger.models import Base, LedgerMeta
from gurney.ledger.schema import SCHEMA, alembic_config, check_schema, migrate


@pytest.fixture
def empty(ledger_url: str) -> Iterator[Ledger]:
    """A ledger in which nothing is yet."""
    ledger = Ledger(ledger_url, create=True)
    yield ledger
    ledger.dispose()


def _url(ledger: Ledger) -> str:
    return ledger.url.render_as_string(hide_password=False)


def _ddl(conn: Connection) -> dict[str, str]:
    """Return the statement behind each table and index, as far as the database can tell, without its layout."""
    if conn.dialect.name == "sqlite":
        rows = conn.execute(text("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))
    else:
        rows = conn.execute(
            text(
                "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
                "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint "
                "WHERE connamespace = 'public'::regnamespace"
            )
        )
    return {
        name: re.sub(r"[\s\"]+", "", sql) for name, sql in rows if not name.startswith(("alembic", "sqlite_", "pk_a"))
    }


def test_the_models_match_the_migrations(empty: Ledger) -> None:
    migrate(_url(empty))
    with empty.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), Base.metadata) == []


def test_partial_indexes_and_checks_match_too(empty: Ledger) -> None:
    """Alembic compares neither: make the same database from the models and from the migrations."""
    with empty.write() as tx:
        Base.metadata.create_all(tx.conn)
        from_models = _ddl(tx.conn)
        Base.metadata.drop_all(tx.conn)
    migrate(_url(empty))
    with empty.read() as conn:
        from_migrations = _ddl(conn)
    if empty.dialect == "sqlite":  # one statement a table, in whatever order its constraints were given
        from_models, from_migrations = (
            {name: "".join(sorted(sql)) for name, sql in ddl.items()} for ddl in (from_models, from_migrations)
        )
    assert from_models == from_migrations


def test_a_migration_can_be_undone_and_done_again(empty: Ledger) -> None:
    migrate(_url(empty))
    command.downgrade(alembic_config(_url(empty)), "base")
    with empty.read() as conn:
        assert set(inspect(conn).get_table_names()) <= {"alembic_version"}
    migrate(_url(empty))
    check_schema(empty)


def test_migrating_twice_changes_nothing(empty: Ledger) -> None:
    migrate(_url(empty))
    with empty.read() as conn:
        before = conn.execute(text("SELECT * FROM ledger_meta")).all()
    migrate(_url(empty))
    with empty.read() as conn:
        assert conn.execute(text("SELECT * FROM ledger_meta")).all() == before


def test_an_empty_ledger_is_refused_with_what_to_do(empty: Ledger) -> None:
    with pytest.raises(LedgerMismatch, match="gurney migrate"):
        check_schema(empty)


def test_an_older_ledger_is_refused_until_it_is_migrated(empty: Ledger) -> None:
    migrate(_url(empty))
    with empty.write() as tx:
        tx.conn.execute(update(LedgerMeta).values(schema_version=SCHEMA - 1))
    with pytest.raises(LedgerMismatch, match=f"has schema {SCHEMA - 1}, .* needs {SCHEMA}: back it up"):
        check_schema(empty)


def test_a_newer_ledger_that_can_live_with_this_code_is_taken(empty: Ledger) -> None:
    """Expand first: the old code goes on while the new one is being deployed."""
    migrate(_url(empty))
    with empty.write() as tx:
        tx.conn.execute(update(LedgerMeta).values(schema_version=SCHEMA + 1, min_code=SCHEMA))
    check_schema(empty)


def test_a_ledger_too_new_is_refused_and_not_migrated(empty: Ledger) -> None:
    migrate(_url(empty))
    with empty.write() as tx:
        tx.conn.execute(update(LedgerMeta).values(schema_version=SCHEMA + 1, min_code=SCHEMA + 1))
    with pytest.raises(LedgerMismatch, match="install the newer version again"):
        check_schema(empty)
    with pytest.raises(LedgerMismatch, match="install the newer version again"):
        migrate(_url(empty))


def _migrate_and_die(url: str, statement: int) -> None:
    """Be killed, without a chance to tidy up, just before the n-th statement of the migration."""
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    seen = 0

    @event.listens_for(Engine, "before_cursor_execute")
    def _count(_conn: Any, _cursor: Any, sql: str, *_: Any) -> None:
        nonlocal seen
        seen += sql.lstrip().upper().startswith(("CREATE", "INSERT"))
        if seen >= statement:
            os.kill(os.getpid(), signal.SIGKILL)

    schema.migrate(url)


@pytest.mark.fault
@pytest.mark.parametrize("statement", [2, 20, 50])
def test_a_migration_killed_halfway_is_taken_up_again(empty: Ledger, statement: int) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_migrate_and_die, args=(_url(empty), statement))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    with pytest.raises(LedgerMismatch, match="gurney migrate"):
        check_schema(empty)
    migrate(_url(empty))
    check_schema(empty)
    with empty.read() as conn:
        assert compare_metadata(MigrationContext.configure(conn), Base.metadata) == []


def test_each_ledger_has_a_life_of_its_own(empty: Ledger) -> None:
    assert schema.new_generation() != schema.new_generation()


def test_a_ledger_that_is_not_there_is_refused_and_not_made(tmp_path: Path) -> None:
    path = tmp_path / "absent" / "ledger.sqlite3"
    with pytest.raises(LedgerMismatch, match="gurney up"):
        Ledger(f"sqlite:///{path}")
    assert not path.parent.exists()
