"""Each real part answers, keeps its port over a restart, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import amqp
import psycopg
import pydicom
import pytest
import redis
import sqlalchemy
from pydicom.data import get_testdata_file

from tests.services import Service, accepts_connections, find_binary, free_port, program, require, wait_until
from tests.services.brokers import RabbitMq, RedisServer
from tests.services.dcmjs import DcmjsStoreScp
from tests.services.dcmtk import DcmQrScp, StoreScp
from tests.services.orthanc import Orthanc
from tests.services.postgresql import PostgreSql


class Listener(Service):
    """A small program that listens, and has a child which would outlive it."""

    name = "listener"

    def command(self) -> list[str]:
        script = (
            "import socket, subprocess, sys\n"
            "child = subprocess.Popen(['sleep', '60'])\n"
            "print(child.pid, flush=True)\n"
            "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
            "while True: server.accept()[0].close()\n"
        )
        return [sys.executable, "-c", script, str(self.port)]


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    with Listener(tmp_path) as service:
        yield service


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended but was not reaped yet does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def store(peer: StoreScp | DcmQrScp | Orthanc | DcmjsStoreScp, *files: Path) -> None:
    require("storescu")
    subprocess.run(
        [program("storescu"), "-aec", peer.ae_title, peer.host, str(peer.port), *map(str, files)],
        check=True,
        timeout=60,
    )


def dataset_bytes(part10: bytes) -> bytes:
    """Cut off preamble and group 2, whose length is in its first element (PS3.10 7.1)."""
    return part10[144 + int.from_bytes(part10[140:144], "little") :]


class TestService:
    def test_starting_twice_is_starting_once(self, listener: Listener) -> None:
        first = listener.pid
        listener.start()
        assert listener.pid == first

    def test_the_port_stays_over_a_restart(self, listener: Listener) -> None:
        port, pid = listener.port, listener.pid
        listener.restart()
        assert (listener.port, accepts_connections(port)) == (port, True)
        assert listener.pid != pid

    @pytest.mark.parametrize("end", ["kill", "stop"])
    def test_children_end_with_the_service(self, listener: Listener, end: str) -> None:
        child = int(listener.log.read_text())
        assert is_alive(child)
        getattr(listener, end)()
        assert not listener.is_running
        wait_until(lambda: not is_alive(child), what="the child to end")

    def test_a_paused_service_can_be_stopped(self, listener: Listener) -> None:
        listener.pause()
        listener.stop()
        assert not accepts_connections(listener.port)

    def test_a_program_that_exits_is_reported_with_its_log(self, tmp_path: Path) -> None:
        class Broken(Listener):
            def command(self) -> list[str]:
                return [sys.executable, "-c", "raise SystemExit('no such planet')"]

        with pytest.raises(AssertionError, match=r"(?s)exited with 1 instead of starting.*no such planet"):
            Broken(tmp_path).start()

    def test_a_killed_test_run_takes_its_services_along(self, tmp_path: Path) -> None:
        require("setpriv")
        script = (
            "import pathlib, sys, time\n"
            "from tests.test_services import Listener\n"
            "service = Listener(pathlib.Path(sys.argv[1]))\n"
            "service.start()\n"
            "print(service.pid, flush=True)\n"
            "time.sleep(60)\n"
        )
        root = Path(__file__).parents[1]
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], cwd=root, stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            service = int(run.stdout.readline())
            child = int((tmp_path / "listener.log").read_text())
            assert is_alive(service)
            run.kill()
        wait_until(lambda: not is_alive(service), what="the orphan to end")
        os.kill(child, signal.SIGKILL)  # a grandchild is not leashed; only the service's own process is


class TestRequire:
    def test_what_is_there_passes(self) -> None:
        require("sh")

    def test_what_is_missing_skips_with_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "")
        monkeypatch.setattr("tests.services.presence.find_binary", lambda name: None)
        with pytest.raises(pytest.skip.Exception, match="storescp not found: apt-get install dcmtk"):
            require("storescp")

    def test_what_is_missing_fails_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="gurney-no-such-program not found"):
            require("gurney-no-such-program")

    def test_scripts_of_a_virtual_environment_do_not_shadow_programs(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        for name in ("venv", "system"):
            program_there = tmp_path / name / "bin" / "storescp"
            program_there.parent.mkdir(parents=True)
            program_there.touch(mode=0o755)
        (tmp_path / "venv" / "pyvenv.cfg").touch()
        monkeypatch.setenv("PATH", f"{tmp_path / 'venv/bin'}:{tmp_path / 'system/bin'}")
        assert find_binary("storescp") == str(tmp_path / "system/bin/storescp")

    def test_postgresql_is_found_off_the_path(self, monkeypatch: pytest.MonkeyPatch) -> None:
        require("postgres")
        monkeypatch.setenv("PATH", "/nowhere")
        assert find_binary("postgres") is not None


class TestWaitUntil:
    def test_returns_what_the_predicate_gave(self) -> None:
        assert wait_until(iter([0, "", "there"]).__next__) == "there"

    def test_says_what_was_awaited_and_seen(self) -> None:
        with pytest.raises(AssertionError, match="in vain for the moon; last seen: \\[\\]"):
            wait_until(list, timeout=0.05, what="the moon")


class TestPorts:
    def test_no_port_is_given_twice(self) -> None:
        ports = [free_port() for _ in range(200)]
        assert len(set(ports)) == len(ports)

    def test_another_run_is_not_given_what_this_one_has(self) -> None:
        port = free_port()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other, pytest.raises(OSError, match="in use"):
            other.bind(f"\0gurney-test-port-{port}")


class TestPostgreSql:
    def test_each_test_gets_an_empty_database(self, postgres_url: str, postgres: PostgreSql) -> None:
        other = postgres.create_database()
        assert postgres_url != other
        assert postgres_url.startswith("postgresql+psycopg://")
        with self.connect(postgres_url) as connection:
            assert connection.execute("SHOW fsync").fetchone() == ("on",)
            assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        postgres.drop_database(other)
        with pytest.raises(psycopg.OperationalError, match="does not exist"):
            self.connect(other)

    def test_an_immediate_restart_keeps_what_was_committed(self, postgres_url: str, postgres: PostgreSql) -> None:
        with self.connect(postgres_url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
            connection.commit()
            connection.execute("INSERT INTO kept VALUES (43)")
            postgres.restart_immediately()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with self.connect(postgres_url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchall() == [(42,)]

    @staticmethod
    def connect(url: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(url.replace("+psycopg", ""))


def test_ledger_url_gives_an_empty_database(ledger_url: str) -> None:
    engine = sqlalchemy.create_engine(ledger_url)
    try:
        assert sqlalchemy.inspect(engine).get_table_names() == []
    finally:
        engine.dispose()


class TestRedis:
    def test_answers_and_forgets(self, redis_server: RedisServer) -> None:
        with redis_server.client() as client:
            client.set("key", "value")
            redis_server.flush()
            assert client.get("key") is None

    def test_killed_and_started_it_is_empty_at_the_same_address(self, redis_server: RedisServer) -> None:
        url = redis_server.url
        with redis_server.client() as client:
            client.set("key", "value")
            redis_server.kill()
            with pytest.raises(redis.ConnectionError):
                client.get("key")
            redis_server.start()
            assert client.get("key") is None
        assert redis_server.url == url


@pytest.mark.slow
def test_rabbitmq_takes_a_message(rabbitmq: RabbitMq) -> None:
    with amqp.Connection(f"{rabbitmq.host}:{rabbitmq.port}", "guest", "guest") as connection:
        channel = connection.channel()
        channel.queue_declare("bell", auto_delete=False)
        channel.basic_publish(amqp.Message("ring"), routing_key="bell")
        assert wait_until(lambda: channel.basic_get("bell", no_ack=True), what="the message").body == "ring"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """A small CT image without trailing padding, which DCMTK's sender would strip."""
    dataset = pydicom.dcmread(str(get_testdata_file("CT_small.dcm")))
    del dataset["DataSetTrailingPadding"]
    path = tmp_path / "image.dcm"
    dataset.save_as(path)
    return path


