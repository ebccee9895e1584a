"""A private PostgreSQL cluster."""

from __future__ import annotations

import itertools
import os
import pwd
import signal
import subprocess
from pathlib import Path

import psycopg

from tests.services.ports import LOOPBACK
from tests.services.presence import program
from tests.services.process import Service, leash

__all__ = ["PostgreSql"]

_ROLE = "gurney"


class PostgreSql(Service):
    """A cluster of its own, on loopback and on a unix socket in its folder, as durable as in production.

    PostgreSQL refuses to run as root: then everything runs as `postgres`, the user that Debian's package makes, and
    the folder must be one that this user can reach (pytest's temporary folders are not).
    """

    name = "postgres"
    start_timeout = 60.0
    # "Immediate shutdown": the server's children notice a lost postmaster, but shared memory would stay behind.
    death_signal = "QUIT"

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self._data = folder / "data"
        self._user = "postgres" if os.geteuid() == 0 else None
        self._names = (f"test_{number}" for number in itertools.count(1))

    def create_cluster(self) -> None:
        """Lay out the data folder; call it once, before the first start."""
        if self._user is not None:
            account = pwd.getpwnam(self._user)
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        initdb = [program("initdb"), "--pgdata", str(self._data), "--username", _ROLE, "--auth", "trust"]
        options = ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        made = subprocess.run(
            [*leash("KILL", user=self._user), *initdb, *options], cwd=self.folder, capture_output=True, check=False
        )
        assert made.returncode == 0, f"initdb failed: {made.stderr.decode(errors='replace')}"

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": str(self.folder),
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        postgres = [program("postgres"), "-D", str(self._data), "-p", str(self.port), *options]
        return [*leash(self.death_signal, user=self._user), *postgres]

    def is_ready(self) -> bool:
        try:
            with psycopg.connect(self._dsn("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:  # not listening yet, or still recovering
            return False

    def stop(self, how: signal.Signals = signal.SIGINT, *, timeout: float = 20.0) -> None:
        """Shut down; the default, SIGINT, is PostgreSQL's "fast": it does not wait for clients to leave."""
        super().stop(how, timeout=timeout)

    def discard(self) -> None:
        """Shut down rather than kill: its children are sessions of their own, and shared memory would stay behind."""
        self.stop()

    def restart_immediately(self) -> None:
        """Crash and recover, as `pg_ctl restart -m immediate` does: sessions die, what was committed stays."""
        self.stop(signal.SIGQUIT)
        self.start()

    def create_database(self) -> str:
        """Make an empty database and return its SQLAlchemy URL."""
        name = next(self._names)
        self._administer(f"CREATE DATABASE {name}")
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Drop a database by its URL, whoever is still connected."""
        self._administer(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of one database, over TCP."""
        return f"postgresql+psycopg://{_ROLE}@{LOOPBACK}:{self.port}/{database}"

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _dsn(self, database: str) -> str:
        return f"host={LOOPBACK} port={self.port} user={_ROLE} dbname={database}"
