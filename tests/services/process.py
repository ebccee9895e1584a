"""One external program under a test's control."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.services.ports import LOOPBACK, accepts_connections, free_port
from tests.services.waiting import wait_until

__all__ = ["Service"]


class Service(ABC):
    """Run one program in a session of its own, on one port that it keeps over restarts.

    A context manager: entering starts, leaving ends the whole process group. A test run that is itself killed takes
    its services along, because each asks the kernel for a signal on its parent's death. That parent is the *thread*
    that called `start`, so start services from a thread that outlives them.
    """

    name: ClassVar[str]
    host: ClassVar[str] = LOOPBACK
    start_timeout: ClassVar[float] = 30.0
    death_signal: ClassVar[str] = "KILL"

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port if port is not None else free_port()
        self.log = folder / f"{self.name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """Give the command line; it must stay in the foreground."""

    def environment(self) -> Mapping[str, str]:
        """Give the program's environment."""
        return os.environ

    def is_ready(self) -> bool:
        """Tell whether the program answers; by default, whether its port takes connections."""
        return accepts_connections(self.port)

    @property
    def is_running(self) -> bool:
        """Whether the process lives, answering or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id, which is also its group's; raises AssertionError when stopped."""
        assert self._process is not None, f"{self.name} is not running"
        return self._process.pid

    def start(self) -> None:
        """Start and wait until it answers; nothing happens if it runs already.

        Raises AssertionError with the end of the program's log if it exits or stays silent.
        """
        if self.is_running:
            return
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*leash(self.death_signal), *self.command()],
                cwd=self.folder,
                env=dict(self.environment()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        try:
            wait_until(
                lambda: process.poll() is not None or self.is_ready(), self.start_timeout, f"{self.name} to start"
            )
            assert process.poll() is None, f"{self.name} exited with {process.returncode} instead of starting"
        except AssertionError as error:
            self.kill()
            raise AssertionError(f"{error}; its log ends:\n{self.log_tail()}") from None

    def stop(self, how: signal.Signals = signal.SIGTERM, *, timeout: float = 20.0) -> None:
        """Ask it to end and wait; what has not ended after `timeout` seconds is killed."""
        if self._process is None:
            return
        self._signal_group(signal.SIGCONT)
        if self.is_running:
            self._process.send_signal(how)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """End the whole process group with SIGKILL; nothing happens if it is gone."""
        if self._process is None:
            return
        self._signal_group(signal.SIGKILL)
        self._process.wait()
        self._process = None
        # Children that it forked hold its listening socket until they have ended, too.
        wait_until(lambda: not accepts_connections(self.port), 10.0, f"{self.name} to end")

    def discard(self) -> None:
        """End it for good, the quick way: what it would still write is not wanted."""
        self.kill()

    def restart(self) -> None:
        """Stop in good order and start again on the same port."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Freeze the process group: connections stay open, nothing answers."""
        self._signal_group(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process group go on."""
        self._signal_group(signal.SIGCONT)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines the program printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()

    def _signal_group(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):  # the group may have ended by itself
            os.killpg(self._process.pid, number)


def leash(death_signal: str, *, user: str | None = None) -> list[str]:
    """Give the command prefix that ties a child to its parent's life, and runs it as another user.

    util-linux does both without a hook between fork and exec, which is unsafe once threads run.
    """
    setpriv = shutil.which("setpriv")
    if setpriv is None:  # BusyBox and macOS have none: then only an orderly end of the tests stops the service
        return []
    identity = [f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
    return [setpriv, *identity, f"--pdeathsig={death_signal}", "--"]
