"""One slot of a worker: what a process opens after its fork, and what it does when it is rung.

A ring is answered by one batch, then passed on if more is due: so destinations take turns, and a long queue at one
holds nobody up at another.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from gurney.errors import LedgerError
from gurney.jobs import Doorbell, Lane
from gurney.ledger import batches, reconciling
from gurney.ledger.claims import claim
from gurney.ledger.database import Ledger
from gurney.ledger.deaths import bury
from gurney.ledger.errors import LedgerUnavailable
from gurney.ledger.forwarding import Bell
from gurney.ledger.processes import ProcessName
from gurney.ledger.retrieving.claims import ClaimedRetrieval
from gurney.ledger.retrieving.claims import claim as claim_retrieval
from gurney.ledger.schema import check_schema
from gurney.ledger.spools import SpoolPlace, known_spools
from gurney.ledger.terms import BatchLimits, Claim, Claimant
from gurney.ledger.workers import announce, leave
from gurney.observability import bound, get_logger
from gurney.pacs import DicomEngine, StoreScu
from gurney.transfer.states import Priority
from gurney_workers.batch import Batch, Carried
from gurney_workers.fetch import Fetch, OwnDoor
from gurney_workers.folders import Folders
from gurney_workers.peer import Peer
from gurney_workers.share import Share
from gurney_workers.vigil import GRACE, Errand, Vigil

__all__ = ["Peer", "Slot"]

_ANNOUNCE_EVERY = 15.0
_RING_EVERY = 3.0

log = get_logger(__name__)


class Slot:
    """Serve rings with one ledger, one DICOM engine, one doorbell; opened in the process that uses them."""

    def __init__(
        self,
        ledger: Ledger,
        doorbell: Doorbell,
        peers: dict[str, Peer],
        *,
        pool: str,
        lanes: tuple[Lane, ...],
        host_slots: int,
        limits: BatchLimits,
        batch_seconds: float,
        draining: Callable[[], bool],
        folders: Folders,
        own_door: OwnDoor | None = None,
        on_blocked: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare; nothing is opened yet.

        ``peers`` are the remotes by name, ``folders`` those from which files may be sent where they lie;
        ``own_door`` is where what we retrieve arrives, None where nothing is to be retrieved;
        ``on_blocked`` is called when a thread that serves hangs for good.
        """
        self._folders, self._own_door = folders, own_door
        self._ledger, self._doorbell, self._peers = ledger, doorbell, peers
        self._pool, self._lanes, self._host_slots = pool, lanes, host_slots
        self._limits, self._batch_seconds, self._draining = limits, batch_seconds, draining
        self._host = socket.gethostname()
        self._name = str(ProcessName.of_this_process(lanes[-1].value))
        self._engine = DicomEngine()
        self._vigil = Vigil(on_blocked, min(GRACE, limits.ttl))
        self._places: dict[str, SpoolPlace] = {}
        self._ended = threading.Event()
        self._rounds = threading.Thread(target=self._go_round, name="rounds", daemon=True)

    def open(self) -> None:
        """Start the engine and say that we are here. Raises LedgerError when code and ledger don't fit."""
        check_schema(self._ledger)
        self._engine.startup()
        self._vigil.open()
        self._rounds.start()
        log.info("slot_open", worker=self._name, lanes=[lane.value for lane in self._lanes])

    def close(self) -> None:
        """Say goodbye and free everything."""
        self._ended.set()
        self._vigil.close()
        try:
            self._ledger.transact(leave, self._name)
        except LedgerError as error:
            log.warning("leave_failed", worker=self._name, reason=str(error))
        self._engine.shutdown()
        self._doorbell.close()
        self._ledger.dispose()

    def serve(self, destination: str, spool: str) -> None:
        """Answer a ring: claim a batch, carry it, pass the ring on. While the ledger is away, nothing is claimed."""
        peer = self._peers.get(destination)
        # The ledger's lease is also for how long anything of our own may take that is no wait for the peer.
        patience = self._limits.ttl + (peer.remote.timeouts.longest_wait if peer is not None else 0.0)
        with (
            bound(destination=destination, worker=self._name),
            self._vigil.over(patience, destination=destination, worker=self._name) as errand,
        ):
            try:
                self._serve(destination, spool, peer, errand)
            except LedgerUnavailable as error:
                log.warning("ring_unanswered", reason=str(error))

    def _serve(self, destination: str, spool: str, peer: Peer | None, errand: Errand) -> None:
        place = self._readable(spool)
        if place is None or peer is None:
            log.warning("ring_not_for_us", spool=spool, knows_remote=peer is not None)
            return
        stat_only = self._lanes == (Lane.STAT,) or peer.is_shut
        if self._draining() or (peer.is_shut and not peer.stat_passes):
            return
        claimant = Claimant(self._name, self._host, self._host_slots, place.id, stat_only=stat_only)
        claimed_at = time.monotonic()
        claimed = self._ledger.transact(claim, destination, claimant, self._limits)
        if not isinstance(claimed, Claim):
            log.debug("nothing_claimed", reason=claimed.reason)
            return
        ring = partial(self._doorbell.ring, self._pool, Lane.WORK, destination, spool=spool)
        if claimed.ring_on:
            ring()
        # A second association may join in a new study as soon as the peer has something of it.
        on_first_stored = ring if claimed.ring_on and claimed.is_first else lambda: None
        batch = self._batch(claimed, claimed_at, peer, place, errand, on_first_stored)
        carried = self._carry(batch, claimed)
        errand.progress.mark()
        if not carried.wanting:  # else the reconciler rings in a while
            self._ring_on(claimed, place)

    def retrieve(self, source: str, spool: str) -> None:
        """Answer a ring to retrieve: claim one retrieval, carry it on, pass the ring on."""
        peer = self._peers.get(source)
        waits = peer.remote.timeouts if peer is not None else None
        patience = self._limits.ttl + (max(waits.longest_wait, waits.find, waits.move) if waits is not None else 0.0)
        with (
            bound(source=source, worker=self._name),
            self._vigil.over(patience, source=source, worker=self._name) as errand,
        ):
            try:
                self._retrieve(source, spool, peer, errand)
            except LedgerUnavailable as error:
                log.warning("ring_unanswered", reason=str(error))

    def _retrieve(self, source: str, spool: str, peer: Peer | None, errand: Errand) -> None:
        place, door = self._readable(spool), self._own_door
        if place is None or peer is None or door is None:
            log.warning("ring_not_for_us", spool=spool, knows_remote=peer is not None, retrieves=door is not None)
            return
        shut = peer.is_shut
        if self._draining() or (shut and not peer.stat_passes):
            return
        claimed_at = time.monotonic()
        claimed = self._ledger.transact(
            claim_retrieval,
            source,
            self._name,
            place.id,
            at_once=peer.retrieves_at_once,
            ttl=self._limits.ttl,
            stat_only=shut,
        )
        if not isinstance(claimed, ClaimedRetrieval):
            log.debug("nothing_claimed", reason=claimed.reason)
            return
        ring = partial(self._doorbell.ring, self._pool, Lane.RETRIEVE, source, spool=place.name)
        if claimed.ring_on:
            ring()
        fetch = Fetch(
            self._ledger,
            claimed,
            claimed_at,
            self._peers,
            door,
            place,
            lease_seconds=self._limits.ttl,
            draining=self._draining,
            progress=errand.progress,
        )
        errand.ids["retrieval"] = claimed.ticket.id
        errand.on_stuck = fetch.abandon
        begun = time.monotonic()
        outcome = fetch.carry()
        errand.progress.mark()
        log.info(
            "retrieval_carried",
            retrieval=claimed.ticket.id,
            outcome=outcome,
            seconds=round(time.monotonic() - begun, 3),
        )
        ring()  # where nothing more is due, that costs one look

    def _batch(
        self,
        claimed: Claim,
        claimed_at: float,
        peer: Peer,
        place: SpoolPlace,
        errand: Errand,
        on_first_stored: Callable[[], object],
    ) -> Batch:
        batch = Batch(
            self._ledger,
            claimed,
            claimed_at,
            peer.remote,
            StoreScu(peer.calling_ae_title, fast_path=peer.fast_path),
            place,
            self._folders,
            actor=self._name,
            seconds=self._batch_seconds,
            lease_seconds=self._limits.ttl,
            draining=partial(self._must_stop, peer, claimed.priority),
            progress=errand.progress,
            on_first_stored=on_first_stored,
            share=self._share_of(claimed, peer),
        )
        errand.progress.mark()
        errand.ids["lease"] = claimed.ticket.id
        errand.on_stuck = batch.abandon
        return batch

    def _share_of(self, claimed: Claim, peer: Peer) -> Share | None:
        share = Share(peer)
        if not share.is_limited:
            return None
        self._ledger.transact(share.settle, claimed.ticket)
        return share

    def _must_stop(self, peer: Peer, priority: Priority) -> bool:
        """Tell whether to end at the next instance: this worker drains, or the peer's window has shut."""
        passes = peer.stat_passes and priority is Priority.STAT
        return self._draining() or (peer.is_shut and not passes)

    def _carry(self, batch: Batch, claimed: Claim) -> Carried:
        begun = time.monotonic()
        carried = batch.carry()
        log.info(
            "batch_carried",
            lease=claimed.ticket.id,
            transfer=claimed.transfer_id,
            priority=claimed.priority.name,
            items=len(claimed.work),
            stored=carried.stored,
            faults=carried.faults,
            returned=carried.returned,
            reason=carried.reason,
            seconds=round(time.monotonic() - begun, 3),
        )
        return carried

    def _ring_on(self, claimed: Claim, place: SpoolPlace) -> None:
        """Pass the ring on while there is more; STAT that waited for this association goes first."""
        with self._ledger.read() as conn:
            now = self._ledger.clock.now(conn)
            if not batches.has_due_work(conn, claimed.ticket.destination_id, place.id, now):
                return
            stat = batches.has_stat_work(conn, claimed.ticket.destination_id, place.id)
        if stat and claimed.priority is not Priority.STAT:
            self._doorbell.ring(self._pool, Lane.STAT, claimed.destination, spool=place.name)
        self._doorbell.ring(self._pool, Lane.WORK, claimed.destination, spool=place.name)

    def _readable(self, spool: str) -> SpoolPlace | None:
        """Find a spool where it was last known to be; its marker says whether it is there now."""
        place = self._places.get(spool)
        if place is None or not place.is_readable():
            place = self._find_spools().get(spool)
        return place if place is not None and place.is_readable() else None

    def _bury(self) -> None:
        """Take over at once from neighbours that were killed: our own parent's other processes, or its last ones."""
        lost = bury(self._ledger)
        if not lost:
            return
        log.warning("leases_taken_back", leases=lost, reason="their processes are gone")
        self._ring(reconciling.due_bells(self._ledger))

    def _ring(self, due: Sequence[Bell]) -> None:
        if not due:
            return
        # After them: a spool may have been registered just now, and none is ever taken away.
        names = {place.id: place.name for place in self._find_spools().values()}
        for bell in due:
            self._doorbell.ring(names[bell.spool_id], Lane(bell.lane), bell.destination)

    def _find_spools(self) -> dict[str, SpoolPlace]:
        with self._ledger.read() as conn:
            self._places = {place.name: place for place in known_spools(conn)}
        return self._places

    def _go_round(self) -> None:
        announce_at = time.monotonic()
        while True:
            try:
                if time.monotonic() >= announce_at:
                    announce_at = time.monotonic() + _ANNOUNCE_EVERY
                    self._bury()
                    self._announce()
                # What lies there must go out, also where no daemon is left to ring for it.
                self._ring(reconciling.unattended_bells(self._ledger, self._name))
            except LedgerError as error:
                log.warning("round_failed", worker=self._name, reason=str(error))
            if self._ended.wait(_RING_EVERY):
                return

    def _announce(self) -> None:
        readable = [place.name for place in self._find_spools().values() if place.is_readable()]
        self._ledger.transact(
            announce, self._name, host=self._host, kind=self._lanes[-1].value, slots=1, spools=readable
        )
