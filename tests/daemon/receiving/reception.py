"""A receiver with everything around it, run by its own thread, and peers that push to it."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import select

from gurney.ledger.database import AnyRow, Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import Audit, File, Instance, Item, SourceCount
from gurney.ledger.models.base import Base
from gurney.pacs.remote import Timeouts
from gurney.pacs.tls import InboundTls
from gurney.transfer.routing import Door, RouteRule, compile_routes
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import Spool
from gurney_daemon.receiving.doorkeeper import Caller, Doorkeeper
from gurney_daemon.receiving.receiver import ListensAt, Receiver, State
from tests.services.presence import program
from tests.services.waiting import wait_until

__all__ = ["Reception", "push", "study_in"]


class Reception:
    """One receiver named ``main`` on a port of the system's choice; what rang is in ``bells``."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self.ledger, self.spool = ledger, spool
        self.bells: list[Bell] = []
        self.rules: list[RouteRule] = []
        self.on_conflict = "review"
        self.accept: list[Caller] = []
        self.sop_classes: list[str] = []
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []

    def ring(self, bells: Sequence[Bell]) -> None:
        self.bells.extend(bells)

    def receiver(
        self,
        *,
        holder: str = "test",
        port: int = 0,
        max_associations: int = 32,
        max_instance_bytes: int | None = None,
        patience: float = 30.0,
        tls: InboundTls | None = None,
    ) -> Receiver:
        return Receiver(
            Source("main", door="receive", on_conflict=self.on_conflict),
            ListensAt(
                "GURNEY",
                "127.0.0.1",
                port,
                max_associations=max_associations,
                max_instance_bytes=max_instance_bytes,
                timeouts=Timeouts(acse=patience, network=patience),
                tls=tls,
            ),
            Doorkeeper("main", ["GURNEY", "RESEARCH"], self.accept, self.sop_classes),
            self.ledger,
            self.spool,
            DoorRoutes(compile_routes(self.rules), "main", ("archive",), door=Door.RECEIVE),
            self.ring,
            holder=holder,
        )

    def run(self, receiver: Receiver) -> Receiver:
        thread = threading.Thread(target=receiver.run, args=(self._stop,), name="receive:main")
        thread.start()
        self._threads.append(thread)
        return receiver

    def start(self, **limits: object) -> Receiver:
        """Start a receiver in a thread of its own, and wait until it listens; :meth:`stop` ends all of them."""
        receiver = self.run(self.receiver(**limits))  # type: ignore[arg-type]  # each by its own type
        wait_until(lambda: receiver.health.state is State.RECEIVING, 20, "the receiver listens")
        return receiver

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "the receiver did not stop"
        self._threads.clear()
        self._stop = threading.Event()

    def files(self) -> Sequence[AnyRow]:
        return self._rows(File)

    def instances(self) -> Sequence[AnyRow]:
        return self._rows(Instance)

    def items(self) -> Sequence[AnyRow]:
        return self._rows(Item)

    def audit(self, action: str) -> list[str]:
        with self.ledger.read() as conn:
            return list(conn.scalars(select(Audit.detail).where(Audit.action == action).order_by(Audit.id)))

    def counts(self) -> Mapping[str, int]:
        with self.ledger.read() as conn:
            rows = conn.execute(select(SourceCount.what, SourceCount.n).where(SourceCount.source == "main"))
            return {row.what: row.n for row in rows}

    def spooled(self) -> list[Path]:
        """Return every file in the receiver's folders, on its way or not."""
        return sorted(path for path in Path(self.spool.place.path, "main").rglob("*") if path.is_file())

    def _rows(self, model: type[Base]) -> Sequence[AnyRow]:
        with self.ledger.read() as conn:
            return conn.execute(select(model.__table__).order_by("id")).all()


def push(
    port: int, folder: Path, *, called: str = "GURNEY", calling: str = "CT1", peer: str = "storescu"
) -> subprocess.CompletedProcess[str]:
    """Have DCMTK push a folder in the order of its names, and return what became of it."""
    options = ["-aec", called, "-aet", calling]
    command = [program(peer), "-v", *options, "127.0.0.1", str(port), *map(str, sorted(folder.iterdir()))]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def study_in(folder: Path, contents: Sequence[bytes]) -> Path:
    """Write files into a folder, made if need be."""
    folder.mkdir(exist_ok=True)
    for number, content in enumerate(contents):
        (folder / f"{number:04}.dcm").write_bytes(content)
    return folder
