"""Fixtures for the real parts that tests talk to; each skips with its reason where the program is missing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import require
from tests.services.brokers import PortMapper, RabbitMq, RedisServer
from tests.services.dcmjs import DcmjsStoreScp, installed_node_modules
from tests.services.dcmtk import DcmQrScp, StoreScp
from tests.services.orthanc import Orthanc
from tests.services.postgresql import PostgreSql

pytest_plugins = ["tests.matrix"]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgreSql]:
    """One PostgreSQL cluster for the whole run; a test that restarts it must leave it running."""
    require("initdb", "postgres")
    # Not pytest's folder: only its owner may enter that one, and PostgreSQL runs as another user.
    with tempfile.TemporaryDirectory(prefix="gurney-pg-") as folder:
        cluster = PostgreSql(Path(folder))
        cluster.create_cluster()
        with cluster:
            yield cluster


@pytest.fixture
def postgres_url(postgres: PostgreSql) -> Iterator[str]:
    """The SQLAlchemy URL of an empty PostgreSQL database of this test's own."""
    url = postgres.create_database()
    yield url
    postgres.start()  # a test may have ended in the middle of a crash
    postgres.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database; the test runs once on SQLite and once on PostgreSQL."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres_url")
        return url
    return f"sqlite:///{tmp_path / 'ledger.sqlite3'}"


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis without persistence."""
    require("redis-server")
    with RedisServer(_folder(tmp_path, "redis")) as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMq]:
    """One RabbitMQ node for the whole run, started only if a test asks: it takes some seconds."""
    require("rabbitmq-server", "epmd")
    with (
        PortMapper(tmp_path_factory.mktemp("epmd")) as mapper,
        RabbitMq(tmp_path_factory.mktemp("rabbitmq"), mapper) as node,
    ):
        yield node


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    """An empty Orthanc."""
    require("Orthanc")
    with Orthanc(_folder(tmp_path, "orthanc")) as archive:
        yield archive


@pytest.fixture
def storescp(tmp_path: Path) -> Iterator[StoreScp]:
    """DCMTK's storescp, bit-preserving."""
    require("storescp")
    with StoreScp(_folder(tmp_path, "storescp")) as peer:
        yield peer


@pytest.fixture
def dcmqrscp(tmp_path: Path) -> Iterator[DcmQrScp]:
    """DCMTK's small archive, empty."""
    require("dcmqrscp")
    with DcmQrScp(_folder(tmp_path, "dcmqrscp")) as archive:
        yield archive


@pytest.fixture
def dcmjs_dimse(tmp_path: Path) -> Iterator[DcmjsStoreScp]:
    """A Storage SCP on Node.js."""
    require("node", "npm")
    with DcmjsStoreScp(_folder(tmp_path, "dcmjs"), installed_node_modules()) as peer:
        yield peer


def _folder(parent: Path, name: str) -> Path:
    folder = parent / name
    folder.mkdir()
    return folder
