"""One watcher's round: hints, scan, settling files, intake; a step at a time, so that none waits for another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import structlog

from gurney.dicom.errors import Reason
from gurney.dicom.policy import ReadPolicy
from gurney.ledger.arrivals import KnownFile, known_files
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.overwriting import WORDS
from gurney.transfer.states import FileState
from gurney_daemon.ingest.admission import Admission, Taken
from gurney_daemon.ingest.errors import FolderOffline
from gurney_daemon.ingest.filesystem import SETTLE_LOCAL, SETTLE_NETWORK, is_mounted, is_network
from gurney_daemon.ingest.hints import Hints
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.scan import Folder, Sight
from gurney_daemon.ingest.settling import SettledFile, Settling
from gurney_daemon.ingest.spool import HoldMode, Spool

__all__ = ["Patrol", "PatrolChore", "WatchedFolder"]

_AT_ONCE: Final = 200
_FEWEST: Final = 8
# A group shall take about this long, so that what comes next need not wait; a slow share gets smaller groups.
_GROUP_SECONDS: Final = 0.1
_HINTS_AT_ONCE: Final = 500
# Looking at the folder shall take this part of the time at most.
_SCAN_SHARE: Final = 10
_LONGEST_PAUSE: Final = 600.0
_FULL_PAUSE: Final = 1.0
# Seconds after which what could not be read is tried again.
_TRY_UNREADABLE: Final = 60.0


@dataclass(frozen=True, slots=True)
class WatchedFolder:
    """What the configuration says of a folder. ``settle_seconds`` None: by the kind of filesystem."""

    name: str
    path: str
    recursive: bool = True
    scan_seconds: float = 10.0
    settle_seconds: float | None = None
    ignore: tuple[str, ...] = ()
    complete_marker: str = ""
    require_mount: bool = False
    spool: HoldMode = "auto"
    after: Literal["keep", "move", "delete"] = "keep"
    move_to: str = ""
    allow_no_meta: bool = False
    on_not_dicom: Literal["quarantine", "ignore"] = "quarantine"
    on_conflict: Literal["review", "replace", "reject"] = "review"
    trash_grace_seconds: float = 24 * 3600.0

    def source(self) -> Source:
        """Return the policy by which its files are taken in."""
        ignored = {Reason.MEDIA_DIRECTORY}
        if self.on_not_dicom == "ignore":
            ignored |= {Reason.NOT_DICOM, Reason.EMPTY}
        return Source(
            name=self.name,
            hold=self.spool,
            after=self.after,
            on_conflict=self.on_conflict,
            policy=ReadPolicy(forgive=frozenset({Reason.NO_META} if self.allow_no_meta else ())),
            ignored=frozenset(ignored),
        )

    def folder(self) -> Folder:
        """Return the folder to look through."""
        return Folder(self.path, recursive=self.recursive, ignore=self.ignore, marker=self.complete_marker)


class PatrolChore(Protocol):
    """Something that is done now and then, when nothing is waiting."""

    due: float

    def step(self) -> None:
        """Do a part of it, and set ``due`` (monotonic seconds)."""
        ...


class Patrol:
    """A round over one folder, by :meth:`step`. Not thread-safe but for the hints' ``wake``."""

    def __init__(
        self,
        watched: WatchedFolder,
        ledger: Ledger,
        spool: Spool,
        admission: Admission,
        ring: Callable[[Sequence[Bell]], None],
        wake: Callable[[], None],
        chores: Sequence[PatrolChore] = (),
    ) -> None:
        """Prepare; :meth:`start` begins."""
        self._watched, self._ledger, self._spool, self._ring = watched, ledger, spool, ring
        self.admission = admission
        self._chores = chores
        self._folder = watched.folder()
        self._log = structlog.get_logger(__name__).bind(watch=watched.name)
        network = is_network(self._folder.root)
        window = watched.settle_seconds
        if window is None:
            window = SETTLE_NETWORK if network else SETTLE_LOCAL
        self._settling = Settling(window, trust_mtime=not network)
        self._hints = None if network else Hints(self._folder.root, recursive=watched.recursive, wake=wake)
        self._scan: Iterator[list[Sight]] | None = None
        self._scan_cost = 0.0
        self._next_scan = self._next_unreadable = 0.0
        self._trying_unreadable = self._scan_again = False
        self._listening_at: tuple[int, int] | None = None
        self._deferred: list[SettledFile] = []
        self._at_once = _AT_ONCE
        self._full = False

    def start(self) -> None:
        """See that the folder is there and listen for hints; the first scan comes with the first step."""
        self._check_folder()
        self._listen()

    def stop(self) -> None:
        """Listen no more. What is settling will be found again."""
        if self._hints is not None:
            self._hints.stop()

    @property
    def is_full(self) -> bool:
        """Whether intake waits for free space in the spool."""
        return self._full

    def rescan(self) -> None:
        """Let the next step begin a scan."""
        self._next_scan = 0.0

    def step(self) -> float:
        """Do a part of what is due; return the seconds until there's more to do.

        Raises FolderOffline, SpoolOffline, and what the ledger raises; then the round is over.
        """
        self._take_hints()
        if self._admit_due():
            return 0.0
        if self._scan_on():
            return 0.0
        self._do_a_chore()
        return self._pause()

    def _do_a_chore(self) -> None:
        """Do one part of the chore that has waited longest, on a folder that is there."""
        chore = min(self._chores, key=lambda chore: chore.due, default=None)
        if chore is not None and chore.due <= time.monotonic():
            self._check_folder()
            chore.step()

    # What lies there.

    def _take_hints(self) -> None:
        if self._hints is None:
            return
        if self._hints.wants_scan():
            self.rescan()
            self._scan_again = True
        if self._settling.room >= _HINTS_AT_ONCE and (paths := self._hints.take(_HINTS_AT_ONCE)):
            try:
                sights = self._folder.look_at(paths)
            except OSError as error:
                raise _offline(error) from error
            self._observe(sights)

    def _scan_on(self) -> bool:
        """Look at the next part of the folder, if it is time and there's room; True when there's more at once."""
        began = time.monotonic()
        if self._scan is None:
            if began < self._next_scan:
                return False
            self._begin_scan(began)
        if self._scan is None or self._settling.room < _HINTS_AT_ONCE:
            return False
        try:
            chunk = next(self._scan, None)
        except OSError as error:
            raise _offline(error) from error
        if chunk is not None:
            self._observe(chunk)
        self._scan_cost += time.monotonic() - began
        if chunk is None:
            self._end_scan()
        return chunk is not None

    def _begin_scan(self, now: float) -> None:
        self._check_folder()
        self._listen()
        self._scan, self._scan_cost = self._folder.look_through(), 0.0
        self._trying_unreadable = now >= self._next_unreadable
        if self._trying_unreadable:
            self._next_unreadable = now + _TRY_UNREADABLE

    def _end_scan(self) -> None:
        self._scan = None
        pause = max(self._watched.scan_seconds, min(_SCAN_SHARE * self._scan_cost, _LONGEST_PAUSE))
        if self._scan_again:
            # A new folder was filled while its own notifications were not yet on.
            self._scan_again, pause = False, min(pause, max(self._settling.window, 0.5))
        self._next_scan = time.monotonic() + pause
        problems = self._folder.problems
        if problems:
            self._log.warning("watch_subfolders_unreadable", folders=len(problems), errno=problems[0].errno)

    def _check_folder(self) -> None:
        if self._watched.require_mount and not is_mounted(self._folder.root):
            raise FolderOffline("nothing is mounted where the watched folder is: is its share mounted?")

    def _listen(self) -> None:
        """Listen for hints, anew when another folder has taken the path: notifications follow the old one."""
        if self._hints is None:
            return
        try:
            status = os.stat(self._folder.root)
        except OSError as error:
            raise _offline(error) from error
        place = status.st_dev, status.st_ino
        if place == self._listening_at:
            return
        self._listening_at = place
        try:
            self._hints.start()
        except OSError as error:
            self._log.warning("watch_hints_unavailable", errno=error.errno)

    def _observe(self, sights: Sequence[Sight]) -> None:
        """Wait for what is new or has changed; what the ledger knows is not read again."""
        if not sights:
            return
        with self._ledger.read() as conn:
            known = known_files(conn, self._watched.name, [sight.path for sight in sights])
        now, wall_ns = time.monotonic(), time.time_ns()
        for path, signature in sights:
            file = known.get(path)
            if file is None or not signature.is_of(file) or self._tries_again(file):
                self._settling.observe(path, signature, now, wall_ns)

    def _tries_again(self, file: KnownFile) -> bool:
        unreadable = file.state is FileState.QUARANTINED and file.reason == Reason.UNREADABLE
        return unreadable and self._trying_unreadable

    # What has settled.

    def _admit_due(self) -> bool:
        """Take in what has settled; True when something was."""
        began = time.monotonic()
        due = self._settling.next_due()
        if not self._deferred and (due is None or due > began):
            return False
        if self._spool.is_full():
            if not self._full:
                self._log.error("intake_stopped_spool_full", spool=self._spool.place.name)
            self._full = True
            return False
        if self._full:
            self._full = False
            self._log.info("intake_resumed", spool=self._spool.place.name)
        group, self._deferred = self._deferred, []
        group += self._settling.take_due(began, self._at_once - len(group))
        taken = self.admission.admit(group, may_wait=self._settling.may_wait)
        self._note(taken)
        seconds = time.monotonic() - began
        self._at_once = max(_FEWEST, self._at_once // 2) if seconds > _GROUP_SECONDS else _AT_ONCE
        return True

    def _note(self, taken: Taken) -> None:
        now = time.monotonic()
        if taken.bells:
            self._ring(taken.bells)
        self._deferred.extend(taken.inspected.deferred)
        for settled in taken.inspected.incomplete:
            self._settling.wait_again(settled, now)
        for path, signature in taken.inspected.changed:
            self._settling.begin_again(path, signature, now)
        report(self._log, taken)

    def _pause(self) -> float:
        now = time.monotonic()
        if self._full:
            return _FULL_PAUSE
        due = self._settling.next_due()
        next_scan = self._next_scan if self._scan is None else now + _FULL_PAUSE
        times = [next_scan, *(chore.due for chore in self._chores)]
        return max(0.001, min(times if due is None else [*times, due]) - now)


def report(log: structlog.stdlib.BoundLogger, taken: Taken) -> None:
    """Write what became of a group, by ids and counts."""
    if taken.counts:
        log.info("files_taken_in", **taken.counts)
    for refused in taken.refused:
        level = "warning" if refused.state is FileState.QUARANTINED else "info"
        getattr(log, level)("file_" + refused.state.name.lower(), file_id=refused.file_id, reason=refused.reason)
    for lost in taken.overwritten:
        log.error(
            "accepted_file_overwritten",
            file_id=lost.file_id,
            sop_instance_uid=lost.sop_instance_uid,
            study_instance_uid=lost.study_instance_uid,
            items_failed=lost.items,
            reason=WORDS,
        )
    for sop_instance_uid in taken.conflicts:
        log.warning("instance_conflict", sop_instance_uid=sop_instance_uid)


def _offline(error: OSError) -> FolderOffline:
    return FolderOffline(f"the watched folder can't be read: {os.strerror(error.errno or 0)}")
