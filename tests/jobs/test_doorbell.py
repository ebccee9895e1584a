"""The doorbell: bounded, quiet, and safe between threads and over forks."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gurney.errors import ConfigError
from gurney.jobs import Doorbell, EmbeddedBroker, Lane, make_app
from tests.services import require, wait_until
from tests.services.brokers import PortMapper, RabbitMq


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(str(tmp_path / "data")) as broker:
        yield broker


@pytest.fixture
def doorbell(broker: EmbeddedBroker) -> Iterator[Doorbell]:
    doorbell = Doorbell(make_app(broker.url), pause=0.05)
    yield doorbell
    doorbell.close()


def clients(broker: EmbeddedBroker) -> int:
    with redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        return len(client.client_list()) - 1


def test_a_ring_waits_in_its_queue(doorbell: Doorbell) -> None:
    assert doorbell.waiting("main", Lane.WORK) == 0
    assert doorbell.ring("main", Lane.WORK, "archive")
    assert doorbell.ring("main", Lane.WORK, "archive")
    assert doorbell.waiting("main", Lane.WORK) == 2
    assert doorbell.waiting("main", Lane.STAT) == 0


def test_a_message_carries_names_in_json_and_nothing_else(broker: EmbeddedBroker, doorbell: Doorbell) -> None:
    app = make_app(broker.url)
    assert doorbell.ring("main", Lane.WORK, "archive", spool="second")
    with app.connection_for_read() as connection:
        message = connection.default_channel.basic_get("main.work")
        assert message is not None
        assert message.content_type == "application/json"
        assert message.headers["task"] == "gurney.serve"
        assert message.headers["eta"] is None
        assert message.headers["expires"] is None
        arguments, keywords, _ = message.decode()
        assert arguments == []
        assert keywords == {"destination": "archive", "spool": "second"}


def test_connections_are_used_again(broker: EmbeddedBroker, doorbell: Doorbell) -> None:
    assert clients(broker) == 0
    assert doorbell.ring("main", Lane.WORK, "archive")
    at_first = clients(broker)
    for _ in range(20):
        assert doorbell.ring("main", Lane.WORK, "archive")
    assert clients(broker) == at_first
    doorbell.close()
    wait_until(lambda: clients(broker) == 0, what="the connections to be closed")
    assert doorbell.ring("main", Lane.WORK, "archive")


def test_an_impossible_pool_is_a_mistake_not_an_outage(doorbell: Doorbell) -> None:
    with pytest.raises(ConfigError, match="pool"):
        doorbell.ring("no.pool", Lane.WORK, "archive")


@pytest.mark.parametrize(
    "url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/broker.sock", "amqp://127.0.0.1:1//"]
)
def test_a_broker_that_is_away_costs_one_log_line_and_no_error(url: str, caplog: pytest.LogCaptureFixture) -> None:
    doorbell = Doorbell(make_app(url), pause=0)
    with caplog.at_level(logging.INFO, logger="gurney.jobs"):
        for _ in range(5):
            assert not doorbell.ring("main", Lane.WORK, "archive")
        assert doorbell.waiting("main", Lane.WORK) is None
    assert [record.message for record in caplog.records] == ["broker.lost"]


@pytest.mark.fault
def test_an_outage_is_logged_when_it_begins_and_when_it_ends(
    broker: EmbeddedBroker, doorbell: Doorbell, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="gurney.jobs.doorbell"):
        for _ in range(2):
            assert doorbell.ring("main", Lane.WORK, "archive")
            assert broker.pid is not None
            os.kill(broker.pid, signal.SIGKILL)
            wait_until(lambda: broker.pid is None, what="the broker to end")
            assert not doorbell.ring("main", Lane.WORK, "archive")
            assert not doorbell.ring("main", Lane.WORK, "archive")
            assert broker.ensure()
            wait_until(lambda: doorbell.ring("main", Lane.WORK, "archive"), what="the ring to be taken")
    told = [record.message for record in caplog.records if record.name == "gurney.jobs.doorbell"]
    assert told == ["broker.lost", "broker.found"] * 2


@pytest.mark.fault
def test_a_hung_broker_is_given_up_and_then_left_alone(broker: EmbeddedBroker) -> None:
    doorbell = Doorbell(make_app(broker.url), pause=600)
    assert doorbell.ring("main", Lane.WORK, "archive")
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGSTOP)
    assert not doorbell.ring("main", Lane.WORK, "archive")
    os.kill(broker.pid, signal.SIGCONT)
    # Within the pause nobody asks, so a thousand destinations don't each wait for a timeout.
    assert not doorbell.ring("main", Lane.WORK, "archive")
    assert doorbell.waiting("main", Lane.WORK) is None


@pytest.mark.fault
def test_a_peer_that_takes_connections_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        for scheme in ("redis", "amqp"):
            doorbell = Doorbell(make_app(f"{scheme}://127.0.0.1:{mute.getsockname()[1]}//"), pause=0)
            assert not doorbell.ring("main", Lane.WORK, "archive")


@pytest.mark.fault
def test_a_broker_out_of_memory_or_read_only_is_an_outage_like_any_other(
    broker: EmbeddedBroker, doorbell: Doorbell
) -> None:
    assert doorbell.ring("main", Lane.WORK, "archive")
    with redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        client.config_set("maxmemory", 1)
        assert not doorbell.ring("main", Lane.WORK, "archive")
        client.config_set("maxmemory", 0)
        wait_until(lambda: doorbell.ring("main", Lane.WORK, "archive"), what="the ring to be taken")
        client.replicaof("127.0.0.1", "1")
        assert not doorbell.ring("main", Lane.WORK, "archive")
        client.replicaof("NO", "ONE")
        wait_until(lambda: doorbell.ring("main", Lane.WORK, "archive"), what="the ring to be taken")


def test_a_queue_that_nobody_serves_stops_growing(broker: EmbeddedBroker, doorbell: Doorbell) -> None:
    for _ in range(3):
        assert doorbell.ring("main", Lane.WORK, "archive")
    modest = Doorbell(make_app(broker.url), most_waiting=3)
    assert modest.ring("main", Lane.WORK, "archive"), "a full queue is a ring that will be heard"
    assert modest.waiting("main", Lane.WORK) == 3
    assert modest.ring("main", Lane.STAT, "archive")
    assert modest.waiting("main", Lane.STAT) == 1, "other queues are not full"
    modest.close()


def test_threads_share_a_doorbell(broker: EmbeddedBroker, doorbell: Doorbell) -> None:
    heard: list[bool] = []

    def ring_often() -> None:
        heard.extend(doorbell.ring("main", Lane.WORK, "archive") for _ in range(50))

    threads = [threading.Thread(target=ring_often) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert heard == [True] * 200
    assert doorbell.waiting("main", Lane.WORK) == 200


FORKING = """
import os, signal, sys
from gurney.jobs import Doorbell, Lane, make_app

