"""A ledger, a spool and a folder for each test, and files to drop into it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gurney.ledger import destinations
from gurney.ledger.database import Ledger
from gurney.ledger.destinations import DestinationSpec
from gurney.ledger.models import Base
from gurney.ledger.schema import migrate
from gurney_daemon.ingest.spool import Spool, open_spool
from tests.daemon.ingest.site import Site
from tests.services.postgresql import PostgreSql


@pytest.fixture(scope="session")
def ledger_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated ledger to copy: migrating anew for each test would take longer than the tests."""
    path = tmp_path_factory.mktemp("ledger") / "migrated.sqlite3"
    migrate(f"sqlite:///{path}")
    return path


def _prepared(ledger: Ledger) -> Ledger:
    remotes = [DestinationSpec(name, name.upper(), "GURNEY") for name in ("archive", "research")]
    ledger.transact(destinations.sync, remotes, "test")
    return ledger


@pytest.fixture
def ledger(ledger_template: Path, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger in SQLite that knows two destinations."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copy(ledger_template, path)
    ledger = _prepared(Ledger(f"sqlite:///{path}"))
    yield ledger
    ledger.dispose()


@pytest.fixture(scope="session")
def postgresql_template(postgres: PostgreSql) -> str:
    """One migrated database for the run, emptied for each test."""
    url = postgres.create_database()
    migrate(url)
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def either_ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """The same, once on SQLite and once on PostgreSQL."""
    if request.param == "sqlite":
        yield request.getfixturevalue("ledger")
        return
    ledger = Ledger(request.getfixturevalue("postgresql_template"))
    names = ", ".join(table.name for table in Base.metadata.sorted_tables if table.name != "ledger_meta")
    with ledger.write() as tx:
        tx.conn.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
    yield _prepared(ledger)
    ledger.dispose()


@pytest.fixture
def spool(ledger: Ledger, tmp_path: Path) -> Spool:
    """A spool on the folder's filesystem."""
    return open_spool(ledger, "main", str(tmp_path / "spool"))


@pytest.fixture
def no_clones(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the filesystem be one that makes links, whatever that of the tests could do."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(fcntl, "ioctl", refuse)


@pytest.fixture
def site(ledger: Ledger, spool: Spool, tmp_path: Path) -> Iterator[Site]:
    """A watched folder with everything around it."""
    site = Site(ledger, spool, tmp_path / "ct1")
    yield site
    site.close()
