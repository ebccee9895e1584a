"""Release refused files, or discard them. A release runs every check again; some may be skipped by name."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason
from gurney.dicom.part10 import Part10
from gurney.ledger import quarantine
from gurney.ledger.arrivals import twins
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.quarantine import CONFLICT, Quarantined
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.comparison import is_same
from gurney_daemon.ingest.errors import FileChanged, ReleaseRefused
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.reading import opened, read_header
from gurney_daemon.ingest.routes import Routes
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf, Spool

__all__ = ["FORCIBLE", "REPLACES", "Released", "SourceDoor", "discard", "release"]

FORCIBLE: Final = frozenset({*(str(reason) for reason in FORGIVABLE), CONFLICT})
"""The checks that ``force`` may skip. The others leave nothing that could be sent truthfully."""

REPLACES: Final = (
    "sent under a SOP Instance UID that destinations may hold with other content: an archive that does not overwrite "
    "keeps its own and still answers success, so DONE does not prove replacement: compare there"
)
"""What a release that replaces a known content can't promise (PS3.4 B.2.3: success says nothing of an older one)."""


@dataclass(frozen=True, slots=True)
class SourceDoor:
    """How files of one source are taken in, and where they go."""

    source: Source
    routes: Routes


@dataclass(frozen=True, slots=True)
class Released:
    """What became of one file: accepted, and what to mind, or still refused, and why.

    ``needs`` are all the checks that would have to be skipped for it, the given ones too; empty where none is enough.
    """

    file_id: int
    accepted: bool
    reason: str = ""
    detail: str = ""
    needs: tuple[str, ...] = ()


def release(
    file_ids: Sequence[int],
    *,
    ledger: Ledger,
    spool: Spool,
    doors: Mapping[str, SourceDoor],
    ring: Callable[[Sequence[Bell]], None],
    actor: str,
    force: Collection[str] = (),
) -> list[Released]:
    """Check quarantined files again and take in those that pass; what does not pass stays as it is.

    ``doors`` are the configured ones by name. ``force`` names the reasons to overlook, of :data:`FORCIBLE`; "conflict"
    replaces what is known of the SOP Instance UID. Raises ReleaseRefused for a reason that can't be forced, and for
    files that are not in quarantine.
    """
    if never := sorted(set(force) - FORCIBLE):
        raise ReleaseRefused(f"{', '.join(never)} can't be overlooked; what can is {', '.join(sorted(FORCIBLE))}")
    files = _load(ledger, file_ids)
    return [_release(file, ledger, spool, doors, ring, actor, force) for file in files]


def discard(file_ids: Sequence[int], *, ledger: Ledger, spool: Spool, actor: str) -> list[int]:
    """Decide that quarantined files are not wanted, and let go of our copies; return those that were.

    What lies in a watched folder is not touched. Raises ReleaseRefused, and discards nothing, for files that are not
    in quarantine, and for those of another spool: their copies would stay there for ever.
    """
    files = _load(ledger, file_ids)
    elsewhere = sorted(file.file_id for file in files if file.spool_path and file.spool_id != spool.id)
    if elsewhere:
        raise ReleaseRefused(
            f"not held in the spool {spool.place.name!r}: {', '.join(map(str, elsewhere))}; "
            "discard them where [spool] names the spool that they came to"
        )
    held = ledger.transact(quarantine.discard, file_ids, actor)
    for spool_path in filter(None, held.values()):
        spool.remove(spool_path)
    return sorted(held)


def _load(ledger: Ledger, file_ids: Sequence[int]) -> list[Quarantined]:
    with ledger.read() as conn:
        files = quarantine.quarantined(conn, ids=file_ids, limit=len(file_ids))
    missing = sorted(set(file_ids) - {file.file_id for file in files})
    if missing:
        raise ReleaseRefused(f"not in quarantine: {', '.join(map(str, missing))}")
    return files


def _release(
    file: Quarantined,
    ledger: Ledger,
    spool: Spool,
    doors: Mapping[str, SourceDoor],
    ring: Callable[[Sequence[Bell]], None],
    actor: str,
    force: Collection[str],
) -> Released:
    door = doors.get(file.source)
    if door is None:
        return Released(file.file_id, False, file.reason, f"no door {file.source!r} is configured any more")
    admission = Admission(_lenient(door.source, force), ledger, Shelf(spool, file.source), door.routes, actor=actor)
    known = Signature(file.dev, file.inode, file.size, file.mtime_ns)
    try:
        if file.spool_path:
            place = spool.path_of(file.spool_path)
            looks = Signature.of(os.lstat(place))
        else:
            place, looks = file.path, known
        taken = admission.readmit(SettledFile(file.path, known), place, looks)
    except Part10Error as error:
        needs = _needs(place, looks, door.source, ledger, spool)
        return Released(file.file_id, False, error.reason, error.detail, needs)
    except FileChanged:
        return Released(file.file_id, False, file.reason, "it has changed since it was quarantined")
    except OSError as error:
        return Released(file.file_id, False, Reason.UNREADABLE, os.strerror(error.errno or 0))
    if taken.refused:
        refused = taken.refused[0]
        needs = _needs(place, looks, door.source, ledger, spool)
        return Released(file.file_id, False, refused.reason, refused.detail, needs)
    caution = REPLACES if taken.conflicts else ""
    ledger.transact(quarantine.note_release, file.file_id, actor, forced=force, caution=caution)
    if file.spool_path:
        spool.remove(file.spool_path)
    ring(taken.bells)
    return Released(file.file_id, True, detail=caution)


def _lenient(source: Source, force: Collection[str]) -> Source:
    """Return the policy of a door with some checks less."""
    forgive = source.policy.forgive | {Reason(reason) for reason in force if reason != CONFLICT}
    return replace(
        source,
        quarantines=False,
        policy=replace(source.policy, forgive=forgive),
        on_conflict="replace" if CONFLICT in force else source.on_conflict,
    )


def _needs(place: bytes, looks: Signature, source: Source, ledger: Ledger, spool: Spool) -> tuple[str, ...]:
    """Return every check that a file fails, the first of which hides the others; none where one can't be skipped."""
    needs: list[str] = []
    part: Part10 | None = None
    while part is None:
        try:
            with opened(place, looks) as fd:
                part = read_header(fd, frozenset(), _lenient(source, needs).policy)
        except Part10Error as error:
            if error.reason not in FORGIVABLE:
                return ()
            needs.append(str(error.reason))
        except (FileChanged, OSError):
            return ()
    with ledger.read() as conn:
        twin = twins(conn, [part.sop_instance_uid]).get(part.sop_instance_uid)
    if twin is not None and source.on_conflict != "replace" and not is_same(part, place, twin, spool):
        needs.append(CONFLICT)
    return tuple(needs)
