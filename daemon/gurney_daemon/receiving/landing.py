"""Where an instance lands that a peer stores: in the spool, then in the ledger, then the peer hears of it.

Success is answered only when the file has its name and is on disk (fsync of it and of its folder), and its row has
committed. Names are our own, and who sent it stands in the file. A file with a name and without a row is what a crash
leaves, or a commit that failed: of the latter it was answered that it is not stored, and :meth:`Landing.tidy` removes
it once the ledger says that it has no row; the former is taken in at the next start (``adoption``).
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gurney.dicom.errors import Part10Error
from gurney.dicom.part10 import Part10
from gurney.errors import GurneyError
from gurney.ledger.arrivals import known_files
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.pacs.listener.intake import Calling
from gurney.pacs.wire.arrival import (
    CANNOT_UNDERSTAND,
    OUT_OF_RESOURCES,
    STORED,
    Arrival,
    origin_elements,
    secure_names,
)
from gurney.pacs.wire.inbound import Inbox
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.errors import SpoolOffline
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
# Seconds within which what has begun to come is here, or is too large to be waited for.
_SOON: Final = 0.05
# PS3.7 C.5.6: what the receiver's policy has us say of another content under a known SOP Instance UID.
_DUPLICATE_SOP_INSTANCE: Final = 0x0111


@dataclass(frozen=True, slots=True)
class _Landed:
    """An instance that has come whole, and has yet to get its name and its row."""

    arrival: Arrival
    part: Part10
    peer: Peer


class Landing:
    """The intake of a receiver (:class:`~gurney.pacs.listener.intake.Intake`), for any number of associations."""

    def __init__(
        self,
        shelf: Shelf,
        admission: Admission,
        ledger: Ledger,
        ring: Callable[[Sequence[Bell]], None],
        limit: int | None = None,
    ) -> None:
        """Prepare; ``ring`` is called after each commit, ``limit`` is the most bytes that an instance may have."""
        self.limit = limit
        self.folder = Path(shelf.spool.place.path)
        self.closed_because = ""
        """Why nothing is taken now, A700 being the answer; "" where it is."""
        self.counts: Counter[str] = Counter()
        """What was not kept since last asked: ``refused`` for what it is, ``turned_away`` for want of room."""
        self._shelf, self._admission, self._ledger, self._ring = shelf, admission, ledger, ring
        self._name, self._policy = admission.source.name, admission.source.on_conflict
        self._naming = threading.Lock()
        self._doubtful: list[bytes] = []
        self._arriving: dict[Inbox, float] = {}
        self._groups = GroupCommit[_Landed, int](self._commit, _IN_A_GROUP, coming=self._expects_more)

    def inbox_for(self, calling: Calling) -> Inbox:
        """Give what keeps the instances of one association."""
        return _LandingInbox(self, Peer(calling.calling_ae_title, calling.called_ae_title, calling.address))

    def begins(self, inbox: Inbox) -> None:
        """Note that an instance has begun to come."""
        self._arriving[inbox] = time.monotonic()

    def has_come(self, inbox: Inbox) -> None:
        """Note that it has come to its end, or will not come any more."""
        self._arriving.pop(inbox, None)

    def _expects_more(self) -> bool:
        """Tell whether some instance has begun a moment ago: it will be here soon."""
        since = time.monotonic() - _SOON
        return any(begun > since for begun in list(self._arriving.values()))

    def place(self) -> tuple[str, str]:
        """Give a folder of the spool and a name in it for one more instance. Raises SpoolOffline."""
        with self._naming:
            return self._shelf.landing(), secrets.token_hex(8)

    def keep(self, arrival: Arrival, peer: Peer, inbox: Inbox) -> int:
        """Keep an instance that has come whole, and return the status to answer (PS3.4 B.2.3)."""
        try:
            # While others of the group are still read, the disk begins.
            arrival.hasten()
            part = read_header(arrival.fileno(), self._admission.routes.wanted, self._admission.source.policy)
        except Part10Error as error:
            arrival.discard()
            self.counts["refused"] += 1
            log.warning("instance_refused", source=self._name, calling=peer.calling_ae_title, reason=error.reason)
            return CANNOT_UNDERSTAND
        except OSError as error:
            arrival.discard()
            return self.turn_away(os.strerror(error.errno or 0))
        try:
            self.has_come(inbox)
            return self._groups.commit(_Landed(arrival, part, peer))
        except OSError as error:
            return self.turn_away(os.strerror(error.errno or 0))
        except GurneyError as error:
            return self.turn_away(str(error))

    def turn_away(self, why: str) -> int:
        """Count an instance that could not be kept, and return the status for it."""
        self.counts["turned_away"] += 1
        log.warning("instance_not_kept", source=self._name, reason=why)
        return OUT_OF_RESOURCES

    def tidy(self) -> None:
        """Remove what was answered as not stored, unless its row committed after all. Raises what the ledger raises."""
        for inbox, begun in list(self._arriving.items()):
            if begun < time.monotonic() - _SOON:  # its association may have ended with it
                self.has_come(inbox)
        with self._naming:
            doubtful, self._doubtful = self._doubtful, []
        if not doubtful:
            return
        try:
            with self._ledger.read() as conn:
                known = known_files(conn, self._name, doubtful)
        except BaseException:  # whatever it was goes on: they are still to be removed
            with self._naming:
                self._doubtful += doubtful
            raise
        for path in doubtful:
            if path not in known:
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def _commit(self, group: Sequence[_Landed]) -> list[int]:
        """Name, secure and enter a group; return what to answer to each."""
        try:
            # First the names, then the bytes: one commit of the filesystem's journal takes all of both.
            for landed in group:
                landed.arrival.name()
            for landed in group:
                os.fsync(landed.arrival.fileno())
            for folder in {landed.arrival.path.parent for landed in group}:
                secure_names(folder)
            return self._enter([self._whole(landed) for landed in group])
        except BaseException:  # whatever it was goes on, to each of the group
            with self._naming:
                self._doubtful += [os.fsencode(landed.arrival.path) for landed in group]
            raise
        finally:
            for landed in group:
                landed.arrival.release()

    def _enter(self, wholes: Sequence[Whole]) -> list[int]:
        bells: list[Bell] = []
        rejected: set[bytes] = set()
        left = list(wholes)
        while left:
            # A second one of a UID must see the first in the ledger.
            first = list({whole.part.sop_instance_uid: whole for whole in reversed(left)}.values())
            taken = self._admission.land(first)
            bells.extend(taken.bells)
            if self._policy == "reject":
                conflicts = set(taken.conflicts)
                rejected |= {whole.settled.path for whole in first if whole.part.sop_instance_uid in conflicts}
            done = {whole.settled.path for whole in first}
            left = [whole for whole in left if whole.settled.path not in done]
        if bells:
            self._ring(bells)
        return [_DUPLICATE_SOP_INSTANCE if whole.settled.path in rejected else STORED for whole in wholes]

    def _whole(self, landed: _Landed) -> Whole:
        path = landed.arrival.path
        signature = Signature.of(os.fstat(landed.arrival.fileno()))
        held = Held(str(path.relative_to(self.folder)), signature.mtime_ns)
        return Whole(SettledFile(os.fsencode(path), signature), landed.part, held, landed.peer)


class _LandingInbox(Inbox):
    """What keeps the instances of one association."""

    def __init__(self, landing: Landing, peer: Peer) -> None:
        super().__init__(landing.folder, lambda _: None, landing.limit)
        self._landing, self._peer = landing, peer
        self._origin = origin_elements(peer.calling_ae_title, peer.called_ae_title, peer.address)

    def begin(self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str) -> Arrival:
        """Begin to take an instance, under a name of our own; one that can't be taken is refused from the start."""
        try:
            why = self._landing.closed_because
            folder, name = ("", "") if why else self._landing.place()
        except SpoolOffline as error:
            why, folder, name = str(error), "", ""
        status = self._landing.turn_away(why) if why else STORED
        if not why:
            self._landing.begins(self)
        return Arrival(
            self.folder / folder,
            sop_class_uid,
            sop_instance_uid,
            transfer_syntax_uid,
            self.limit,
            name=name,
            origin=self._origin,
            status=status,
        )

    def keep(self, arrival: Arrival) -> int:
        """Return the status to answer, when the ledger has it."""
        try:
            status = arrival.close()
            if arrival.failure is not None:
                return self._landing.turn_away(arrival.failure.strerror or type(arrival.failure).__name__)
            return self._landing.keep(arrival, self._peer, self) if status == STORED else status
        finally:
            self._landing.has_come(self)
