"""Look at each file of a group by itself: open it, read its header, prove that it is whole, hold it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gurney.dicom.errors import Part10Error, Reason, TruncatedError, UnreadableError
from gurney.dicom.part10 import Part10
from gurney.dicom.policy import STRICT, ReadPolicy
from gurney.transfer.states import FileState
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.peer import NO_PEER, Peer
from gurney_daemon.ingest.reading import check_unchanged, opened, read_header
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Group, Held, HoldMode

__all__ = ["NOT_HELD", "Inspected", "Refused", "Source", "Whole", "inspect", "refusal"]

NOT_HELD: Final = Held("", 0)
# What is shorter has no room for a preamble and "DICM", and may only have been begun.
_SHORTEST: Final = 132


@dataclass(frozen=True, slots=True)
class Source:
    """A door and its policy. ``ignored`` are the reasons for which a file is left aside and not quarantined.

    ``quarantines`` False: what is refused, conflicts included, is said to whoever brought it, and not kept.
    """

    name: str
    door: str = "watch"
    hold: HoldMode = "auto"
    after: str = "keep"
    on_conflict: str = "review"
    policy: ReadPolicy = STRICT
    ignored: frozenset[Reason] = frozenset({Reason.MEDIA_DIRECTORY})
    quarantines: bool = True


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that is what it should be, and is held; ``peer`` sent it, where it came over the network."""

    settled: SettledFile
    part: Part10
    held: Held
    peer: Peer = NO_PEER


@dataclass(frozen=True, slots=True)
class Refused:
    """A file that was not taken, and why: for quarantine, or, by policy, to be left aside."""

    settled: SettledFile
    state: FileState
    reason: str
    detail: str
    held: Held = NOT_HELD
    file_id: int = 0


@dataclass(slots=True)
class Inspected:
    """What a group turned out to be; ``incomplete``, ``changed`` and ``deferred`` must be looked at again."""

    wholes: list[Whole] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    incomplete: list[SettledFile] = field(default_factory=list)
    changed: list[tuple[bytes, Signature]] = field(default_factory=list, repr=False)  # paths may name patients
    deferred: list[SettledFile] = field(default_factory=list)


def inspect(
    group: Sequence[SettledFile],
    source: Source,
    wanted: frozenset[int],
    holding: Group | None,
    may_wait: Callable[[SettledFile], bool],
) -> Inspected:
    """Look at files, and hold in ``holding`` (None: not at all) those that are whole or go to quarantine.

    ``may_wait`` says whether a file that is not whole, or can't be read, gets another chance. A second file of one SOP
    Instance UID is deferred: it must see the first in the ledger. Raises SpoolOffline.
    """
    inspector = _Inspector(source, wanted, holding, may_wait)
    for number, settled in enumerate(group):
        inspector.look_at(number, settled)
    return inspector.found


def refusal(settled: SettledFile, error: Part10Error, source: Source, held: Held = NOT_HELD) -> Refused:
    """Say of a file that it is refused, and whether that is worth a look."""
    state = FileState.IGNORED if error.reason in source.ignored else FileState.QUARANTINED
    return Refused(settled, state, error.reason, error.detail, held)


class _Inspector:
    """One inspection in progress."""

    def __init__(
        self, source: Source, wanted: frozenset[int], holding: Group | None, may_wait: Callable[[SettledFile], bool]
    ) -> None:
        self._source, self._wanted, self._holding, self._may_wait = source, wanted, holding, may_wait
        self._seen: set[str] = set()
        self.found = Inspected()

    def look_at(self, number: int, settled: SettledFile) -> None:
        """Look at one file, and sort it."""
        try:
            with opened(settled.path, settled.signature) as fd:
                self._look_into(fd, number, settled)
        except FileChanged as change:
            if change.signature is not None:
                self.found.changed.append((settled.path, change.signature))
        except FileNotFoundError:
            return
        except OSError as error:
            self._refuse(settled, UnreadableError(os.strerror(error.errno or 0)), -1, number)

    def _look_into(self, fd: int, number: int, settled: SettledFile) -> None:
        try:
            part = read_header(fd, self._wanted, self._source.policy)
        except Part10Error as error:
            self._refuse(settled, error, fd, number)
            return
        if part.sop_instance_uid in self._seen:
            self.found.deferred.append(settled)
            return
        held = self._hold(fd, number, settled, part.dataset_offset, part.executable_preamble)
        self._seen.add(part.sop_instance_uid)
        self.found.wholes.append(Whole(settled, part, held))

    def _refuse(self, settled: SettledFile, error: Part10Error, fd: int, number: int) -> None:
        """Wait for a file that may yet become whole, else refuse it; what goes to quarantine is held too."""
        begun = error.reason is Reason.EMPTY or settled.signature.size < _SHORTEST
        unreadable = isinstance(error, UnreadableError)
        if (begun or unreadable or isinstance(error, TruncatedError)) and self._may_wait(settled):
            self.found.incomplete.append(settled)
            return
        refused = refusal(settled, error, self._source)
        if refused.state is FileState.QUARANTINED and self._source.quarantines and not unreadable:
            refused = refusal(settled, error, self._source, self._hold(fd, number, settled))
        self.found.refused.append(refused)

    def _hold(
        self, fd: int, number: int, settled: SettledFile, dataset_offset: int = 0, blank_preamble: bool = False
    ) -> Held:
        if self._holding is None:
            return Held("", settled.signature.mtime_ns)
        link = self._source.hold == "auto"
        held = self._holding.hold(number, fd, dataset_offset, link=link, blank_preamble=blank_preamble)
        try:
            check_unchanged(fd, settled.signature)
        except FileChanged:
            self._holding.drop(held)
            raise
        return held
