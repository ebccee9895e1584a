"""Take a group of settled files in: read, hold, compare, route, and write all of it in one transaction.

The order is what makes it safe. A file is held by the spool before its row commits, so that what the ledger says is
accepted can be sent whatever happens to the folder. The bells are rung after the commit.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from sqlalchemy.exc import IntegrityError

from gurney.dicom.content import dataset_digest, same_dataset
from gurney.dicom.errors import Part10Error, Reason, TruncatedError, UnreadableError
from gurney.dicom.part10 import Part10
from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.errors import GurneyError
from gurney.ledger import intake
from gurney.ledger.arrivals import Arrival, FileFacts, Twin, TwinFile, matched_routes, twins
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Bell
from gurney.transfer.states import FileState
from gurney_daemon.ingest.errors import FileChanged, SpoolOffline
from gurney_daemon.ingest.reading import check_unchanged, instance_facts, opened, read_header
from gurney_daemon.ingest.routes import Routes
from gurney_daemon.ingest.settling import Settled
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Group, Held, HoldMode, Shelf

__all__ = ["Admission", "Refused", "Source", "Taken"]

# How often others may come between looking and writing, before we give up and look from the start.
_TRIES: Final = 8
# What is shorter has no room for a preamble and "DICM", and may only have been begun.
_SHORTEST: Final = 132
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NOT_HELD: Final = Held("", 0)


@dataclass(frozen=True, slots=True)
class Source:
    """A door and its policy. ``ignored`` are the reasons for which a file is left aside and not quarantined."""

    name: str
    door: str = "watch"
    hold: HoldMode = "auto"
    after: str = "keep"
    on_conflict: str = "review"
    policy: ReadPolicy = STRICT
    ignored: frozenset[Reason] = frozenset({Reason.MEDIA_DIRECTORY})


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken, and why: for quarantine, or, by policy, to be left aside."""

    settled: Settled
    state: FileState
    reason: str
    detail: str
    held: Held
    file_id: int = 0


