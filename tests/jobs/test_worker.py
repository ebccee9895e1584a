"""A real worker behind a real broker: rings arrive, and nothing that happens to the broker or a message ends it."""

from __future__ import annotations

import base64
import json
import os
import pickle
import signal
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gurney.errors import ConfigError
from gurney.jobs import SERVE_TASK, Doorbell, EmbeddedBroker, Lane, PoolKind, make_app, queue_name, worker_arguments
from tests.jobs.rung_worker import RungWorker
from tests.services import require, wait_until
from tests.services.brokers import PortMapper, RabbitMq, RedisServer

RECOVERY = 30.0  # a bound against hanging; a recovery takes one to three seconds


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker(str(tmp_path / "data")) as broker:
        yield broker


@pytest.fixture
def doorbell(broker: EmbeddedBroker) -> Iterator[Doorbell]:
    doorbell = Doorbell(make_app(broker.url), pause=0.05)
    yield doorbell
    doorbell.close()


@pytest.fixture
def worker(tmp_path: Path, broker: EmbeddedBroker) -> Iterator[RungWorker]:
    with RungWorker(tmp_path / "worker", broker.url) as worker:
        yield worker


def ring(doorbell: Doorbell, destination: str, lane: Lane = Lane.WORK) -> None:
    """Ring until the broker takes it, as the reconciler does."""
    wait_until(lambda: doorbell.ring("main", lane, destination), RECOVERY, f"the ring for {destination} to be taken")


def serves(worker: RungWorker, doorbell: Doorbell, destination: str) -> None:
    """Ring until it is served."""

    def rung() -> bool:
        doorbell.ring("main", Lane.WORK, destination)
        return destination in worker.ended()

    wait_until(rung, RECOVERY, f"{destination} to be served", interval=0.3)
    assert worker.is_running


def test_a_ring_brings_the_destination_and_the_spool(worker: RungWorker, doorbell: Doorbell) -> None:
    assert doorbell.ring("main", Lane.WORK, "archive")
    assert doorbell.ring("main", Lane.STAT, "archive", spool="second")
    wait_until(lambda: len(worker.ended()) == 2, RECOVERY, "two rings to be served")
    assert sorted(worker.began()) == [("archive", "main"), ("archive", "second")]
    assert doorbell.waiting("main", Lane.WORK) == 0


def test_prefork_children_begin_after_the_fork(worker: RungWorker, doorbell: Doorbell) -> None:
    serves(worker, doorbell, "archive")
    assert [line.split()[1] for line in worker.begun_in()] == ["False"]


def test_no_ring_is_held_behind_a_busy_slot_and_stat_is_heard_first(worker: RungWorker, doorbell: Doorbell) -> None:
    ring(doorbell, "hold-a", Lane.STAT)
    wait_until(worker.began, RECOVERY, "the slot to be busy")
    for destination in ("b", "c"):
        ring(doorbell, destination)
    ring(doorbell, "urgent", Lane.STAT)
    # Nothing prefetched: an idle worker next door would find all of them.
    assert doorbell.waiting("main", Lane.WORK) == 2
    assert doorbell.waiting("main", Lane.STAT) == 1
    worker.let_go("a")
    wait_until(lambda: len(worker.ended()) == 4, RECOVERY, "all four rings to be served")
    assert [destination for destination, _ in worker.began()] == ["hold-a", "urgent", "b", "c"]


@pytest.mark.fault
def test_the_worker_outlives_its_broker_and_ends_the_batch_at_hand(
    broker: EmbeddedBroker, worker: RungWorker, doorbell: Doorbell
) -> None:
    ring(doorbell, "hold-a")
    wait_until(worker.began, RECOVERY, "the batch to begin")
    assert broker.pid is not None
    os.kill(broker.pid, signal.SIGKILL)
    wait_until(lambda: broker.pid is None, RECOVERY, "the broker's end to be seen")
    wait_until(lambda: "Connection to broker lost" in worker.log(), RECOVERY, "the worker to see it, too")
    assert not doorbell.ring("main", Lane.WORK, "b")
    assert broker.ensure()
    worker.let_go("a")
    serves(worker, doorbell, "b")
    # The batch at hand ran once: it was acknowledged before it began, so no broker can hand it out again.
    assert worker.began().count(("hold-a", "main")) == 1
    assert worker.ended().count("hold-a") == 1


@pytest.mark.fault
def test_the_worker_outlives_a_broker_that_ends_between_a_ring_and_its_acknowledgement(
    broker: EmbeddedBroker, doorbell: Doorbell, tmp_path: Path
) -> None:
    with RungWorker(tmp_path / "worker", broker.url, concurrency=2) as worker:
        children = [
            int(line.split()[0]) for line in wait_until(lambda: two_of(worker.begun_in()), RECOVERY, "children")
        ]
        for child in children:
            os.kill(child, signal.SIGSTOP)
        # Taken by the worker, which asks for a second one at once, and not yet by a child: not acknowledged.
        ring(doorbell, "taken")
        wait_until(lambda: doorbell.waiting("main", Lane.WORK) == 0, RECOVERY, "the ring to be taken")
        assert broker.pid is not None
        os.kill(broker.pid, signal.SIGKILL)
        wait_until(lambda: "Connection to broker lost" in worker.log(), RECOVERY, "the worker to see the broker's end")
        wait_until(broker.ensure, RECOVERY, "the broker to be back")
        for child in children:
            os.kill(child, signal.SIGCONT)
        serves(worker, doorbell, "archive")


def two_of(lines: list[str]) -> list[str]:
    return lines if len(lines) == 2 else []


