"""Brokers for the doorbell: Redis and RabbitMQ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import amqp
import redis

from tests.services.ports import LOOPBACK, accepts_connections, free_port
from tests.services.presence import program
from tests.services.process import Service

__all__ = ["PortMapper", "RabbitMq", "RedisServer"]


class RedisServer(Service):
    """Redis without persistence: what it held is gone after every stop."""

    name = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://{LOOPBACK}:{self.port}/0"

    def command(self) -> list[str]:
        network = ["--bind", LOOPBACK, "--port", str(self.port)]
        return [program("redis-server"), *network, "--dir", str(self.folder), "--save", "", "--appendonly", "no"]

    def is_ready(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def client(self) -> redis.Redis:
        """Open a client; close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def flush(self) -> None:
        """Forget everything, as FLUSHALL by an operator's hand does."""
        with self.client() as client:
            client.flushall()


class PortMapper(Service):
    """Erlang's port mapper, which a RabbitMQ node needs; ours, because the default one daemonizes and stays."""

    name = "epmd"

    def command(self) -> list[str]:
        return [program("epmd"), "-address", LOOPBACK, "-port", str(self.port)]


class RabbitMq(Service):
    """A RabbitMQ node of its own, with its own cookie, data folder and port mapper. Starting takes seconds."""

    name = "rabbitmq-server"
    start_timeout = 90.0

    def __init__(self, folder: Path, mapper: PortMapper, *, port: int | None = None) -> None:
        super().__init__(folder, port=port)
        self._mapper = mapper
        self._distribution_port = free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@{LOOPBACK}:{self.port}//"

    def command(self) -> list[str]:
        # Debian's wrapper on the PATH insists on its own user and log folder; the script beneath does not.
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"]

    def environment(self) -> Mapping[str, str]:
        plugins = self.folder / "enabled_plugins"
        plugins.write_text("[].\n")
        return {
            **os.environ,
            "HOME": str(self.folder),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(self._mapper.port),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_NODENAME": f"gurney{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": LOOPBACK,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            # Makes the script become the Erlang machine, so that a signal reaches it and not a shell around it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }

    def is_ready(self) -> bool:
        if not accepts_connections(self.port):
            return False
        try:
            with amqp.Connection(f"{LOOPBACK}:{self.port}", "guest", "guest", connect_timeout=5):
                return True
        except (OSError, amqp.AMQPError):  # it listens some moments before it lets anyone in
            return False
