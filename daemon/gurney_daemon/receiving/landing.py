"""Where an instance lands that a peer stores: in the spool, then in the ledger, then the peer hears of it.

Success is answered only when the file is on disk (fsync), has its name, the folder has been written through, and the
row has committed. Names are our own. A file with a name and without a row is what a crash leaves, or a commit whose
outcome is not known: it is never deleted, but taken in at the next start.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gurney.dicom.errors import Part10Error
from gurney.dicom.part10 import Part10
from gurney.errors import GurneyError
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.pacs.listener.intake import Calling
from gurney.pacs.wire.arrival import CANNOT_UNDERSTAND, OUT_OF_RESOURCES, STORED, Arrival, secure_names
from gurney.pacs.wire.inbound import Inbox
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.inspection import Whole
from gurney_daemon.ingest.peer import Peer
from gurney_daemon.ingest.reading import read_header
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Held, Shelf
from gurney_daemon.receiving.group_commit import GroupCommit

__all__ = ["Landing"]

log = get_logger(__name__)

_IN_A_GROUP: Final = 100


@dataclass(frozen=True, slots=True)
class _Landed:
    """An instance that is on disk, and has yet to get its name and its row."""

    arrival: Arrival
    part: Part10
    peer: Peer


class Landing:
    """The intake of a receiver (:class:`~gurney.pacs.listener.intake.Intake`), for any number of associations."""

    def __init__(
        self, shelf: Shelf, admission: Admission, ring: Callable[[Sequence[Bell]], None], limit: int | None = None
    ) -> None:
        """Prepare; ``ring`` is called after each commit, ``limit`` is the most bytes that an instance may have."""
        self.limit = limit
        self.folder = Path(shelf.spool.place.path)
        self._shelf, self._admission, self._ring = shelf, admission, ring
        self._naming = threading.Lock()
        self._groups = GroupCommit(self._commit, _IN_A_GROUP)

    def inbox_for(self, calling: Calling) -> Inbox:
        """Give what keeps the instances of one association."""
        return _LandingInbox(self, Peer(calling.calling_ae_title, calling.called_ae_title, calling.address))

    def place(self) -> str:
        """Give a name in the spool for one more instance. Raises SpoolOffline."""
        with self._naming:
            return f"{self._shelf.landing()}/{secrets.token_hex(8)}"

    def keep(self, arrival: Arrival, peer: Peer) -> int:
        """Keep an instance that has come whole, and return the status to answer (PS3.4 B.2.3)."""
        try:
            os.fsync(arrival.fileno())
            source = self._admission.source
            part = read_header(arrival.fileno(), self._admission.routes.wanted, source.policy)
        except Part10Error as error:
            arrival.discard()
            log.warning("instance_refused", source=self._admission.source.name, reason=error.reason)
            return CANNOT_UNDERSTAND
        except OSError as error:
            arrival.discard()
            log.warning("instance_not_kept", source=self._admission.source.name, reason=os.strerror(error.errno or 0))
            return OUT_OF_RESOURCES
        try:
            self._groups.commit(_Landed(arrival, part, peer))
        except (GurneyError, OSError) as error:
            log.warning("instance_not_kept", source=self._admission.source.name, reason=str(error))
            return OUT_OF_RESOURCES
        return STORED

    def _commit(self, group: Sequence[_Landed]) -> None:
        """Name, secure and enter a group."""
        wholes = [self._named(landed) for landed in group]
        for folder in {landed.arrival.path.parent for landed in group}:
            secure_names(folder)
        bells: list[Bell] = []
        while wholes:
            # A second one of a UID must see the first in the ledger.
            first = list({whole.part.sop_instance_uid: whole for whole in reversed(wholes)}.values())
            bells.extend(self._admission.land(first).bells)
            wholes = [whole for whole in wholes if whole not in first]
        if bells:
            self._ring(bells)

    def _named(self, landed: _Landed) -> Whole:
        landed.arrival.settle(durable=False)
        path = landed.arrival.path
        signature = Signature.of(os.lstat(path))
        held = Held(str(path.relative_to(self.folder)), signature.mtime_ns)
        return Whole(SettledFile(os.fsencode(path), signature), landed.part, held, landed.peer)


class _LandingInbox(Inbox):
    """What keeps the instances of one association."""

    def __init__(self, landing: Landing, peer: Peer) -> None:
        super().__init__(landing.folder, lambda _: None, landing.limit)
        self._landing, self._peer = landing, peer

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Arrival:
        """Begin to take an instance, under a name of our own."""
        folder, _, name = self._landing.place().rpartition("/")
        return Arrival(
            self.folder / folder, sop_class_uid, sop_instance_uid, transfer_syntax_uid, self.limit, name=name
        )

    def keep(self, arrival: Arrival) -> int:
        """Return the status to answer, when the ledger has it."""
        status = arrival.close()
        if arrival.failure is not None:
            self.note(arrival.failure)
        return self._landing.keep(arrival, self._peer) if status == STORED else status
