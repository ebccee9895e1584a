"""What the watcher hands to the ledger, and what it must know beforehand: plain facts, no behaviour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam, select

from gurney.ledger.models import File, Instance, Study, StudyRoute
from gurney.ledger.models.predicates import file_is
from gurney.transfer.routing import RoutingDecision
from gurney.transfer.states import FileState

__all__ = [
    "Arrival",
    "FileFacts",
    "InstanceFacts",
    "KnownFile",
    "SeriesFacts",
    "StudyFacts",
    "Twin",
    "TwinFile",
    "ever_known",
    "known_files",
    "matched_routes",
    "twins",
]

# SQLite refuses statements with too many parameters; every IN list here is cut to this.
_AT_ONCE = 500


# Made once: to make them took longer than a group of four takes SQLite.
_KNOWN = (
    select(File.path, File.id, File.dev, File.inode, File.size, File.mtime_ns, File.state)
    .add_columns(File.reason, File.spool_path)
    .where(
        File.source == bindparam("source"), File.path.in_(bindparam("paths", expanding=True)), ~file_is(FileState.GONE)
    )
)
_TWINS = (
    select(
        Instance.id,
        Instance.sop_instance_uid,
        Instance.transfer_syntax_uid,
        Instance.size,
        File.id.label("file_id"),
        File.path,
        File.spool_id,
        File.spool_path,
        File.size.label("file_size"),
        File.spool_mtime_ns,
        File.dataset_offset,
        File.digest,
    )
    # Gone is what lay in the watched folder; our copy of it, or at least its digest, may remain.
    .outerjoin(File, File.instance_id == Instance.id)
    .where(Instance.sop_instance_uid.in_(bindparam("uids", expanding=True)))
    .order_by(Instance.sop_instance_uid, Instance.version, File.id)
)
_MATCHED = (
    select(Study.study_instance_uid, StudyRoute.route)
    .join(StudyRoute, StudyRoute.study_id == Study.id)
    .where(Study.study_instance_uid.in_(bindparam("uids", expanding=True)))
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file as it lies there, and where our copy of it is. ``inode`` and ``dev`` are those of ``path``."""

    source: str
    door: str
    path: bytes = field(repr=False)  # may name a patient
    dev: int
    inode: int
    size: int
    mtime_ns: int
    spool_id: int
    dataset_offset: int = 0
    spool_path: str = ""
    spool_mtime_ns: int = 0
    digest: bytes | None = None
    after: str = "keep"
    calling_ae_title: str = ""
    called_ae_title: str = ""
    peer_address: str = ""


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """A study's identity, and what people search by."""

    study_instance_uid: str
    patient_id: str = ""
    issuer_of_patient_id: str = ""
    patient_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    accession_number: str = ""
    study_date: str = ""
    study_time: str = ""
    study_description: str = ""

    def __repr__(self) -> str:
        # Almost all else says who the patient is.
        return f"StudyFacts(study_instance_uid={self.study_instance_uid!r})"


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """A series's identity within its study."""

    series_instance_uid: str
    modality: str = ""
    body_part_examined: str = ""
    series_description: str = field(default="", repr=False)  # people write names there


@dataclass(frozen=True, slots=True)
class InstanceFacts:
    """One content: its UIDs and the size of its data set in bytes."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size: int
    study: StudyFacts
    series: SeriesFacts


@dataclass(frozen=True, slots=True)
class Arrival:
    """A whole file with what the rules said of it, and what that was based on.

    ``twin`` is the newest instance of the same UID that the caller compared with, None where there was none;
    ``same`` tells whether the data sets are equal. ``on_conflict`` is review, replace or reject.
    """

    file: FileFacts
    instance: InstanceFacts
    decision: RoutingDecision
    study_matched: frozenset[str] = frozenset()
    twin: int | None = None
    same: bool = False
    on_conflict: str = "review"


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file that the ledger has at a path, with the signature it had then."""

    file_id: int
    dev: int
    inode: int
    size: int
    mtime_ns: int
    state: FileState
    reason: str
    spool_path: str


@dataclass(frozen=True, slots=True)
class TwinFile:
    """One file of a known instance, to compare with while its size and time of modification are what they were."""

    file_id: int
    path: bytes = field(repr=False)
    spool_id: int
    spool_path: str
    size: int
    mtime_ns: int
    dataset_offset: int
    digest: bytes | None


@dataclass(frozen=True, slots=True)
class Twin:
    """The newest instance of a SOP Instance UID, and the files of it that we had or still have."""

    instance_id: int
    transfer_syntax_uid: str
    size: int
    files: list[TwinFile] = field(default_factory=list)


def known_files(conn: Connection, source: str, paths: Sequence[bytes]) -> dict[bytes, KnownFile]:
    """Return what the ledger knows at some paths of a source, so that only what changed is read again."""
    known: dict[bytes, KnownFile] = {}
    for start in range(0, len(paths), _AT_ONCE):
        rows = conn.execute(_KNOWN, {"source": source, "paths": paths[start : start + _AT_ONCE]})
        for path, file_id, dev, inode, size, mtime_ns, state, reason, spool_path in rows:
            known[path] = KnownFile(file_id, dev, inode, size, mtime_ns, FileState(state), reason, spool_path)
    return known


def ever_known(conn: Connection, source: str, paths: Sequence[bytes]) -> set[bytes]:
    """Return those paths of a source of which there is a row, be its file gone: slow, for a few paths only."""
    found: set[bytes] = set()
    for start in range(0, len(paths), _AT_ONCE):
        mine = File.path.in_(paths[start : start + _AT_ONCE])
        found.update(conn.scalars(select(File.path).where(File.source == source, mine)))
    return found


def twins(conn: Connection, sop_instance_uids: Sequence[str]) -> dict[str, Twin]:
    """Return the newest known content of some SOP Instance UIDs."""
    found: dict[str, Twin] = {}
    for start in range(0, len(sop_instance_uids), _AT_ONCE):
        rows = conn.execute(_TWINS, {"uids": sop_instance_uids[start : start + _AT_ONCE]})
        for row in rows:
            twin = found.get(row.sop_instance_uid)
            if twin is None or twin.instance_id != row.id:
                twin = found[row.sop_instance_uid] = Twin(row.id, row.transfer_syntax_uid, row.size)
            if row.file_id is not None:
                twin.files.append(
                    TwinFile(
                        row.file_id,
                        row.path,
                        row.spool_id,
                        row.spool_path,
                        row.file_size,
                        row.spool_mtime_ns,
                        row.dataset_offset,
                        row.digest,
                    )
                )
    return found


def matched_routes(conn: Connection, study_instance_uids: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return the rules of scope "study" that each study has matched."""
    matched: dict[str, set[str]] = {uid: set() for uid in study_instance_uids}
    for start in range(0, len(study_instance_uids), _AT_ONCE):
        rows = conn.execute(_MATCHED, {"uids": study_instance_uids[start : start + _AT_ONCE]})
        for row in rows:
            matched[row.study_instance_uid].add(row.route)
    return {uid: frozenset(routes) for uid, routes in matched.items()}
