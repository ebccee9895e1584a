"""The one place of a process where peers call it: they bring what a C-MOVE asked for, and answers to commitments.

A service class user needs it where the standard has the peer make an association of its own: the C-STOREs of a C-MOVE
(PS3.4 C.4.2), and the N-EVENT-REPORT of a storage commitment (PS3.4 J.3.3).
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from pynetdicom.ae import ApplicationEntity

from gurney.dicom.ae_titles import check_ae_title
from gurney.pacs.association.connection import keep_alive
from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.association.events import PrivateKeyPassword
from gurney.pacs.association.handshake import Caller
from gurney.pacs.errors import ListenerError, TlsFailed, TlsSetupError
from gurney.pacs.hooks import BeforeHook
from gurney.pacs.kinds import of_kind
from gurney.pacs.listener.accepted import AcceptedAssociation
from gurney.pacs.listener.deliveries import Deliveries, Expectation
from gurney.pacs.listener.intake import Doorkeeper, Intake
from gurney.pacs.remote import Timeouts
from gurney.pacs.retrieve.folder import existing_folder
from gurney.pacs.retrieve.retrieval import Retrieval
from gurney.pacs.several import several
from gurney.pacs.tls.contexts import server_context
from gurney.pacs.tls.options import InboundTls
from gurney.pacs.wire.inbound import check_max_instance_bytes
from gurney.pacs.wire.leftovers import clear_leftovers
from gurney.pacs.wire.transport import PlainSocket, Transport

__all__ = ["Listener"]

_log = logging.getLogger(__name__)

_BACKLOG = 64
# Besides the associations, so many connections may be on their way to become one.
_MOST_PENDING = 32
_PAUSE_SECONDS = 0.1
_JOIN_SECONDS = 5.0


class Listener:
    """Let peers associate with us, under an AE title and a port that they know, for the length of a ``with`` block.

    It answers C-ECHO; keeps what a C-STORE brings of any storage SOP class, private and future ones too, in ``folder``
    before it answers, or refuses storage without one; and passes each N-EVENT-REPORT of a storage commitment to the
    listeners of :attr:`event_report`. One is enough for all SCUs of a process, in any number of threads. It may be
    entered by several, and ends with the last; it may be entered again, and has the same port then. The engine ends it
    when it is shut down.

    ``tls`` says how callers secure their connections, with an identity of its own; who does not is turned away. Its
    certificate and lists are read again when they change.

    ``calling_ae_titles`` turns away everybody else. Of ``timeouts``, ``acse`` is the patience with a peer that
    connects and asks nothing, ``network`` that with one that stands still, ``store`` that with one that takes no
    answer. An instance of more than ``max_instance_bytes`` is refused (A700), and leaves nothing behind. Success is
    answered when an instance is safe on disk; with ``durable=False`` when it is written, and a power cut may lose it.
    ``fast_path=False`` lets pynetdicom receive the instances: slower, with the same results.
    """

    def __init__(
        self,
        ae_title: str,
        folder: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        calling_ae_titles: Collection[str] = (),
        max_associations: int = 32,
        timeouts: Timeouts | None = None,
        tls: InboundTls | None = None,
        max_instance_bytes: int | None = None,
        durable: bool = True,
        fast_path: bool = True,
    ) -> None:
        """Prepare; an empty host means every address of this one, and with port 0 the system chooses one.

        Raises ValueError for an invalid AE title, port or number of bytes.
        """
        self.ae_title = check_ae_title(ae_title)
        self.event_report: BeforeHook[EventReport, EventReport] = BeforeHook("event_report", EventReport)
        """Hears of what peers report. Who returns ``event.taken()`` has it answered with success."""
        self.private_key_password: BeforeHook[PrivateKeyPassword, str | bytes] = BeforeHook(
            "private_key_password", str, bytes
        )
        """Supplies the password of the key in ``tls``, at the start and for each connection."""
        if tls is not None:
            of_kind(tls, InboundTls, "tls")
        if not 0 <= of_kind(port, int, "port") <= 65535:
            raise ValueError(f"port must be 0-65535, not {port}")
        self._tls = tls
        self._fast_path = fast_path
        limit = check_max_instance_bytes(max_instance_bytes)
        self._deliveries = Deliveries(folder, limit, durable=durable) if folder is not None else None
        self._intake: Intake | None = self._deliveries
        self._doorkeeper: Doorkeeper | None = None
        self._calling_ae_titles = [check_ae_title(title) for title in several(calling_ae_titles, "calling_ae_titles")]
        self._max_associations = max_associations
        self._timeouts = timeouts or Timeouts()
        self._address = (host, port)
        self._guard = threading.RLock()
        self._users = 0
        self._socket: socket.socket | None = None
        self._threads: dict[threading.Thread, AcceptedAssociation | Caller] = {}

    @property
    def port(self) -> int:
        """The port that it listens on, or will again."""
        return self._address[1]

    # --- Up and down --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, or count one more user.

        Raises ListenerError where the port can't be had, or nothing can be written in the folder; TlsSetupError for a
        TLS identity that can't be used; EngineError.
        """
        with self._guard:
            if self._socket is None:
                if self._deliveries is not None:
                    _check_folder(self._deliveries.folder)
                if self._tls is not None:
                    self._context(self._tls)
                DicomEngine.adopt(self)
                if self._deliveries is not None:
                    clear_leftovers(self._deliveries.folder)
                try:
                    self._socket = _bound(self._address)
                except OSError as error:
                    DicomEngine.forget(self)
                    raise ListenerError(_words(self._address, error)) from error
                self._users = 0
                self._address = (self._address[0], self._socket.getsockname()[1])
                entity = self._entity()
                name = f"listener {self.ae_title}"
                threading.Thread(target=self._listen, args=(self._socket, entity), name=name, daemon=True).start()
            self._users += 1

    def stop(self) -> None:
        """Give up one use; the last one ends it. Without a use it does nothing."""
        with self._guard:
            self._users = max(0, self._users - 1)
            if self._users:
                return
        self.abort()

    def abort(self) -> None:
        """Stop listening, whoever uses it, and end the associations that are open."""
        with self._guard:
            listening, self._socket = self._socket, None
            self._users = 0
            open_now = dict(self._threads)
        if listening is not None:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            listening.close()
        for association in open_now.values():
            association.drop()
        for thread in open_now:
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)
        DicomEngine.forget(self)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # --- For the services ---------------------------------------------------------------------------------------------

    def expecting(self, what: Retrieval) -> AbstractContextManager[Expectation]:
        """Tell what arrives of a retrieve, and what does not for want of room here, inside the block.

        Raises ValueError without a folder, and ListenerError for a listener that nobody has started.
        """
        if self._deliveries is None:
            raise ValueError("this listener has no folder: it takes no instances")
        if self._socket is None:
            raise ListenerError(f"listener {self.ae_title} does not listen: start it, or enter it with `with`")
        return self._deliveries.expecting(what)

    # --- Connections --------------------------------------------------------------------------------------------------

    def _listen(self, listening: socket.socket, entity: ApplicationEntity) -> None:
        while self._socket is listening:
            try:
                connection, _ = listening.accept()
            except OSError as error:
                if self._socket is listening:
                    # Out of descriptors, or the peer was gone at once: neither is a reason to end.
                    _log.warning("accept_failed error=%s", errno.errorcode.get(error.errno or 0, "unknown"))
                    time.sleep(_PAUSE_SECONDS)
                continue
            plain = PlainSocket(fileno=connection.detach())
            try:
                keep_alive(plain)
                self._welcome(plain, entity)
            except (OSError, RuntimeError) as error:
                # The peer is gone already, or the system has no thread left: the next may have better luck.
                _log.info("caller_lost error=%s", type(error).__name__)
                plain.close()

    def _welcome(self, connection: PlainSocket, entity: ApplicationEntity) -> None:
        """Give a connection its own thread; when too many are pending, drop the one that has been silent longest."""
        entry: AcceptedAssociation | Caller
        if self._tls is None:
            entry = association = self._accepted(connection, entity)
            thread = _thread(partial(self._attend, association))
        else:
            entry = caller = Caller(connection)
            thread = _thread(partial(self._secure, caller, self._tls, entity))
        with self._guard:
            # What is among the threads has begun: whoever ends the listener waits for it.
            is_over = self._socket is None
            if not is_over:
                pending = [other for other in self._threads.values() if not other.has_requested]
                self._threads[thread] = entry
                try:
                    thread.start()
                except RuntimeError:
                    del self._threads[thread]
                    entry.dispose()
                    raise
        if is_over:
            entry.dispose()
        elif len(pending) >= _MOST_PENDING:
            pending[0].drop()

    def _accepted(self, connection: Transport, entity: ApplicationEntity) -> AcceptedAssociation:
        return AcceptedAssociation(
            entity,
            connection,
            self._intake,
            self.event_report,
            self._has_room,
            doorkeeper=self._doorkeeper,
            fast_path=self._fast_path,
        )

    def _secure(self, caller: Caller, tls: InboundTls, entity: ApplicationEntity) -> None:
        """Shake hands with a caller, within the time that it has for that, and go on with it."""
        try:
            deadline = time.monotonic() + tls.handshake
            association = self._accepted(caller.secure(self._context(tls), deadline), entity)
        except Exception as error:  # noqa: BLE001  (a listener's for the password, of whatever kind, ends this caller)
            is_ours = isinstance(error, TlsFailed | TlsSetupError | OSError)
            reason = str(error) if is_ours else type(error).__name__
            _log.warning("caller_refused address=%s reason=%r", caller.address, reason)
            caller.dispose()
            self._forget()
            return
        with self._guard:
            self._threads[threading.current_thread()] = association
        self._attend(association)

    def _context(self, tls: InboundTls) -> ssl.SSLContext:
        return server_context(tls, self._ask_password if self.private_key_password else None)

    def _ask_password(self, key_file: str) -> str | bytes | None:
        asked = PrivateKeyPassword(key_file)
        return self.private_key_password.ask(asked, lambda event, found: replace(event, password=found)).password

    def _attend(self, association: AcceptedAssociation) -> None:
        try:
            association.start()
            association.join()
        finally:
            association.dispose()
            self._forget()

    def _forget(self) -> None:
        with self._guard:
            self._threads.pop(threading.current_thread(), None)

    def _has_room(self) -> bool:
        with self._guard:
            return sum(other.has_requested for other in self._threads.values()) <= self._max_associations

    def _entity(self) -> ApplicationEntity:
        entity = ApplicationEntity(self.ae_title)
        # A doorkeeper looks at both titles itself.
        entity.require_called_aet = self._doorkeeper is None
        entity.require_calling_aet = self._calling_ae_titles
        # We count them ourselves: pynetdicom would count peers that have only connected as associations.
        entity.maximum_associations = 1 << 16
        entity.acse_timeout = self._timeouts.acse
        entity.network_timeout = self._timeouts.network
        entity.dimse_timeout = self._timeouts.store
        return entity


def _thread(work: Callable[[], None]) -> threading.Thread:
    return threading.Thread(target=work, name="listener's caller", daemon=True)


def _bound(address: tuple[str, int]) -> socket.socket:
    """Listen at an address. Raises OSError."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _check_folder(folder: Path) -> None:
    """Raise ListenerError for a folder in which nothing can be kept: each instance would be refused."""
    try:
        existing_folder(folder)
    except OSError as error:
        raise ListenerError(f"nothing can be kept in {folder}: {error.strerror}; make the folder first") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ListenerError(f"nothing can be kept in {folder}: this process may not write there")


def _words(address: tuple[str, int], error: OSError) -> str:
    host, port = address
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} of {host or 'this host'} is taken: another listener of this process, or another program, "
            "has it; share one listener among all SCUs of a process"
        )
    return f"can't listen at port {port} of {host or 'this host'}: {error.strerror or error}"