@pytest.mark.peer
class TestPeers:
    def test_orthanc_keeps_the_bytes_over_a_crash(self, orthanc: Orthanc, image: Path) -> None:
        assert orthanc.sop_instance_uids() == set()
        store(orthanc, image)
        orthanc.kill()
        assert not accepts_connections(orthanc.port)
        orthanc.start()
        (sop_instance_uid,) = orthanc.sop_instance_uids()
        assert dataset_bytes(orthanc.instance_file(sop_instance_uid)) == dataset_bytes(image.read_bytes())

    def test_storescp_writes_each_delivery(self, storescp: StoreScp, image: Path) -> None:
        store(storescp, image)
        store(storescp, image)
        assert len(storescp.files()) == 2
        assert {dataset_bytes(path.read_bytes()) for path in storescp.files()} == {dataset_bytes(image.read_bytes())}

    def test_dcmqrscp_keeps_the_bytes(self, dcmqrscp: DcmQrScp, image: Path) -> None:
        store(dcmqrscp, image)
        assert [dataset_bytes(path.read_bytes()) for path in dcmqrscp.files()] == [dataset_bytes(image.read_bytes())]

    def test_dcmjs_dimse_keeps_the_bytes(self, dcmjs_dimse: DcmjsStoreScp, image: Path) -> None:
        store(dcmjs_dimse, image)
        store(dcmjs_dimse, image)
        sop_instance_uid = pydicom.dcmread(image).SOPInstanceUID
        assert dcmjs_dimse.datasets() == {sop_instance_uid: [dataset_bytes(image.read_bytes())] * 2}
        assert dcmjs_dimse.transfer_syntax_uids() == {sop_instance_uid: "1.2.840.10008.1.2.1"}