@dataclass(slots=True)
class Taken:
    """What became of a group; ``incomplete``, ``changed`` and ``deferred`` must be looked at again."""

    counts: Counter[str] = field(default_factory=Counter)
    arrivals: list[Arrival] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)
    bells: list[Bell] = field(default_factory=list)
    incomplete: list[tuple[Settled, Reason]] = field(default_factory=list)
    changed: list[tuple[bytes, Signature]] = field(default_factory=list)
    deferred: list[Settled] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Whole:
    """A file that is what it should be, and is held."""

    settled: Settled
    part: Part10
    held: Held


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

    def admit(self, group: Sequence[Settled], *, may_wait: Callable[[Settled], bool] = lambda _: False) -> Taken:
        """Take a group in. ``may_wait`` says whether a file that is not whole, or can't be read, gets another chance.

        Raises SpoolOffline, or what the ledger raises: then nothing of the group is in the ledger as far as we know,
        and what was held is found by its note.
        """
        taken = Taken()
        if self.source.hold == "in_place":
            self._commit(self._look(group, None, taken, may_wait), taken)
            return taken
        holding = self._shelf.open_group([settled.path for settled in group])
        committed = False
        try:
            wholes = self._look(group, holding, taken, may_wait)
            holding.sync()
            self._commit(wholes, taken)
            committed = True
        finally:
            holding.close(committed=committed)
        return taken

    def adopt(self, settled: Settled, spool_path: str) -> Taken:
        """Take in what is held already, by its name in the spool; ``settled`` has its old path and its own signature.

        Raises as :meth:`admit` does.
        """
        taken = Taken()
        held = Held(spool_path, settled.signature.mtime_ns)
        with opened(self._shelf.spool.path_of(spool_path), settled.signature) as fd:
            try:
                whole = _Whole(settled, read_header(fd, self.routes.wanted, self.source.policy), held)
            except Part10Error as error:
                self._turn_away(error, settled, lambda: held, taken, lambda _: False)
                whole = None
        self._commit([whole] if whole else [], taken)
        return taken

    # Each file by itself: open, read, hold.

    def _look(
        self, group: Sequence[Settled], holding: Group | None, taken: Taken, may_wait: Callable[[Settled], bool]
    ) -> list[_Whole]:
        wholes: dict[str, _Whole] = {}
        for number, settled in enumerate(group):
            try:
                with opened(settled.path, settled.signature) as fd:
                    whole = self._look_into(fd, number, settled, holding, taken, may_wait)
            except FileChanged as change:
                if change.signature is not None:
                    taken.changed.append((settled.path, change.signature))
                continue
            except FileNotFoundError:
                continue
            except OSError as error:
                unreadable = UnreadableError(os.strerror(error.errno or 0))
                self._turn_away(unreadable, settled, lambda: _NOT_HELD, taken, may_wait)
                continue
            if whole is None:
                continue
            if whole.part.sop_instance_uid in wholes:
                # The second of one UID must see the first in the ledger.
                if holding:
                    holding.drop(whole.held)
                taken.deferred.append(settled)
            else:
                wholes[whole.part.sop_instance_uid] = whole
        return list(wholes.values())

    def _look_into(
        self,
        fd: int,
        number: int,
        settled: Settled,
        holding: Group | None,
        taken: Taken,
        may_wait: Callable[[Settled], bool],
    ) -> _Whole | None:
        def hold(dataset_offset: int = 0, blank_preamble: bool = False) -> Held:
            if holding is None:
                return Held("", settled.signature.mtime_ns)
            held = holding.hold(
                number, fd, dataset_offset, link=self.source.hold == "auto", blank_preamble=blank_preamble
            )
            try:
                check_unchanged(fd, settled.signature)
            except FileChanged:
                holding.drop(held)
                raise
            return held

        try:
            part = read_header(fd, self.routes.wanted, self.source.policy)
        except Part10Error as error:
            self._turn_away(error, settled, hold, taken, may_wait)
            return None
        return _Whole(settled, part, hold(part.dataset_offset, part.executable_preamble))

    def _turn_away(
        self,
        error: Part10Error,
        settled: Settled,
        hold: Callable[[], Held],
        taken: Taken,
        may_wait: Callable[[Settled], bool],
    ) -> None:
        """Wait for a file that may yet become whole, else refuse it."""
        begun = error.reason is Reason.EMPTY or settled.signature.size < _SHORTEST
        if (begun or isinstance(error, TruncatedError | UnreadableError)) and may_wait(settled):
            taken.incomplete.append((settled, error.reason))
        elif error.reason in self.source.ignored:
            taken.refused.append(Refused(settled, FileState.IGNORED, error.reason, error.detail, _NOT_HELD))
        else:
            held = _NOT_HELD if isinstance(error, UnreadableError) else hold()
            taken.refused.append(Refused(settled, FileState.QUARANTINED, error.reason, error.detail, held))

    # The group together: compare, route, write.

    def _commit(self, wholes: Sequence[_Whole], taken: Taken) -> None:
        """Write a group; where the database refuses it, write each file by itself and quarantine the one it refuses."""
        refused, taken.refused = taken.refused, []
        try:
            self._write_group(wholes, refused, taken)
        except GurneyError:
            raise
        except Exception:  # noqa: BLE001 - whatever one file's values provoke must not stop its folder
            self._write_group([], refused, taken)
            for whole in wholes:
                self._write_alone(whole, taken)

    def _write_alone(self, whole: _Whole, taken: Taken) -> None:
        try:
            self._write_group([whole], [], taken)
        except GurneyError:
            raise
        except Exception as error:  # noqa: BLE001 - see _commit
            detail = f"the ledger could not take it in: {type(error).__name__}"
            refusal = Refused(whole.settled, FileState.QUARANTINED, "not_storable", detail, whole.held)
            self._write_group([], [refusal], taken)

    def _write_group(self, wholes: Sequence[_Whole], refused: Sequence[Refused], taken: Taken) -> None:
        if not wholes and not refused:
            return
        for last in range(_TRIES, -1, -1):
            arrivals = self._decide(wholes)
            try:
                report, file_ids = self._ledger.transact(self._write, arrivals, refused)
                break
            except (StaleRead, IntegrityError):
                # Another door has brought the same instance or study in between: look again.
                if not last:
                    raise
        taken.arrivals.extend(arrivals)
        taken.counts.update(report.counts)
        taken.conflicts.extend(report.conflicts)
        taken.bells.extend(report.bells)
        taken.refused.extend(replace(one, file_id=file_id) for one, file_id in zip(refused, file_ids, strict=True))

    def _write(
        self, tx: Transaction, arrivals: Sequence[Arrival], refused: Sequence[Refused]
    ) -> tuple[intake.Intake, list[int]]:
        self._guard(tx)
        report = intake.take_in(tx, arrivals, self._actor) if arrivals else intake.Intake()
        file_ids = [
            intake.refuse(tx, self._facts(one.settled, one.held), one.state, one.reason, one.detail) for one in refused
        ]
        return report, file_ids

    def _decide(self, wholes: Sequence[_Whole]) -> list[Arrival]:
        """Look up what hangs on the ledger, and decide on each file."""
        if not wholes:
            return []
        studies = list({whole.part.study_instance_uid for whole in wholes})
        with self._ledger.read() as conn:
            known = twins(conn, [whole.part.sop_instance_uid for whole in wholes])
            matched = matched_routes(conn, studies)
        return [
            self._arrival(whole, known.get(whole.part.sop_instance_uid), matched[whole.part.study_instance_uid])
            for whole in wholes
        ]

    def _arrival(self, whole: _Whole, twin: Twin | None, matched: frozenset[str]) -> Arrival:
        return Arrival(
            file=self._facts(whole.settled, whole.held, whole.part.dataset_offset),
            instance=instance_facts(whole.part),
            decision=self.routes.decide(whole.part, matched),
            study_matched=matched,
            twin=twin.instance_id if twin else None,
            same=twin is not None and self._is_same(whole, twin),
            on_conflict=self.source.on_conflict,
        )

    def _facts(self, settled: Settled, held: Held, dataset_offset: int = 0) -> FileFacts:
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
        )

    def _is_same(self, whole: _Whole, twin: Twin) -> bool:
        """Compare with the first file of the twin that is what it was; what can't be compared is not the same."""
        part = whole.part
        if (part.transfer_syntax_uid, part.size - part.dataset_offset) != (twin.transfer_syntax_uid, twin.size):
            return False
        path = self._shelf.spool.path_of(whole.held.spool_path) if whole.held.spool_path else whole.settled.path
        try:
            fd = os.open(path, _READ)
        except OSError as error:
            raise SpoolOffline(f"what was just held can't be read: {os.strerror(error.errno or 0)}") from error
        try:
            for file in twin.files:
                same = self._compare(fd, part.dataset_offset, file)
                if same is not None:
                    return same
            digests = {file.digest for file in twin.files} - {None}
            return bool(digests) and dataset_digest(fd, part.dataset_offset) in digests
        finally:
            os.close(fd)

    def _compare(self, fd: int, dataset_offset: int, file: TwinFile) -> bool | None:
        """Compare data sets byte by byte; None when the twin's file is not there, or not what it was."""
        spool = self._shelf.spool
        if file.spool_path and file.spool_id != spool.id:
            return None
        try:
            other = os.open(spool.path_of(file.spool_path) if file.spool_path else file.path, _READ)
        except OSError:
            return None
        try:
            status = os.fstat(other)
            if (status.st_size, status.st_mtime_ns) != (file.size, file.mtime_ns):
                return None
            return same_dataset(fd, dataset_offset, other, file.dataset_offset)
        except OSError:
            return None
        finally:
            os.close(other)
