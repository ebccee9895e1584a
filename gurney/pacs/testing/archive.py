"""What a fake PACS is besides its script: its name, what it holds, whom it knows, what it remembers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gurney.pacs.testing.holdings import Holdings
from gurney.pacs.testing.link import Link
from gurney.pacs.testing.record import Record

__all__ = ["Archive"]


class Archive:
    """Shared by all connections of one PACS; ``destinations`` are host and port by AE title."""

    def __init__(self, ae_title: str) -> None:
        self.ae_title = ae_title
        self.holdings = Holdings()
        self.destinations: dict[str, tuple[str, int]] = {}
        self.record = Record()
        self._lock = threading.Lock()
        self._errands: set[Link] = set()
        self._threads: list[threading.Thread] = []

    def has(self, sop_instance_uid: str) -> bool:
        """Tell whether an instance is held, or was stored."""
        return self.holdings.has(sop_instance_uid) or any(
            stored.sop_instance_uid == sop_instance_uid for stored in self.record.stored
        )

    def run(self, job: Callable[[], None]) -> None:
        """Do something apart from the connection that asked for it."""
        thread = threading.Thread(target=job, name="fake PACS errand", daemon=True)
        with self._lock:
            self._threads.append(thread)
        thread.start()

    @contextmanager
    def accompanied(self, link: Link) -> Iterator[None]:
        """Let :meth:`stop` cut a connection of ours inside the block."""
        with self._lock:
            self._errands.add(link)
        try:
            yield
        finally:
            with self._lock:
                self._errands.discard(link)

    def stop(self) -> None:
        """Cut the connections that we made; return when whatever ran apart has ended."""
        with self._lock:
            errands, threads, self._threads = [*self._errands], self._threads, []
        for link in errands:
            link.cut()
        for thread in threads:
            thread.join()