doorbell = Doorbell(make_app(sys.argv[1]))
assert doorbell.ring("main", Lane.WORK, "parent")
with doorbell._lock:  # as when another thread is just ringing
    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a lock that is never released
        good = all(doorbell.ring("main", Lane.WORK, "child") for _ in range(20))
        os._exit(0 if good else 1)
assert all(doorbell.ring("main", Lane.WORK, "parent") for _ in range(20))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert all(doorbell.ring("main", Lane.WORK, "parent") for _ in range(20))
print(doorbell.waiting("main", Lane.WORK))
"""


def fork_and_ring(url: str) -> int:
    done = subprocess.run([sys.executable, "-c", FORKING, url], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


def test_a_child_rings_through_a_connection_of_its_own(broker: EmbeddedBroker) -> None:
    assert fork_and_ring(broker.url) == 61


@pytest.mark.slow
@pytest.mark.fault
def test_rabbitmq_confirms_rings_and_is_given_up_when_it_blocks(tmp_path: Path) -> None:
    require("epmd", "rabbitmq-server")
    (tmp_path / "node").mkdir()
    with PortMapper(tmp_path) as mapper, RabbitMq(tmp_path / "node", mapper) as server:
        assert fork_and_ring(server.url) == 61
        doorbell = Doorbell(make_app(server.url), pause=0)
        assert doorbell.ring("main", Lane.WORK, "archive")
        server.pause()
        assert not doorbell.ring("main", Lane.WORK, "archive")
        server.resume()
        wait_until(lambda: doorbell.ring("main", Lane.WORK, "archive"), 30, "the ring to be taken")
        doorbell.close()
