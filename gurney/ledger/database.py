"""Reach the ledger's database: two engines, short transactions, errors in our words.

SQLite gets a writing engine (``BEGIN IMMEDIATE``: a deferred transaction that upgrades fails at once, whatever
``busy_timeout`` says) and a reading one (``query_only``). PostgreSQL is one engine twice.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import chain
from typing import Any, Concatenate, ParamSpec, TypeAlias, TypeVar

from sqlalchemy import Connection, Dialect, Engine, Row, Select, create_engine, event, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from gurney.ledger.clock import BootClock, LedgerClock, clock_for
from gurney.ledger.errors import LedgerCorrupt, LedgerMismatch, LedgerUnavailable
from gurney.ledger.models import Base

__all__ = ["AnyRow", "AnySelect", "Ledger", "Transaction"]

# Rows and selects whose columns the type checker need not follow.
AnyRow: TypeAlias = Row[*tuple[Any, ...]]
AnySelect: TypeAlias = Select[*tuple[Any, ...]]
P = ParamSpec("P")
T = TypeVar("T")

_TRIES = 6
# PostgreSQL: serialization_failure, deadlock_detected, lock_not_available.
_RETRYABLE_STATES = frozenset({"40001", "40P01", "55P03"})
_READ_ONLY = "25006"
# PostgreSQL's states and classes of what may pass, some of which its driver counts among mistakes of ours:
# read_only_sql_transaction (a standby, an administrator's answer to a full disk), idle_in_transaction_session_timeout,
# insufficient_resources, operator_intervention, system_error, internal_error.
_MAY_PASS = (_READ_ONLY, "25P03", "53", "57P", "58", "XX000")
# data_corrupted, index_corrupted.
_DAMAGE = ("XX001", "XX002")


@dataclass(slots=True)
class Transaction:
    """An open write transaction and its time, which is read once and after the first lock."""

    conn: Connection
    clock: LedgerClock
    _now: float | None = field(default=None, repr=False)

    @property
    def now(self) -> float:
        """Ledger time of this transaction, in seconds."""
        if self._now is None:
            self._now = self.clock.now(self.conn)
        return self._now

    def upsert(self, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
        """Start an INSERT that may end in ON CONFLICT, which both databases spell the same way."""
        return postgresql.insert(model) if self.conn.dialect.name == "postgresql" else sqlite.insert(model)

    def insert_tuples(self, model: type[Base], columns: tuple[str, ...], rows: Sequence[tuple[object, ...]]) -> None:
        """Insert many rows of plain values in the order of ``columns``.

        SQLAlchemy's own way looks at each value of each row by name: with fifty results a commit that is half the work.
        One statement takes all rows: for PostgreSQL each would be a message, and at each SQLite's driver would give
        Python's lock to the thread that sends, and wait to have it back.
        """
        if self.conn.dialect.name == "postgresql":
            arrays = tuple(list(column) for column in zip(*rows, strict=True))
            self.conn.exec_driver_sql(_insertion_of_arrays(model, columns, self.conn.dialect), arrays)
        else:
            values = tuple(chain.from_iterable(rows))
            self.conn.exec_driver_sql(_insertion_of_rows(model, columns, len(rows)), values)

    def insert_rows(self, model: type[Base], rows: Sequence[Mapping[str, object]]) -> list[int]:
        """Insert rows with ids that are taken beforehand, and return these; what a row leaves out has its default.

        One statement for all, where SQLAlchemy would write one for each to know which id belongs to which.
        """
        columns, defaults = _columns_of(model)
        ids = self._reserve(model, len(rows))
        told = [
            (id_, *(row.get(name, default) for name, default in defaults)) for id_, row in zip(ids, rows, strict=True)
        ]
        at_once = _MOST_PARAMETERS // len(columns)
        for start in range(0, len(told), at_once):
            self.insert_tuples(model, columns, told[start : start + at_once])
        return ids

    def _reserve(self, model: type[Base], count: int) -> list[int]:
        """Take the next ids of a table. SQLite's one writer would give just these."""
        table = model.__tablename__
        if self.conn.dialect.name == "postgresql":
            given = self.conn.exec_driver_sql(_NEXT_IDS, (table, count))
            return sorted(given.scalars())
        last: int = self.conn.exec_driver_sql(f"SELECT coalesce(max(id), 0) FROM {table}").scalar_one()  # noqa: S608
        return list(range(last + 1, last + 1 + count))

    @property
    def locks_rows(self) -> bool:
        """Whether rows must be locked one by one; SQLite's writer has the whole file."""
        return self.conn.dialect.name != "sqlite"


