"""A server program that never outlives the process that started it, not even by a kill -9."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import Final

from gurney.jobs.errors import ServerStartError

__all__ = ["TiedProcess"]

# The kernel kills the server when its parent ends (PR_SET_PDEATHSIG, prctl(2)). Three things decide how to ask for it:
# - The setting is lost at a fork and kept over an exec, so the child itself must ask and then become the server. A
#   preexec_fn would run Python between fork and exec, where another thread may hold any lock, and setpriv(1) is not
#   everywhere. So the child is first a bare interpreter, which asks and then execs the server: the process id stays.
# - "Parent" is the *thread* that forked. So a thread of our own forks, then waits for the server, and can't end before.
# - A parent that dies before the child has asked sends nothing. So the child looks for its parent afterwards.
_BECOME_TIED: Final = """
import ctypes, os, signal, sys
parent, program = int(sys.argv[1]), sys.argv[2]
PR_SET_PDEATHSIG = 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
if os.getppid() != parent:
    sys.exit("the process that started this server has ended")
os.execv(program, sys.argv[2:])
"""

_OUTPUT_BYTES: Final = 2000


class TiedProcess:
    """One run of a server program. Its output is kept for the error that may need it."""

    def __init__(self, arguments: Sequence[str], *, folder: str) -> None:
        """Start ``arguments`` (a program's full path and what follows it) in ``folder``.

        Raises :class:`ServerStartError` when not even a process can be made.
        """
        self._owner = os.getpid()
        self._ended = threading.Event()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        started = threading.Event()
        threading.Thread(
            target=self._stand_by, args=(list(arguments), folder, started), name="gurney-broker", daemon=True
        ).start()
        started.wait()
        if self._process is None:
            self._output.close()
            raise ServerStartError(f"{arguments[0]} can't be started: {self._failure}") from self._failure

    def _stand_by(self, arguments: list[str], folder: str, started: threading.Event) -> None:
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _BECOME_TIED, str(self._owner), *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._output,
                # Ctrl-C is for us: while we drain, the workers still need their broker.
                start_new_session=True,
            )
        except OSError as error:
            self._failure = error
        finally:
            started.set()
        if self._process is not None:
            self._process.wait()
            self._ended.set()

    @property
    def pid(self) -> int:
        """The server's process id."""
        assert self._process is not None  # noqa: S101  # the constructor made sure
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Tell whether the server is gone."""
        return self._ended.is_set()

    def printed(self) -> str:
        """Give the end of what the server has printed."""
        size = os.fstat(self._output.fileno()).st_size
        tail = os.pread(self._output.fileno(), _OUTPUT_BYTES, max(0, size - _OUTPUT_BYTES))
        return tail.decode("utf-8", "replace").strip()

    def wait(self, timeout: float) -> bool:
        """Wait for the server to end; tell whether it did within ``timeout`` seconds."""
        return self._ended.wait(timeout)

    def stop(self, timeout: float) -> None:
        """Ask the server to end, make it after ``timeout`` seconds, and wait for it. A second call does nothing.

        In a forked child this does nothing either: the server is the parent's.
        """
        if os.getpid() != self._owner or self._process is None:
            return
        self._process.terminate()
        if not self.wait(timeout):
            self._process.kill()
            self._ended.wait()
        self._output.close()