@pytest.mark.fault
def test_flushall_loses_rings_but_not_the_line(broker: EmbeddedBroker, tmp_path: Path, doorbell: Doorbell) -> None:
    ring(doorbell, "lost")
    with redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        client.flushall()
        with RungWorker(tmp_path / "worker", broker.url) as worker:
            serves(worker, doorbell, "a")
            client.flushall()  # and now under a worker and a doorbell that have declared their queues
            serves(worker, doorbell, "b")
    assert ("lost", "main") not in worker.began()


@pytest.mark.fault
def test_forged_messages_are_refused_and_do_not_end_the_worker(
    broker: EmbeddedBroker, worker: RungWorker, doorbell: Doorbell, tmp_path: Path
) -> None:
    witness = tmp_path / "pickle-was-loaded"

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(witness),)

    pickled = base64.b64encode(pickle.dumps(((Trap(),), {}, {}))).decode()
    arguments = base64.b64encode(json.dumps(([], {}, {})).encode()).decode()
    forged = [
        message(SERVE_TASK, pickled, "application/x-python-serialize", "binary"),
        message("os.system", arguments),
        message(SERVE_TASK, arguments),  # without the arguments that the task takes
        message(SERVE_TASK, base64.b64encode(b"{not json").decode()),
        json.dumps({"body": "", "headers": {}, "properties": {"delivery_info": {}, "delivery_tag": "1"}}),
    ]
    with redis.Redis(unix_socket_path=broker.url.removeprefix("redis+socket://")) as client:
        for each in forged:
            client.lpush(queue_name("main", Lane.WORK), each)
    serves(worker, doorbell, "archive")
    assert not witness.exists()
    assert {destination for destination, _ in worker.began()} == {"archive"}
    assert doorbell.waiting("main", Lane.WORK) == 0


def message(task: str, body: str, content_type: str = "application/json", encoding: str = "utf-8") -> str:
    """Write a task message as it lies in Redis (Celery's message protocol 2)."""
    identity = str(uuid.uuid4())
    return json.dumps(
        {
            "body": body,
            "content-encoding": encoding,
            "content-type": content_type,
            "headers": {"lang": "py", "task": task, "id": identity, "root_id": identity, "argsrepr": "", "retries": 0},
            "properties": {
                "correlation_id": identity,
                "reply_to": "",
                "delivery_mode": 1,
                "delivery_info": {"exchange": "", "routing_key": "main.work"},
                "priority": 0,
                "body_encoding": "base64",
                "delivery_tag": identity,
            },
        }
    )


@pytest.mark.parametrize("pool_kind", [PoolKind.THREADS, PoolKind.SOLO])
def test_other_kinds_of_slots_answer_too(
    pool_kind: PoolKind, tmp_path: Path, broker: EmbeddedBroker, doorbell: Doorbell
) -> None:
    with RungWorker(tmp_path / "worker", broker.url, pool_kind=pool_kind) as worker:
        serves(worker, doorbell, "archive")
        assert [line.split()[1] for line in worker.begun_in()] == ["True"]


def test_arguments_name_queues_slots_and_a_node_of_its_own() -> None:
    both = worker_arguments("main", [Lane.WORK, Lane.STAT], concurrency=3)
    assert {"worker", "--queues=main.stat,main.work", "--pool=prefork", "--concurrency=3"} <= set(both)
    stat = worker_arguments("main", [Lane.STAT], concurrency=1, pool_kind=PoolKind.SOLO)
    assert {"worker", "--queues=main.stat", "--pool=solo"} <= set(stat)
    assert not {each for each in stat if each.startswith("--hostname")} & set(both)


def test_an_impossible_pool_starts_nothing() -> None:
    with pytest.raises(ConfigError, match="pool"):
        worker_arguments("no.pool", Lane, concurrency=1)


@pytest.mark.filterwarnings("ignore:You're running the worker with superuser privileges")  # as in a container
def test_in_one_process_threads_answer() -> None:
    app = make_app("memory://")
    served: list[str] = []

    @app.task(name=SERVE_TASK)  # type: ignore[untyped-decorator]  # Celery is untyped
    def serve(destination: str, spool: str) -> None:
        served.append(destination)

    arguments = worker_arguments("main", Lane, concurrency=2, pool_kind=PoolKind.THREADS)
    worker = threading.Thread(target=app.worker_main, args=(arguments,), daemon=True)
    worker.start()
    doorbell = Doorbell(app)
    wait_until(lambda: doorbell.ring("main", Lane.WORK, "archive") and served, RECOVERY, "a ring to be served")
    assert set(served) == {"archive"}
    app.control.shutdown()
    worker.join(RECOVERY)
    assert not worker.is_alive()


@pytest.mark.fault
def test_redis_over_tcp_may_be_killed_and_come_back(tmp_path: Path) -> None:
    require("redis-server")
    with RedisServer(tmp_path) as server, RungWorker(tmp_path / "worker", server.url) as worker:
        doorbell = Doorbell(make_app(server.url), pause=0.05)
        serves(worker, doorbell, "a")
        server.kill()
        assert not doorbell.ring("main", Lane.WORK, "b")
        server.start()
        serves(worker, doorbell, "c")
        doorbell.close()


@pytest.mark.fault
@pytest.mark.slow
def test_rabbitmq_may_be_killed_and_come_back(tmp_path: Path) -> None:
    require("epmd", "rabbitmq-server")
    (tmp_path / "node").mkdir()
    with (
        PortMapper(tmp_path) as mapper,
        RabbitMq(tmp_path / "node", mapper) as server,
        RungWorker(tmp_path / "worker", server.url) as worker,
    ):
        doorbell = Doorbell(make_app(server.url), pause=0.05)
        serves(worker, doorbell, "a")
        server.kill()
        assert not doorbell.ring("main", Lane.WORK, "b")
        server.start()
        serves(worker, doorbell, "c")
        doorbell.close()