# SQLite refuses a statement with more than 32,766.
_MOST_PARAMETERS = 30_000
_NEXT_IDS = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) FROM generate_series(1, %s)"


@cache
def _columns_of(model: type[Base]) -> tuple[tuple[str, ...], tuple[tuple[str, object], ...]]:
    """Return the columns of a table that has an id, this first, and what the others are where nothing is said."""
    plain = [(one.name, one.default.arg if one.default is not None else None) for one in model.__table__.c]
    others = tuple(one for one in plain if one[0] != "id")
    return ("id", *(name for name, _ in others)), others


# As many as groups have sizes; SQLite's driver keeps those prepared that are used most.
@lru_cache(256)
def _insertion_of_rows(model: type[Base], columns: tuple[str, ...], count: int) -> str:
    row = f"({', '.join('?' * len(columns))})"
    into = f"INSERT INTO {model.__tablename__} ({', '.join(columns)})"
    return f"{into} VALUES {', '.join([row] * count)}"


@cache
def _insertion_of_arrays(model: type[Base], columns: tuple[str, ...], dialect: Dialect) -> str:
    types = [model.__table__.c[name].type.compile(dialect) for name in columns]
    arrays = ", ".join(f"%s::{kind}[]" for kind in types)
    into = f"INSERT INTO {model.__tablename__} ({', '.join(columns)})"
    return f"{into} SELECT * FROM unnest({arrays})"  # noqa: S608 - names of our own columns


