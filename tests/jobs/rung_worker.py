"""A worker for tests: a real `celery worker` in a process of its own, which writes down what it was rung for."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from gurney.jobs import SERVE_TASK, Lane, PoolKind, in_each_process, make_app, worker_arguments
from tests.services.waiting import wait_until

__all__ = ["RungWorker"]

ROOT = Path(__file__).parents[2]
HOLD = "hold-"


class RungWorker:
    """Serve one pool. A destination named `hold-NAME` keeps its slot until the test calls `let_go(NAME)`."""

    def __init__(
        self,
        folder: Path,
        broker_url: str,
        *,
        pool: str = "main",
        lanes: Iterable[Lane] = Lane,
        concurrency: int = 1,
        pool_kind: PoolKind = PoolKind.PREFORK,
    ) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self._arguments = [broker_url, pool, ",".join(lanes), str(concurrency), pool_kind.value, str(folder)]
        self._log = folder / "worker.log"

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.jobs.rung_worker", *self._arguments],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            wait_until(lambda: "ready." in self.log() or not self.is_running, 60, "the worker to be ready")
            assert self.is_running, "the worker ended"
        except BaseException as error:
            self.__exit__(type(error), error, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(ProcessLookupError):  # it ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if error is not None:
            sys.stderr.write(self.log())

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def began(self) -> list[tuple[str, str]]:
        """Give (destination, spool) of every ring that was answered, in order."""
        return [(line.split()[0], line.split()[1]) for line in self._lines("began")]

    def ended(self) -> list[str]:
        """Give the destinations that were served to the end."""
        return self._lines("ended")

    def begun_in(self) -> list[str]:
        """Give the ids of the processes that were told to begin, and whether each was the worker's first process."""
        return self._lines("processes")

    def let_go(self, name: str) -> None:
        (self.folder / f"{HOLD}{name}").touch()

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def main(broker_url: str, pool: str, lanes: str, concurrency: str, pool_kind: str, folder: str) -> None:
    app = make_app(broker_url)
    first = os.getpid()

    def note(name: str, line: str) -> None:
        with (Path(folder) / name).open("a") as file:
            file.write(f"{line}\n")

    @app.task(name=SERVE_TASK)  # type: ignore[untyped-decorator]  # Celery is untyped
    def serve(destination: str, spool: str) -> None:
        note("began", f"{destination} {spool}")
        if destination.startswith(HOLD):
            give_up_at = time.monotonic() + 60
            while not (Path(folder) / destination).exists() and time.monotonic() < give_up_at:
                time.sleep(0.02)
        note("ended", destination)

    kind = PoolKind(pool_kind)
    in_each_process(kind, lambda: note("processes", f"{os.getpid()} {os.getpid() == first}"), lambda: None)
    logging.basicConfig(level=logging.INFO)
    app.worker_main(
        worker_arguments(pool, [Lane(lane) for lane in lanes.split(",")], concurrency=int(concurrency), pool_kind=kind)
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
