"""Services that serve a whole module of the chain."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.conftest import make_site
from tests.services import require
from tests.services.brokers import RedisServer

__all__ = ["make_site", "redis_for_module"]


@pytest.fixture(scope="module")
def redis_for_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis without persistence."""
    require("redis-server")
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server