class Ledger:
    """The database behind every claim, settlement and query.

    Thread-safe; not to be carried over a fork (:meth:`dispose` in the child, or open it there). ``clock`` is for tests
    that need to move time. Raises :class:`LedgerUnavailable` for what may pass, :class:`LedgerCorrupt` for what won't.
    """

    def __init__(self, url: str, *, clock: LedgerClock | None = None, pool_size: int = 4, create: bool = False) -> None:
        """Prepare the engines; nothing is connected yet. Only with ``create`` may SQLite make a file."""
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        if self.dialect == "sqlite":
            _find_file(self.url.database, create=create)
            self._write = _sqlite_engine(url, read_only=False)
            self._read = _sqlite_engine(url, read_only=True)
        else:
            self._write = self._read = _postgresql_engine(url, pool_size)
        self.clock = clock or clock_for(self.dialect)

    def dispose(self) -> None:
        """Close every connection."""
        self._write.dispose()
        self._read.dispose()

    @contextmanager
    def write(self) -> Iterator[Transaction]:
        """Open a write transaction: short, and without any I/O but the database's inside."""
        with _in_our_words(self.dialect), self._write.begin() as conn:
            yield Transaction(conn, self.clock)

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Open a connection for reading; on SQLite it can't write. Fetch all, then leave."""
        with _in_our_words(self.dialect), self._read.connect() as conn:
            yield conn

    def now(self) -> float:
        """Return ledger time outside any transaction."""
        with self.read() as conn:
            if not isinstance(self.clock, BootClock) or self.clock.is_anchored(conn):
                return self.clock.now(conn)
        with self.write() as tx:
            return tx.now

    def transact(self, work: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``work(tx, ...)`` in a write transaction, and again a few times after a deadlock or a busy database.

        ``work`` must therefore change nothing but the database.
        """
        for attempt in range(1, _TRIES + 1):
            try:
                with self.write() as tx:
                    return work(tx, *args, **kwargs)
            except LedgerUnavailable as error:
                if attempt == _TRIES or not _worth_repeating(error.__cause__):
                    raise
            time.sleep(random.uniform(0, 0.01 * 2**attempt))  # noqa: S311 - jitter, not a secret
        raise AssertionError("unreachable")


def _worth_repeating(cause: BaseException | None) -> bool:
    if not isinstance(cause, DBAPIError):
        return False
    return _state(cause) in _RETRYABLE_STATES or "database is locked" in str(cause.orig)


@contextmanager
def _in_our_words(dialect: str) -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise LedgerUnavailable("every ledger connection is in use; the work waits") from error
    except (OperationalError, InterfaceError) as error:
        raise LedgerUnavailable(f"the ledger ({dialect}) can't be reached or is busy: {_first_line(error)}") from error
    except DBAPIError as error:
        state = _state(error)
        if state.startswith(_MAY_PASS):
            raise LedgerUnavailable(f"the ledger ({dialect}) takes nothing for now: {_first_line(error)}") from error
        if state in _DAMAGE:
            raise LedgerCorrupt(
                f"the ledger's database is damaged ({_first_line(error)}). Stop Gurney and have PostgreSQL's own "
                "checks look at it; restore a backup if they find no other way"
            ) from error
        if "malformed" in str(error.orig) or "not a database" in str(error.orig):
            raise LedgerCorrupt(
                f"the ledger's database file is damaged ({_first_line(error)}). Stop Gurney, keep the file, and "
                "restore a backup or run sqlite3's .recover on a copy"
            ) from error
        if error.connection_invalidated:
            raise LedgerUnavailable(f"the ledger ({dialect}) closed the connection: {_first_line(error)}") from error
        raise


def _state(error: DBAPIError) -> str:
    """Return PostgreSQL's SQLSTATE; SQLite has none."""
    return getattr(error.orig, "sqlstate", None) or ""


def _first_line(error: DBAPIError) -> str:
    # The driver's own words; the statement and its parameters, which may name patients, stay out.
    return str(error.orig).strip().partition("\n")[0][:200]


def _find_file(database: str | None, *, create: bool) -> None:
    if not database or database == ":memory:":
        raise LedgerUnavailable(
            "the ledger must be a file that every process can open; an in-memory SQLite can't be shared"
        )
    try:
        if create:
            os.makedirs(os.path.dirname(os.path.abspath(database)), exist_ok=True)
        elif not os.path.exists(database):
            raise LedgerMismatch(f"there is no ledger at {database} yet: 'gurney up' or 'gurney migrate' makes it")
    except OSError as error:
        raise LedgerUnavailable(f"the folder of the ledger {database} can't be made: {error.strerror}") from error


def _sqlite_engine(url: str, *, read_only: bool) -> Engine:
    engine = create_engine(url, hide_parameters=True, connect_args={"timeout": 30.0})

    @event.listens_for(engine, "connect")
    def _prepare(dbapi: Any, _record: object) -> None:
        # The driver must not open transactions by itself: ours begin with BEGIN IMMEDIATE.
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA cache_size = -65536")
        cursor.execute("PRAGMA wal_autocheckpoint = 4000")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(conn: Connection) -> None:
        conn.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def _postgresql_engine(url: str, pool_size: int) -> Engine:
    engine = create_engine(
        url,
        hide_parameters=True,
        pool_size=pool_size,
        max_overflow=2,
        pool_timeout=30,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 10,
            "application_name": "gurney",
            # A server that has gone without a word (a firewall, a dead host) is noticed within a lease's time; the
            # kernel's own patience is a quarter of an hour, and a slot would wait it out.
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
            # No transaction of ours is long; one that hangs must not hold its locks for ever.
            "options": "-c lock_timeout=15s -c idle_in_transaction_session_timeout=60s -c statement_timeout=120s",
        },
    )

    @event.listens_for(engine, "handle_error")
    def _leave_what_is_read_only(context: ExceptionContext) -> None:
        # Another connection may find the server that took over, or settings that have been put right: these keep to
        # what was when they were made.
        if getattr(context.original_exception, "sqlstate", None) == _READ_ONLY:
            context.is_disconnect = True

    return engine
