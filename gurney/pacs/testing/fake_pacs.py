"""A PACS on plain sockets that does what its script says and remembers what it was asked and what it acknowledged."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from types import TracebackType
from typing import Self

from pydicom.dataset import Dataset

from gurney.pacs.remote import RemoteAE, Timeouts
from gurney.pacs.testing.acts import Accept, AssociationAct, InstanceAct, Operation, Respond
from gurney.pacs.testing.answers import RequestAct
from gurney.pacs.testing.archive import Archive
from gurney.pacs.testing.holdings import as_held
from gurney.pacs.testing.record import Stored
from gurney.pacs.testing.request import Request
from gurney.pacs.testing.script import Script
from gurney.pacs.testing.visit import Visit

__all__ = ["FakePacs"]

# It answers at once, or not at all: a test need not wait for as long as an archive may take.
_SHORT = Timeouts(connect=10, acse=10, store=10, find=10, move=10, normalized=10)


class FakePacs:
    """A PACS on loopback, running for a ``with`` block; :meth:`stop` and :meth:`start` take it down and up.

    A script that can't be is refused where it is given, with a TypeError or ValueError; one that fails while it is
    performed closes the connection, and is raised at the end of the block (:class:`ScriptFailed`), or noted on what the
    block itself has raised.

    Without a script it accepts everything and answers success. Queries and retrieves are answered from ``holdings``:
    data sets, or Part 10 files whose bytes are sent as they lie; a data set without a SOP Instance UID is an entry of a
    worklist. It knows the move destinations that it was told of by :meth:`know`.

    ``limit`` is how many associations it accepts at a time; others are rejected (2/3/2). ``pace`` is how many bytes a
    second it reads of each. All methods may be called from any thread, also while it runs.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        ae_title: str = "FAKEPACS",
        instance: InstanceAct | None = None,
        association: AssociationAct | None = None,
        limit: int = 0,
        pace: float = 0.0,
        holdings: Iterable[Dataset | str | os.PathLike[str]] = (),
    ) -> None:
        self.ae_title = ae_title
        self.port = port
        self._limit = limit
        self._pace = pace
        self._script = Script(instance or Respond(), association or Accept())
        self._lock = threading.Lock()
        self._listener: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._visits: dict[Visit, threading.Thread] = {}
        self._archive = Archive(ae_title)
        self._record = self._archive.record
        self.hold(*holdings)

    # --- What it holds and knows --------------------------------------------------------------------------------------

    def hold(self, *items: Dataset | str | os.PathLike[str]) -> None:
        """Hold further instances or worklist entries."""
        for item in items:
            self._archive.holdings.add(as_held(item))

    def know(self, ae_title: str, port: int, host: str = "127.0.0.1") -> None:
        """Know where an AE title listens: for C-MOVEs to it, and for the results of its storage commitments."""
        self._archive.destinations[ae_title] = (host, port)

    # --- The script ---------------------------------------------------------------------------------------------------

    def on_instance(self, number: int, act: InstanceAct) -> None:
        """Do this with the instance of this number, counted from 1 since the PACS was made."""
        self._script.on_instance(number, act)

    def on_uid(self, sop_instance_uid: str, *acts: InstanceAct) -> None:
        """Do these with an instance, one each time that it comes; then as usual."""
        self._script.on_uid(sop_instance_uid, acts)

    def on_association(self, number: int, act: AssociationAct) -> None:
        """Do this with the association of this number, counted from 1 as they are requested."""
        self._script.on_association(number, act)

    def on_request(self, operation: Operation, *acts: RequestAct) -> None:
        """Do these with requests of an operation, one each time that one comes; then as usual.

        Raises ValueError for C-STORE and C-CANCEL, which have acts of their own.
        """
        self._script.on_request(operation, acts)

    def on_every(self, operation: Operation, act: RequestAct) -> None:
        """Do this with every request of an operation that has no act of its own. Not for C-STORE."""
        self._script.on_every(operation, act)

    def always(self, act: InstanceAct | AssociationAct) -> None:
        """Do this with every instance, or association, that has no act of its own."""
        self._script.always(act)

    # --- What happened ------------------------------------------------------------------------------------------------

    @property
    def stored(self) -> list[Stored]:
        """What was acknowledged, in order; an instance as often as it was."""
        return self._record.stored

    def stored_uids(self) -> list[str]:
        """The SOP Instance UIDs of what was acknowledged."""
        return [one.sop_instance_uid for one in self.stored]

    @property
    def requests(self) -> list[Request]:
        """What was asked besides C-STOREs, in order."""
        return self._record.requests

    @property
    def cancels(self) -> int:
        """How many C-CANCELs have come."""
        return self._record.cancels

    @property
    def associations(self) -> int:
        """How many associations were requested."""
        return self._script.associations

    @property
    def instances(self) -> int:
        """How many instances have come, or begun to come; one as often as it did."""
        return self._script.instances

    @property
    def longest_pdu(self) -> int:
        """Length of the longest P-DATA-TF that came."""
        return self._record.longest_pdu

    @property
    def endings(self) -> list[str]:
        """How connections ended: "released", "aborted" or "lost" by the peer, "rejected" or "ended by the script"."""
        return self._record.endings

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        with self._lock:
            return len(self._visits)

    def wait_until_quiet(self, seconds: float = 30.0) -> None:
        """Wait until every connection has ended, so that :attr:`endings` is complete. Raises TimeoutError."""
        deadline = time.monotonic() + seconds
        while self.open_connections:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.open_connections} connections are still open")
            time.sleep(0.005)

    def remote(self, timeouts: Timeouts | None = None) -> RemoteAE:
        """Return this PACS as a remote AE; without ``timeouts`` one that is given up after 10 seconds of silence.

        Raises RuntimeError for one that has no port yet.
        """
        if not self.port:
            raise RuntimeError("this PACS has no port yet: start it, or enter it with `with`")
        return RemoteAE(self.ae_title, "127.0.0.1", self.port, timeouts or _SHORT)

    # --- Up and down --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen; at the same port again after a stop. A second start does nothing."""
        if self._listener is not None:
            return
        listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        if self._pace:
            # Otherwise its system would read ahead for it.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 17)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._thread = threading.Thread(target=self._listen, args=(listener,), name="fake PACS", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Close the listener and reset every connection; return when all threads have ended."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        if self._thread is not None:
            self._thread.join()
        with self._lock:
            visits = dict(self._visits)
        for visit in visits:
            visit.cut()
        self._archive.stop()
        for thread in visits.values():
            thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        for failure in self._record.failures:
            if exc is None:
                raise failure
            exc.add_note(f"the script of {self.ae_title} had failed: {failure.__cause__!r}")

    def _listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            visit = Visit(connection, self._script, self._archive, self._limit, self._pace)
            thread = threading.Thread(target=self._serve, args=(visit,), name="fake PACS visit", daemon=True)
            with self._lock:
                self._visits[visit] = thread
            thread.start()

    def _serve(self, visit: Visit) -> None:
        try:
            visit.serve()
        finally:
            with self._lock:
                self._visits.pop(visit, None)
