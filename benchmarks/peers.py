"""The peers that speed is measured against: our discarding SCP, and DCMTK's senders as fast as they can be."""

from __future__ import annotations

import mmap
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

__all__ = ["Sink", "dcmsend", "dcmtk_version"]

# Without it DCMTK's small messages wait for delayed acknowledgements: forty times slower, and no measure of anything.
TUNED = {**os.environ, "TCP_NODELAY": "1"}
_PATIENCE = 120


class Sink:
    """Build and run ``sink.c``: it accepts, discards, counts, answers success; ``port`` is where, on loopback."""

    def __init__(self, folder: Path) -> None:
        """Build in a folder; what is there already is used again."""
        self._binary, self._counter = folder / "sink", folder / "stored"
        if not self._binary.exists():
            compiler = shutil.which("cc") or shutil.which("gcc")
            if compiler is None:
                raise SystemExit("benchmarks/sink.c needs a C compiler: apt-get install gcc libc6-dev")
            source = Path(__file__).with_name("sink.c")
            subprocess.run([compiler, "-O2", "-pthread", "-o", self._binary, source], check=True)
        self.port = 0

    def __enter__(self) -> Self:
        """Listen."""
        self._process = subprocess.Popen([self._binary, self._counter, "0"], stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        with self._counter.open("rb") as counter:
            self._stored = mmap.mmap(counter.fileno(), 8, prot=mmap.PROT_READ)
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End."""
        self._stored.close()
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def stored(self) -> int:
        """How many instances it has answered."""
        return int.from_bytes(self._stored, sys.byteorder)

    def await_stored(self, count: int) -> float:
        """Return the time (``perf_counter``) at which so many had been stored, within half a millisecond."""
        give_up = time.perf_counter() + _PATIENCE
        while self.stored < count:
            if time.perf_counter() > give_up:
                raise SystemExit(f"{self.stored} of {count} instances were stored in {_PATIENCE} s")
            time.sleep(0.0005)
        return time.perf_counter()


def dcmsend(port: int, folder: Path) -> float:
    """Send a folder over one association, tuned; return seconds from the process's start to its end."""
    begun = time.perf_counter()
    subprocess.run(["dcmsend", "-q", "127.0.0.1", str(port), "+sd", folder], check=True, env=TUNED, timeout=_PATIENCE)
    return time.perf_counter() - begun


def dcmtk_version() -> str:
    """Name DCMTK's version; ends the benchmark where there is none."""
    if shutil.which("dcmsend") is None:
        raise SystemExit("speed is measured against DCMTK's dcmsend: apt-get install dcmtk")
    words = subprocess.run(["dcmsend", "--version"], check=True, capture_output=True, text=True).stdout
    return " ".join(words.partition("dcmsend ")[2].split()[:1]) or "?"
