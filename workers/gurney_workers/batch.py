"""Carry one batch: one lease, one association, each instance settled as the peer answers.

Nothing is decided here. The ledger says what to send, :mod:`gurney.pacs` sends it, ``transfer.retry`` decides what
follows, and whatever this process leaves behind when it dies is due again by the ledger's own rows.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from gurney.dicom.presentation import MAX_CONTEXTS, plan_contexts
from gurney.ledger.database import Ledger
from gurney.ledger.errors import LeaseLost, LedgerUnavailable
from gurney.ledger.interruptions import interruption
from gurney.ledger.leases import postpone, renew
from gurney.ledger.settlement import Settlement, conclude
from gurney.ledger.spools import SpoolPlace
from gurney.ledger.terms import Claim, Work
from gurney.observability import get_logger
from gurney.pacs import (
    VERIFICATION,
    AssociationFailure,
    FileSignature,
    Progress,
    RemoteAE,
    StoreAssociation,
    StoreRequest,
    StoreResult,
    StoreScu,
)
from gurney.transfer.outcomes import Event, EventKind
from gurney_workers.folders import Folder, Folders
from gurney_workers.pulse import Pulse
from gurney_workers.recorder import Recorder
from gurney_workers.share import Share

__all__ = ["Batch", "Carried"]

# How often, between two instances, the ledger is asked whether to stop.
_LOOK_EVERY = 0.1
_ENDPOINT = 128
# Seconds until what lies in a folder that is away is looked for again.
_AWAY = 120.0
_AWAY_WORDS = "the folder in which its file lies is away"
# Not an attempt: the item was never on the wire and goes back as it was.
_UNTRIED = frozenset({EventKind.NEIGHBOUR})
# Where the spool or the folder may be to blame.
_NOT_READ = frozenset({EventKind.FILE_MISSING, EventKind.UNREADABLE})

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Carried:
    """What came of a batch. ``wanting``: this host has not what it takes, and at once would not have it either."""

    stored: int
    faults: int
    returned: int
    reason: str
    wanting: bool = False


class Batch:
    """A claimed batch on its way. :meth:`carry` does it all; any thread may call :meth:`stop`."""

    def __init__(
        self,
        ledger: Ledger,
        claim: Claim,
        claimed_at: float,
        remote: RemoteAE,
        scu: StoreScu,
        spool: SpoolPlace,
        folders: Folders,
        *,
        actor: str,
        seconds: float,
        lease_seconds: float,
        draining: Callable[[], bool],
        progress: Progress,
        on_first_stored: Callable[[], object] = lambda: None,
        share: Share | None = None,
    ) -> None:
        """Prepare; ``claimed_at`` is the monotonic time at which the claim was sent, ``seconds`` the batch's length.

        ``lease_seconds`` is for how long the ledger grants the lease at the claim and at each renewal;
        ``progress`` is marked whenever something moves; ``on_first_stored`` is called once the ledger knows of
        something stored, while the batch goes on; ``share`` is what it may use of the destination's limits.
        """
        self._share = share
        self._ledger, self._claim = ledger, claim
        self._remote, self._scu, self._actor = remote, scu, actor
        self._spool, self._folders = spool, folders
        self._draining, self._progress = draining, progress
        # A host's name may be longer than its column: PostgreSQL would take no result of such a destination.
        self._endpoint = f"{remote.ae_title}@{remote.host}:{remote.port}"[:_ENDPOINT]
        self._item_ids = [work.item_id for work in claim.work]
        self._deadline = time.monotonic() + seconds
        # The claim has just seen that there is nothing to stop for.
        self._next_look = claimed_at + _LOOK_EVERY
        self._stop_reason = ""
        self._assoc: StoreAssociation | None = None
        self._aborting = threading.Lock()
        self._tried: set[int] = set()
        self._cancelled: frozenset[int] = frozenset()
        self._blamed = self._wanting = False
        self._away: Folder | None = None
        # What was asked for and has no result yet: one on the wire at most, and the one whose file is read.
        self._asked: list[Work] = []
        self._recorder = Recorder(ledger, claim.ticket, self.stop, lease_seconds, on_first_stored)
        self._pulse = Pulse(
            ledger, claim.ticket, claimed_at, self.stop, lease_seconds, renew=renew if share is None else share.renew
        )

    def carry(self) -> Carried:
        """Send the batch and settle it; return when everything that can be written is written."""
        with self._pulse, self._recorder:
            try:
                self._associate_and_store()
            except AssociationFailure as failure:
                self._blame(failure)
        self._progress.mark()
        if self._away is not None:
            self._postpone(self._away)
        reason = self._stop_reason or "done"
        returned = self._recorder.conclude(self._actor, reason)
        totals = self._recorder.totals
        return Carried(totals.stored, totals.faults, returned, reason, self._wanting)

    def stop(self) -> None:
        """Abort the association: the lease is lost. Safe from any thread, and after the end."""
        self._stop_reason = self._stop_reason or "lease lost"
        with self._aborting:
            if self._assoc is not None:
                self._assoc.abort()

    def abandon(self) -> None:
        """Give back what is held and abort the association: nothing moves any more. Safe from any thread.

        Where the ledger can't be told, the lease runs out.
        """
        self._stop_reason = self._stop_reason or "stuck"
        # In a thread that nobody waits for: the ledger may hang too.
        threading.Thread(target=self._give_back, name="give-back", daemon=True).start()
        self._pulse.give_up("the batch is stuck")

    def _associate_and_store(self) -> None:
        pairs = dict.fromkeys((work.sop_class_uid, work.transfer_syntax_uid) for work in self._claim.work)
        proposals = plan_contexts(pairs)[0]
        if self._claim.probe and len(proposals) < MAX_CONTEXTS:
            proposals = [*proposals, VERIFICATION]
        throttle = None if self._share is None else self._share.bytes
        assoc = self._scu.associate(self._remote, proposals, self._progress, throttle=throttle)
        with self._aborting:
            self._assoc = assoc
        with assoc:
            if self._claim.probe and assoc.accepts(VERIFICATION.sop_class_uid, VERIFICATION.transfer_syntax_uid):
                assoc.verify()
            for result in assoc.store(self._requests()):
                self._settle(result)

    def _requests(self) -> Iterator[StoreRequest]:
        for work in self._claim.work:
            self._look()
            if self._stop_reason:
                return
            if self._share is not None:
                self._share.await_instance(self._must_stop, self._progress.mark)
                self._look()
                if self._stop_reason:
                    return
            if work.item_id not in self._cancelled:
                self._asked.append(work)
                yield self._request(work)

    def _must_stop(self) -> bool:
        self._look()
        return bool(self._stop_reason)

    def _look(self) -> None:
        """Look between two instances whether to go on, and what has been cancelled."""
        now = time.monotonic()
        if self._recorder.must_stop:
            self._stop_reason = self._stop_reason or "destination or lease in trouble"
        elif self._draining():
            self._stop_reason = self._stop_reason or "draining"
        elif now >= self._deadline:
            self._stop_reason = self._stop_reason or "batch time is over"
        if self._stop_reason or now < self._next_look:
            return
        self._next_look = now + _LOOK_EVERY
        try:
            with self._ledger.read() as conn:
                seen = interruption(conn, self._claim.ticket, self._claim.priority, self._item_ids)
        except LedgerUnavailable:
            # The recorder and the pulse have more patience, and know when it ends.
            return
        # Another thread may have said "lease lost" while we looked.
        self._stop_reason = self._stop_reason or seen.stop
        self._cancelled = seen.cancelled

    def _request(self, work: Work) -> StoreRequest:
        return StoreRequest(
            f"{self._spool.path}/{work.spool_path}" if work.spool_path else os.fsdecode(work.path),
            work.sop_class_uid,
            work.sop_instance_uid,
            work.transfer_syntax_uid,
            work.dataset_offset,
            FileSignature(size=work.size, mtime_ns=work.mtime_ns),
            key=work,
        )

    def _settle(self, result: StoreResult) -> None:
        self._progress.mark()
        event, work = result.event, cast(Work, result.request.key)
        self._asked.remove(work)
        if event.kind in _UNTRIED:
            return
        if event.kind in _NOT_READ:
            if self._is_away(work):
                return
            if work.spool_path and not self._spool.is_readable():
                event = Event(EventKind.SPOOL_OFFLINE, detail="the spool can't be read on this host")
                self._stop_reason = self._stop_reason or "spool offline"
        if event.kind in {EventKind.LOCAL, EventKind.UNREADABLE}:
            # What comes next would most likely fare alike.
            self._stop_reason = self._stop_reason or event.detail
            self._wanting |= event.kind is EventKind.LOCAL
        self._blamed |= event.in_flight
        self._record(work.item_id, event, result.bytes_sent, result.seconds)

    def _give_back(self) -> None:
        """Settle the one whose file hangs, and let the others go back; what was on the wire may have been stored.

        Every wait for the peer ends by itself, so what hangs is the file that was asked for last.
        """
        if not self._asked:
            return
        *sent, hangs = self._asked
        group = [self._settlement(work.item_id, Event(EventKind.CANCELLED, in_flight=True)) for work in sent]
        group.append(self._settlement(hangs.item_id, Event(EventKind.UNREADABLE, detail="the read hangs")))
        try:
            self._ledger.transact(
                conclude, self._claim.ticket, group, self._recorder.totals, self._actor, "a file hangs"
            )
        except (LeaseLost, LedgerUnavailable) as error:
            log.warning("not_given_back", lease=self._claim.ticket.id, reason=str(error))

    def _is_away(self, work: Work) -> bool:
        """Tell whether a file that is sent from where it lies can't be had because its whole folder is away."""
        folder = None if work.spool_path else self._folders.of(work.path)
        if folder is None or folder.is_there():
            return False
        self._away = folder
        self._stop_reason = self._stop_reason or "folder offline"
        return True

    def _postpone(self, folder: Folder) -> None:
        """Let what lies in a folder that is away wait, so that it holds up nobody else."""
        waiting = [
            work.item_id
            for work in self._claim.work
            if work.item_id not in self._tried and not work.spool_path and self._folders.of(work.path) == folder
        ]
        try:
            n = self._ledger.transact(postpone, self._claim.ticket, waiting, _AWAY, self._actor, _AWAY_WORDS)
        except (LeaseLost, LedgerUnavailable) as error:
            # They go back as they were.
            log.warning("not_postponed", lease=self._claim.ticket.id, reason=str(error))
            return
        log.error("folder_offline", watch=folder.name, lease=self._claim.ticket.id, postponed=n)

    def _record(self, item_id: int, event: Event, bytes_sent: int = 0, seconds: float = 0.0) -> None:
        self._tried.add(item_id)
        self._recorder.add(self._settlement(item_id, event, bytes_sent, seconds))

    def _settlement(self, item_id: int, event: Event, bytes_sent: int = 0, seconds: float = 0.0) -> Settlement:
        return Settlement(
            item_id,
            event,
            endpoint=self._endpoint,
            bytes_sent=bytes_sent,
            seconds=seconds,
            alone=len(self._item_ids) == 1,
        )

    def _blame(self, failure: AssociationFailure) -> None:
        """Tell the ledger once of an association that failed with nothing on the wire: by the first item not tried."""
        log.warning(
            "association_failed", destination=self._claim.destination, lease=self._claim.ticket.id, reason=str(failure)
        )
        self._stop_reason = self._stop_reason or failure.event.kind.value
        if self._blamed or failure.event.kind is EventKind.CANCELLED:
            return
        for work in self._claim.work:
            if work.item_id not in self._tried:
                self._record(work.item_id, failure.event)
                return
