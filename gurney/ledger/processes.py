"""What a process is called in the ledger, so that its neighbours can tell when it is gone without any doubt.

A lease runs out after a minute, because from afar a dead worker looks like a slow one. On its own host it does not: the
kernel knows. A name says where and which: the host, the boot and process namespace in which its number counts (two
containers may share a host's name), the number, and when it began (numbers are used again).
"""

from __future__ import annotations

import hashlib
import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

__all__ = ["ProcessName"]

_PARTS = 5
# Of /proc/<pid>/stat, counted behind the name of the program, which may hold anything: proc(5), fields 3 and 22.
_STATE, _STARTED = 0, 19
_ENDED = frozenset({"Z", "X", "x"})


@dataclass(frozen=True, slots=True)
class ProcessName:
    """A process and what it does, ``host:pid:started:place:role`` in the ledger.

    ``started`` is in clock ticks since boot; ``place`` stands for a boot and a process namespace, "" where the kernel
    does not tell: then nobody is ever known to be dead.
    """

    host: str
    pid: int
    started: int
    place: str
    role: str

    @classmethod
    def of_this_process(cls, role: str) -> Self:
        """Name this process; not before a fork."""
        seen = _look_at(os.getpid())
        return cls(socket.gethostname(), os.getpid(), seen[1] if seen else 0, _place() if seen else "", role)

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read a name from the ledger; None when it is none of this kind."""
        parts = text.split(":")
        if len(parts) != _PARTS or not (parts[1].isdigit() and parts[2].isdigit()):
            return None
        return cls(parts[0], int(parts[1]), int(parts[2]), parts[3], parts[4])

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.started}:{self.place}:{self.role}"

    def is_gone(self) -> bool:
        """Tell whether it has ended for certain; false for one of another place, and in any doubt."""
        if not self.place or (self.host, self.place) != (socket.gethostname(), _place()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            pass  # it is another user's: look at it all the same
        seen = _look_at(self.pid)
        return seen is not None and (seen[0] in _ENDED or seen[1] != self.started)


@cache
def _place() -> str:
    """Name this boot and process namespace; "" where /proc is not this namespace's own, or is not there."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return ""
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return hashlib.sha256(f"{boot} {os.readlink('/proc/self/ns/pid')}".encode()).hexdigest()[:12]
    except OSError:
        return ""


def _look_at(pid: int) -> tuple[str, int] | None:
    """Return a process's state and start; None when it can't be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        fields = stat.rpartition(")")[2].split()
        return fields[_STATE], int(fields[_STARTED])
    except (OSError, IndexError, ValueError):
        return None
