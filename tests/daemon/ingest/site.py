"""A watched folder with everything around it, driven step by step, or by its own thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from gurney.ledger.database import AnyRow, Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.models import File, Instance, Item
from gurney.transfer.routing import RouteRule, compile_routes
from gurney.transfer.states import FileState, ItemState
from gurney_daemon.ingest.patrol import WatchedFolder
from gurney_daemon.ingest.routes import DoorRoutes
from gurney_daemon.ingest.spool import Spool
from gurney_daemon.ingest.watcher import Watcher
from tests.services.waiting import wait_until

__all__ = ["Site"]


class Site:
    """One watched folder, its ledger and its spool; what rang is in ``bells``."""

    def __init__(self, ledger: Ledger, spool: Spool, folder: Path) -> None:
        self.ledger, self.spool, self.folder = ledger, spool, folder
        self.bells: list[Bell] = []
        self.rules: list[RouteRule] = []
        self.send_to: tuple[str, ...] = ("archive",)
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        folder.mkdir(exist_ok=True)

    def routes(self) -> DoorRoutes:
        return DoorRoutes(compile_routes(self.rules), "ct1", self.send_to)

    def ring(self, bells: Sequence[Bell]) -> None:
        self.bells.extend(bells)

    def watcher(self, *, holder: str = "test", **settings: Any) -> Watcher:
        settings = {"settle_seconds": 0.1, "scan_seconds": 0.2} | settings
        watched = WatchedFolder("ct1", str(self.folder), **settings)
        return Watcher(watched, self.ledger, self.spool, self.routes(), self.ring, holder=holder)

    def start(self, *, holder: str = "test", **settings: Any) -> Watcher:
        """Start a watcher in a thread of its own; :meth:`stop` ends all of them."""
        watcher = self.watcher(holder=holder, **settings)
        thread = threading.Thread(target=watcher.run, args=(self._stop,), name=f"watch-{holder}")
        thread.start()
        self._threads.append(thread)
        return watcher

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive(), "the watcher did not stop"
        self._threads.clear()
        self._stop = threading.Event()

    close = stop

    def files(self, *states: FileState) -> Sequence[AnyRow]:
        with self.ledger.read() as conn:
            query = select(File.__table__).order_by(File.id)
            return conn.execute(query.where(File.state.in_(states)) if states else query).all()

    def instances(self) -> Sequence[AnyRow]:
        with self.ledger.read() as conn:
            return conn.execute(select(Instance.__table__).order_by(Instance.id)).all()

    def items(self) -> Sequence[AnyRow]:
        with self.ledger.read() as conn:
            return conn.execute(select(Item.__table__).order_by(Item.id)).all()

    def settle_items(self, state: ItemState, *, status: int | None = 0, only: int | None = None, **more: Any) -> None:
        """Let items be as a worker or an operator would leave them."""
        change = update(Item).values(state=int(state), last_status=status, **more)
        with self.ledger.write() as tx:
            tx.conn.execute(change if only is None else change.where(Item.id == only))

    def wait_for(self, predicate: Callable[[], object], what: str) -> None:
        wait_until(predicate, 20, what)

    def wait_for_files(self, count: int, *states: FileState) -> Sequence[AnyRow]:
        self.wait_for(lambda: len(self.files(*states)) >= count, f"{count} files {states}")
        return self.files(*states)
