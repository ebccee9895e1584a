"""Carry one retrieval on under its lease: list what there is, ask for what is missing, judge what came.

What arrives is settled by the daemon that it arrives at, by its UIDs. So a worker that dies has lost nothing but its
round, and one that waits for what is on its way keeps no slot: it gives the retrieval back until the grace is over.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gurney.dicom.status import Service
from gurney.errors import GurneyError
from gurney.ledger.database import Ledger
from gurney.ledger.errors import LeaseLost
from gurney.ledger.retrieving.claims import ClaimedRetrieval, release, renew
from gurney.ledger.retrieving.delivery import deliver, undelivered
from gurney.ledger.retrieving.expectations import expect, listed, series_sizes, verify, wanting
from gurney.ledger.retrieving.settlement import answered, begin_round, conclude, fail, take_on_trust
from gurney.ledger.spools import SpoolPlace
from gurney.observability import get_logger
from gurney.pacs import Progress, QueryRetrieveScu, RemoteAE, Retrieval, StoreScu
from gurney.pacs.association.association import Association
from gurney.pacs.errors import AssociationFailure, ContextRefused, OperationFailed
from gurney.pacs.query.models import STUDY_ROOT
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.pacs.retrieve.inventory import Inventory, take_inventory
from gurney.transfer.outcomes import Event, EventKind
from gurney.transfer.retrieving import Listing, Step
from gurney_workers.asking import what_to_ask, whole
from gurney_workers.folder import put
from gurney_workers.peer import Peer
from gurney_workers.pulse import Pulse
from gurney_workers.stocktaking import UNKNOWN, take_stock

__all__ = ["Fetch", "OwnDoor"]

# SQLite has one writer: no transaction of ours shall keep the others for long.
_ROWS: Final = 200
_RELAYED_AT_ONCE: Final = 100
_TRY_AGAIN_AFTER: Final = 30.0
_SOME_FAILED: Final = 0xB000
_SUCCESS: Final = 0x0000

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class OwnDoor:
    """Where what we retrieve arrives, and for how many seconds nothing may arrive until a round counts as over."""

    remote: RemoteAE
    grace: float


class _ToldToStop(Exception):
    pass


class _NotKept(Exception):
    pass


class Fetch:
    """One retrieval in the hands of one worker."""

    def __init__(
        self,
        ledger: Ledger,
        claimed: ClaimedRetrieval,
        claimed_at: float,
        peers: Mapping[str, Peer],
        door: OwnDoor,
        spool: SpoolPlace,
        *,
        lease_seconds: float,
        draining: Callable[[], bool],
        progress: Progress,
    ) -> None:
        """Prepare; ``claimed_at`` is the monotonic time at which the claim was sent."""
        self._ledger, self._claimed, self._ticket = ledger, claimed, claimed.ticket
        self._peers, self._peer, self._door, self._spool = peers, peers[claimed.source], door, spool
        self._draining, self._progress = draining, progress
        self._scu = QueryRetrieveScu(self._peer.calling_ae_title, fast_path=self._peer.fast_path)
        self._pulse = Pulse(ledger, claimed.ticket, claimed_at, self._abort, lease_seconds, renew=renew)
        self._association: Association | None = None
        self._step, self._listing, self._status = Step.FIND, claimed.listing, claimed.last_status

    def carry(self) -> str:
        """Carry it on as far as that goes now; return in a word what came of it. Raises LedgerUnavailable."""
        try:
            with self._pulse:
                return self._carry()
        except LeaseLost:
            return "lease lost"

    def abandon(self) -> None:
        """Let go of it: nothing moves any more. Safe from any thread."""
        self._pulse.give_up("the retrieval is stuck")

    def _carry(self) -> str:
        try:
            if not self._claimed.answered:
                if self._listing is Listing.NOT_ASKED:
                    self._list()
                self._ask()
            return self._conclude()
        except _ToldToStop:
            self._ledger.transact(release, self._ticket)
            return "told to stop"
        except _NotKept as trouble:
            log.warning("retrieval_put_off", retrieval=self._ticket.id, reason=str(trouble))
            self._ledger.transact(release, self._ticket, _TRY_AGAIN_AFTER, str(trouble))
            return "put off"
        except AssociationFailure as failure:
            return self._fail(failure.event)
        except OperationFailed as failure:
            return self._fail(Event(EventKind.RESPONSE, status=failure.status, comment=failure.comment))

    def _fail(self, event: Event) -> str:
        decision = self._ledger.transact(
            fail,
            self._ticket,
            event,
            self._step,
            move_destination=self._move_destination,
            calling_ae_title=self._peer.calling_ae_title,
            called_ae_title=self._peer.remote.ae_title,
        )
        log.warning("retrieval_failed", retrieval=self._ticket.id, blame=decision.blame.value, reason=decision.words)
        return "failed" if decision.permanent else "to be tried again"

    def _abort(self) -> None:
        association = self._association
        if association is not None:
            association.abort()

    @contextmanager
    def _holding(self, association: QueryAssociation) -> Any:
        """Let the association be aborted by whoever notices that the lease is lost."""
        with association:
            self._association = association
            try:
                if self._pulse.is_lost:
                    association.abort()
                yield association
            finally:
                self._association = None

    def _look_up(self) -> None:
        """Stop between two signs of life of the peer, if we are to."""
        self._progress.mark()
        if self._draining():
            raise _ToldToStop

    # --- What there is ------------------------------------------------------------------------------------------------

    def _list(self) -> None:
        """Ask the source what it has, and enter each instance that it names."""
        try:
            with self._holding(self._scu.associate_for(self._peer.remote)) as association:
                stock = take_stock(association, self._claimed)
        except ContextRefused:
            stock = UNKNOWN
        self._look_up()
        self._listing = stock.listing
        for start in range(0, len(stock.instances), _ROWS):
            self._ledger.transact(expect, self._ticket, stock.instances[start : start + _ROWS])
        self._ledger.transact(
            listed, self._ticket, stock.listing, words=stock.words, said=stock.said, nearline=stock.is_nearline
        )

    # --- Asking -------------------------------------------------------------------------------------------------------

    @property
    def _move_destination(self) -> str:
        direct_to = self._claimed.direct_to
        return self._peers[direct_to].remote.ae_title if direct_to in self._peers else self._door.remote.ae_title

    def _ask(self) -> None:
        with self._ledger.read() as conn:
            missing, sizes = wanting(conn, self._ticket.id), series_sizes(conn, self._ticket.id)
        parts = what_to_ask(self._claimed, self._listing, missing, sizes)
        if not parts:
            return
        if self._claimed.direct_to and self._claimed.direct_to not in self._peers:
            raise _NotKept(f"there is no remote {self._claimed.direct_to!r} in the configuration any more")
        self._ledger.transact(begin_round, self._ticket)
        if self._claimed.direct_to or self._peer.retrieve == "move":
            self._step = Step.MOVE
            self._status = self._move(parts)
        else:
            self._step = Step.GET
            self._status = self._get(parts, {one.sop_class_uid for one in missing})
        self._ledger.transact(answered, self._ticket, self._status)

    def _move(self, parts: Sequence[Retrieval]) -> int:
        """Have the source send, and return the last final status; another than success where any part had one."""
        worst = _SUCCESS
        with self._holding(self._scu.associate_for(self._peer.remote)) as association:
            for part in parts:
                with association.move(part, self._move_destination) as reports:
                    for _ in reports:
                        self._look_up()
                    last = reports.progress
                if last is None:
                    continue
                nothing_came = last.status == _SOME_FAILED and last.failed and not last.completed and not last.warning
                if nothing_came and not self._claimed.rounds:
                    raise OperationFailed(Service.C_MOVE, last.status)
                worst = last.status or worst
        return worst

    def _get(self, parts: Sequence[Retrieval], sop_class_uids: set[str]) -> int:
        """Get into a folder beside the spool, and hand all of it to our own receiver: one way in, from any host."""
        folder = Path(self._spool.path) / f".get-{self._ticket.id}"
        # A worker that was killed may have left one; what was in it is asked for again.
        shutil.rmtree(folder, ignore_errors=True)
        worst = _SUCCESS
        try:
            folder.mkdir()
            for part in parts:
                classes: Iterable[str] = () if "" in sop_class_uids else sorted(sop_class_uids)
                arrivals = self._scu.get(self._peer.remote, part, folder, classes)
                try:
                    with arrivals:
                        for n, _ in enumerate(arrivals, start=1):
                            self._look_up()
                            if n % _RELAYED_AT_ONCE == 0:
                                self._relay(folder)
                finally:
                    # What has come is kept, however the rest ends.
                    self._relay(folder)
                worst = (arrivals.progress.status if arrivals.progress is not None else _SUCCESS) or worst
        except OSError as error:
            raise _NotKept(f"{folder}: {os.strerror(error.errno or 0)}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return worst

    def _relay(self, folder: Path) -> None:
        paths = sorted(folder.glob("*.dcm"))
        if not paths:
            return
        scu = StoreScu(self._door.remote.ae_title)
        try:
            for path, result in zip(paths, scu.store_many(self._door.remote, paths), strict=True):
                self._progress.mark()
                if not result.is_stored:
                    raise _NotKept(f"our own receiver does not keep what was got: {result.event.detail or result}")
                path.unlink()
        except AssociationFailure as failure:
            raise _NotKept(f"our own receiver ({self._door.remote}) can't be reached: {failure}") from failure

    # --- What came ----------------------------------------------------------------------------------------------------

    def _conclude(self) -> str:
        if self._claimed.direct_to and not self._verify():
            return "taken on trust"
        while True:
            self._deliver()
            conclusion = self._ledger.transact(conclude, self._ticket, self._door.grace)
            if conclusion is not None:
                return conclusion.verdict.value

    def _verify(self) -> bool:
        """Ask the third party what it has; false where it can't be asked, and the source's word is taken."""
        name = self._claimed.direct_to
        inventory, why = self._inventory_of(name)
        if inventory is not None and inventory.holdings is not None:
            uids = [one.sop_instance_uid for one in inventory.holdings]
            for start in range(0, len(uids), _ROWS):
                self._ledger.transact(verify, self._ticket, uids[start : start + _ROWS])
            if self._listing in (Listing.TRUSTED, Listing.DOUBTED):
                return True
            why = f"{self._claimed.source} does not say which instances it has"
        if self._status != _SUCCESS:
            return True
        words = f"{self._claimed.source} says that all was sent; not proven: {why}"
        self._ledger.transact(take_on_trust, self._ticket, words)
        return False

    def _inventory_of(self, name: str) -> tuple[Inventory | None, str]:
        target = self._peers[name]
        why = f"{name} does not answer queries at IMAGE level"
        try:
            scu = QueryRetrieveScu(target.calling_ae_title, fast_path=target.fast_path)
            with self._holding(scu.associate_for(target.remote)) as association:
                return take_inventory(association, whole(self._claimed), STUDY_ROOT), why
        except GurneyError as error:
            if self._pulse.is_lost:
                raise
            return None, f"{name} can't be asked: {error}"

    def _deliver(self) -> None:
        folder = self._claimed.folder
        while folder:
            with self._ledger.read() as conn:
                waiting = undelivered(conn, self._ticket.id, self._spool.id, _ROWS)
            if not waiting:
                return
            for one in waiting:
                self._look_up()
                name = f"{one.sop_instance_uid}.dcm"
                try:
                    put(
                        os.path.join(self._spool.path, one.spool_path),
                        folder,
                        self._claimed.study_instance_uid,
                        one.series_instance_uid,
                        name,
                    )
                except OSError as error:
                    raise _NotKept(f"{folder}: {os.strerror(error.errno or 0)}") from error
            self._ledger.transact(deliver, self._ticket, [one.wanted_id for one in waiting])
