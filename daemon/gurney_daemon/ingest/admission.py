"""Take a group of settled files in: inspect, hold, compare, route, and write all of it in one transaction.

The order is what makes it safe. A file is held by the spool before its row commits, so that what the ledger says is
accepted can be sent whatever happens to the folder. The bells are rung after the commit, by who called.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.exc import IntegrityError

from gurney.dicom.errors import Part10Error
from gurney.errors import GurneyError
from gurney.ledger import intake, overwriting
from gurney.ledger.arrivals import Arrival, FileFacts, Twin, matched_routes, twins
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Bell, words
from gurney.ledger.overwriting import Overwritten
from gurney.ledger.quarantine import CONFLICT
from gurney.ledger.retrieving.arrivals import Arrived, settle_arrivals
from gurney.observability import get_logger
from gurney.transfer.routing import Door
from gurney.transfer.states import FileState, Routing
from gurney_daemon.ingest.comparison import is_same
from gurney_daemon.ingest.inspection import Inspected, Refused, Source, Whole, inspect, refusal
from gurney_daemon.ingest.overwriting import overwritten
from gurney_daemon.ingest.peer import NO_PEER, Peer
from gurney_daemon.ingest.reading import Facts, opened, read_header
from gurney_daemon.ingest.routes import Routes
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Held, Shelf

__all__ = ["Admission", "Taken"]

log = get_logger(__name__)

# How often others may come between looking and writing, before we give up and look from the start.
_TRIES: Final = 8


@dataclass(slots=True)
class Taken:
    """What became of a group: what is in the ledger now, what was refused or lost by it, and whom to ring."""

    counts: Counter[str] = field(default_factory=Counter)
    arrivals: list[Arrival] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    overwritten: list[Overwritten] = field(default_factory=list)
    bells: list[Bell] = field(default_factory=list)
    inspected: Inspected = field(default_factory=Inspected)


class Admission:
    """The way into the ledger for one source; ``guard`` is called in each transaction, raising if it may not write."""

    def __init__(
        self,
        source: Source,
        ledger: Ledger,
        shelf: Shelf,
        routes: Routes,
        *,
        actor: str,
        guard: Callable[[Transaction], None] = lambda _tx: None,
    ) -> None:
        """Prepare; ``actor`` is who stands in the audit trail."""
        self.source, self.routes = source, routes
        self._ledger, self._shelf, self._actor, self._guard = ledger, shelf, actor, guard
        self._facts = Facts()

    def admit(
        self, group: Sequence[SettledFile], *, may_wait: Callable[[SettledFile], bool] = lambda _: False
    ) -> Taken:
        """Take a group in. ``may_wait`` says whether a file that is not whole, or can't be read, gets another chance.

        Raises SpoolOffline, or what the ledger raises: then nothing of the group is in the ledger as far as we know,
        and what was held is found by its note.
        """
        if self.source.hold == "in_place":
            found = inspect(group, self.source, self.routes.wanted, None, may_wait)
            return self._commit(found)
        holding, committed = self._shelf.open_group([settled.path for settled in group]), False
        try:
            found = inspect(group, self.source, self.routes.wanted, holding, may_wait)
            if found.wholes or found.refused:
                holding.sync()
            taken = self._commit(found)
            committed = True
        finally:
            holding.close(committed=committed)
        return taken

    def land(self, wholes: Sequence[Whole]) -> Taken:
        """Take in what has come straight into the spool, and is safe there. Raises what the ledger raises."""
        return self._commit(Inspected(wholes=list(wholes)))

    def adopt(self, settled: SettledFile, spool_path: str, peer: Peer = NO_PEER) -> Taken:
        """Take in what is held already, by its name in the spool; ``settled`` has its old path and its own signature.

        Raises as :meth:`admit` does.
        """
        found = Inspected()
        held = Held(spool_path, settled.signature.mtime_ns)
        with opened(self._shelf.spool.path_of(spool_path), settled.signature) as fd:
            try:
                part = read_header(fd, self.routes.wanted, self.source.policy)
                found.wholes.append(Whole(settled, part, held, peer))
            except Part10Error as error:
                found.refused.append(refusal(settled, error, self.source, held))
        return self._commit(found)

    def readmit(self, settled: SettledFile, place: bytes, looks: Signature) -> Taken:
        """Take in a file that was refused once, from ``place``, where it must look so; ``settled`` is how it is known.

        Raises Part10Error where it is refused again, FileChanged or OSError where it is not there as it was, and as
        :meth:`admit` does; then nothing is written.
        """
        found = Inspected()
        with opened(place, looks) as fd:
            part = read_header(fd, self.routes.wanted, self.source.policy)
            if self.source.hold == "in_place":
                found.wholes.append(Whole(settled, part, Held("", looks.mtime_ns)))
                return self._commit(found)
            holding, committed = self._shelf.open_group([settled.path]), False
            try:
                link = self.source.hold == "auto" or place != settled.path
                held = holding.hold(0, fd, part.dataset_offset, link=link, blank_preamble=part.executable_preamble)
                found.wholes.append(Whole(settled, part, held))
                holding.sync()
                taken = self._commit(found)
                committed = True
            finally:
                holding.close(committed=committed)
        return taken

    def _commit(self, found: Inspected) -> Taken:
        """Write a group; where the database refuses it, write each file by itself and quarantine the one it refuses."""
        taken = Taken(inspected=found)
        try:
            self._write_group(found.wholes, found.refused, taken)
        except GurneyError:
            raise
        except Exception as error:  # whatever one file's values provoke must not stop its folder
            log.warning("group_refused", source=self.source.name, files=len(found.wholes), exc_info=error)
            self._write_group([], found.refused, taken)
            for whole in found.wholes:
                self._write_alone(whole, taken)
        return taken

    def _write_alone(self, whole: Whole, taken: Taken) -> None:
        try:
            self._write_group([whole], [], taken)
        except GurneyError:
            raise
        except Exception as error:  # noqa: BLE001 - see _commit
            detail = f"the ledger could not take it in: {type(error).__name__}"
            refused = Refused(whole.settled, FileState.QUARANTINED, "not_storable", detail, whole.held)
            self._write_group([], [refused], taken)

    def _write_group(self, wholes: Sequence[Whole], refused: Sequence[Refused], taken: Taken) -> None:
        group = [whole.settled for whole in wholes] + [one.settled for one in refused]
        for last in range(_TRIES, -1, -1):
            over = self._overwritten(group)
            arrivals, conflicts = self._decide(wholes)
            kept, told = (refused, []) if self.source.quarantines else ([], [*refused, *conflicts])
            try:
                report, file_ids, lost = self._write_if_any(arrivals, kept, over)
                break
            except (StaleRead, IntegrityError):
                # Another door has brought the same instance or study in between: look again.
                if not last:
                    raise
        for (study, rules), n in _routing_errors(arrivals).items():
            log.warning("routing_failed", source=self.source.name, study_instance_uid=study, instances=n, rules=rules)
        for destination, n in report.returned.items():
            log.warning("routing_loop", source=self.source.name, destination=destination, instances=n)
        taken.arrivals.extend(arrivals)
        taken.counts.update(report.counts)
        taken.conflicts.extend(report.conflicts)
        taken.overwritten.extend(lost)
        taken.bells.extend(report.bells)
        taken.refused.extend(replace(one, file_id=file_id) for one, file_id in zip(kept, file_ids, strict=True))
        taken.refused.extend(told)
        for one in told:
            if one.held.spool_path:
                self._shelf.spool.remove(one.held.spool_path)

    def _overwritten(self, group: Sequence[SettledFile]) -> Sequence[int]:
        """Look whether a folder's files were written over; where what a peer pushed lies, nothing was before."""
        if self.source.door in (Door.RECEIVE, Door.RETRIEVE):
            return ()
        with self._ledger.read() as conn:
            return overwritten(conn, self.source.name, group, self._shelf.spool)

    def _write_if_any(
        self, arrivals: Sequence[Arrival], refused: Sequence[Refused], over: Sequence[int]
    ) -> tuple[intake.Intake, list[int], list[Overwritten]]:
        if not arrivals and not refused:
            return intake.Intake(), [], []
        return self._ledger.transact(self._write, arrivals, refused, over)

    def _write(
        self, tx: Transaction, arrivals: Sequence[Arrival], refused: Sequence[Refused], over: Sequence[int]
    ) -> tuple[intake.Intake, list[int], list[Overwritten]]:
        self._guard(tx)
        report = intake.take_in(tx, arrivals, self._actor) if arrivals else intake.Intake()
        if arrivals and self.source.door == Door.RETRIEVE:
            report.bells.extend(settle_arrivals(tx, [_come(arrival) for arrival in arrivals], self._actor))
        file_ids = [
            intake.refuse(tx, self._file_facts(no.settled, no.held), no.state, no.reason, no.detail) for no in refused
        ]
        lost = overwriting.note_overwritten(tx, over, self._actor) if over else []
        intake.count(tx, self.source.name, {"overwritten": len(lost)})
        return report, file_ids, lost

    def _decide(self, wholes: Sequence[Whole]) -> tuple[list[Arrival], list[Refused]]:
        """Look up what hangs on the ledger, and decide on each file; conflicts apart where they are only to be told."""
        if not wholes:
            return [], []
        with self._ledger.read() as conn:
            known = twins(conn, [whole.part.sop_instance_uid for whole in wholes])
            matched = matched_routes(conn, list({whole.part.study_instance_uid for whole in wholes}))
        arrivals: list[Arrival] = []
        conflicts: list[Refused] = []
        for whole in wholes:
            twin = known.get(whole.part.sop_instance_uid)
            arrival = self._arrival(whole, twin, matched[whole.part.study_instance_uid])
            if twin and not arrival.same and not self.source.quarantines and self.source.on_conflict != "replace":
                detail = f"another data set of SOP Instance {whole.part.sop_instance_uid} is known already"
                conflicts.append(Refused(whole.settled, FileState.QUARANTINED, CONFLICT, detail, whole.held))
            else:
                arrivals.append(arrival)
        return arrivals, conflicts

    def _arrival(self, whole: Whole, twin: Twin | None, matched: frozenset[str]) -> Arrival:
        spool, held = self._shelf.spool, whole.held
        path = spool.path_of(held.spool_path) if held.spool_path else whole.settled.path
        return Arrival(
            file=self._file_facts(whole.settled, held, whole.part.dataset_offset, whole.peer),
            instance=self._facts.of(whole.part),
            decision=self.routes.decide(whole.part, matched, whole.peer),
            study_matched=matched,
            twin=twin.instance_id if twin else None,
            same=twin is not None and is_same(whole.part, path, twin, spool),
            on_conflict=self.source.on_conflict,
        )

    def _file_facts(self, settled: SettledFile, held: Held, dataset_offset: int = 0, peer: Peer = NO_PEER) -> FileFacts:
        dev, inode, size, mtime_ns = settled.signature
        return FileFacts(
            source=self.source.name,
            door=self.source.door,
            path=settled.path,
            dev=dev,
            inode=inode,
            size=size,
            mtime_ns=mtime_ns,
            spool_id=self._shelf.spool.id,
            dataset_offset=dataset_offset,
            spool_path=held.spool_path,
            spool_mtime_ns=held.mtime_ns,
            digest=held.digest,
            after=self.source.after,
            calling_ae_title=peer.calling_ae_title,
            called_ae_title=peer.called_ae_title,
            peer_address=peer.address,
        )


def _come(arrival: Arrival) -> Arrived:
    facts = arrival.instance
    return Arrived(facts.study.study_instance_uid, facts.series.series_instance_uid, facts.sop_instance_uid)


def _routing_errors(arrivals: Sequence[Arrival]) -> Counter[tuple[str, str]]:
    """Count the instances of which rules failed, by study and by which did and why, in words without values."""
    return Counter(
        (arrival.instance.study.study_instance_uid, words(arrival.decision))
        for arrival in arrivals
        if arrival.decision.state is Routing.ERROR
    )
