"""What exists: spools, files, studies, series, instances, and what the rules said of them.

A *file* is what lies on disk; an *instance* is a content: (SOP Instance UID, version). Two files of one data set are
two rows here and one instance.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code, LedgerTime, key
from gurney.transfer.states import FileState, Routing

__all__ = ["Conflict", "File", "Instance", "Series", "SourceCount", "Spool", "Study", "StudyRoute", "Tombstone"]


class Spool(Base):
    """A place that holds what we accepted. Workers serve it only while they can read its marker file."""

    __tablename__ = "spool"

    id: Mapped[int] = key()
    name: Mapped[str] = mapped_column(String(64), unique=True)
    path: Mapped[str] = mapped_column(String(1024))
    marker: Mapped[str] = mapped_column(String(64))


class Study(Base):
    """A study's identity and what people search by. Its state is derived from items, never written."""

    __tablename__ = "study"

    id: Mapped[int] = key()
    study_instance_uid: Mapped[str] = mapped_column(String(64), unique=True)
    patient_id: Mapped[str] = mapped_column(String(256), default="", index=True)
    issuer_of_patient_id: Mapped[str] = mapped_column(String(256), default="")
    patient_name: Mapped[str] = mapped_column(String(400), default="")
    patient_birth_date: Mapped[str] = mapped_column(String(32), default="")
    patient_sex: Mapped[str] = mapped_column(String(32), default="")
    accession_number: Mapped[str] = mapped_column(String(64), default="", index=True)
    study_date: Mapped[str] = mapped_column(String(32), default="", index=True)
    study_time: Mapped[str] = mapped_column(String(32), default="")
    study_description: Mapped[str] = mapped_column(String(256), default="")
    first_seen_at: Mapped[float] = mapped_column(LedgerTime)


class Series(Base):
    """A series within its study: the same UID under two studies is two rows."""

    __tablename__ = "series"
    __table_args__ = (UniqueConstraint("study_id", "series_instance_uid"),)

    id: Mapped[int] = key()
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_instance_uid: Mapped[str] = mapped_column(String(64))
    modality: Mapped[str] = mapped_column(String(64), default="")
    body_part_examined: Mapped[str] = mapped_column(String(64), default="")
    series_description: Mapped[str] = mapped_column(String(256), default="")


class Instance(Base):
    """One content of one SOP Instance UID. A second content of the UID is a conflict and, if taken, a new version."""

    __tablename__ = "instance"
    __table_args__ = (
        UniqueConstraint("sop_instance_uid", "version"),
        Index("ix_instance_study", "study_id"),
        # NO_ROUTE, HELD and ERROR are desks that people work off: small, and never scanned for.
        Index(
            "ix_instance_unrouted",
            "routing",
            "id",
            sqlite_where=text(f"routing <> {Routing.ROUTED:d}"),
            postgresql_where=text(f"routing <> {Routing.ROUTED:d}"),
        ),
        CheckConstraint(f"routing BETWEEN 0 AND {max(Routing):d}", name="routing"),
    )

    id: Mapped[int] = key()
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(default=1)
    sop_class_uid: Mapped[str] = mapped_column(String(64))
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64))
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    size: Mapped[int] = mapped_column(BigInteger)  # bytes of the data set
    routing: Mapped[int] = mapped_column(Code, default=int(Routing.PENDING))
    routing_detail: Mapped[str] = mapped_column(String(400), default="")
    created_at: Mapped[float] = mapped_column(LedgerTime)


class File(Base):
    """What lies on disk, by source and path, with the signature that tells whether it changed.

    ``path`` is bytes: modalities write names that are not UTF-8. ``spool_path`` is a name of ours, relative to the
    spool; empty means that the file is used where it lies. ``digest`` is of the data set (after group 2).
    """

    __tablename__ = "file"
    __table_args__ = (
        Index(
            "uq_file_source_path",
            "source",
            "path",
            unique=True,
            sqlite_where=text(f"state <> {FileState.GONE:d}"),
            postgresql_where=text(f"state <> {FileState.GONE:d}"),
        ),
        Index("ix_file_instance", "instance_id"),
        Index(
            "ix_file_attention",
            "state",
            "id",
            sqlite_where=text(f"state IN ({FileState.QUARANTINED:d}, {FileState.DISPOSING:d})"),
            postgresql_where=text(f"state IN ({FileState.QUARANTINED:d}, {FileState.DISPOSING:d})"),
        ),
        Index(
            "ix_file_disposable",
            "id",
            sqlite_where=text(f"state = {FileState.ACCEPTED:d} AND after <> 'keep'"),
            postgresql_where=text(f"state = {FileState.ACCEPTED:d} AND after <> 'keep'"),
        ),
        Index(
            "ix_file_held",
            "spool_id",
            "id",
            sqlite_where=text("spool_path <> ''"),
            postgresql_where=text("spool_path <> ''"),
        ),
        CheckConstraint(f"state BETWEEN 0 AND {max(FileState):d}", name="state"),
        CheckConstraint("after IN ('keep', 'move', 'delete')", name="after"),
        CheckConstraint("door IN ('watch', 'receive', 'retrieve', 'import', 'api')", name="door"),
    )

    id: Mapped[int] = key()
    source: Mapped[str] = mapped_column(String(64))
    door: Mapped[str] = mapped_column(String(16))
    path: Mapped[bytes] = mapped_column(LargeBinary(4096))
    dev: Mapped[int] = mapped_column(BigInteger)
    inode: Mapped[int] = mapped_column(BigInteger)
    size: Mapped[int] = mapped_column(BigInteger)
    mtime_ns: Mapped[int] = mapped_column(BigInteger)
    state: Mapped[int] = mapped_column(Code)
    reason: Mapped[str] = mapped_column(String(40), default="")
    detail: Mapped[str] = mapped_column(String(400), default="")
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"))
    dataset_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32))
    spool_id: Mapped[int] = mapped_column(ForeignKey("spool.id"))
    spool_path: Mapped[str] = mapped_column(String(255), default="")
    spool_mtime_ns: Mapped[int] = mapped_column(BigInteger, default=0)
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    called_ae_title: Mapped[str] = mapped_column(String(16), default="")
    peer_address: Mapped[str] = mapped_column(String(64), default="")
    after: Mapped[str] = mapped_column(String(8), default="keep")
    missed_scans: Mapped[int] = mapped_column(Code, default=0)
    seen_at: Mapped[float] = mapped_column(LedgerTime)
    changed_at: Mapped[float] = mapped_column(LedgerTime)


class Conflict(Base):
    """The same SOP Instance UID with another data set: a person's (or a policy's) decision, kept for ever."""

    __tablename__ = "conflict"
    __table_args__ = (
        Index("ix_conflict_open", "id", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
        CheckConstraint("state IN ('open', 'replaced', 'kept', 'rejected')", name="state"),
    )

    id: Mapped[int] = key()
    sop_instance_uid: Mapped[str] = mapped_column(String(64), index=True)
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"))
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"), unique=True)
    state: Mapped[str] = mapped_column(String(8), default="open")
    opened_at: Mapped[float] = mapped_column(LedgerTime)
    decided_at: Mapped[float | None] = mapped_column(LedgerTime)
    decided_by: Mapped[str] = mapped_column(String(64), default="")


class StudyRoute(Base):
    """A rule of scope "study" that has matched, so that the study's SR, KO and PR follow, early or late."""

    __tablename__ = "study_route"

    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    route: Mapped[str] = mapped_column(String(128), primary_key=True)
    matched_at: Mapped[float] = mapped_column(LedgerTime)


class SourceCount(Base):
    """How many files of one source came to which end. Each source has one writer, so the row is counted in place."""

    __tablename__ = "source_count"

    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    what: Mapped[str] = mapped_column(String(32), primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger, default=0)


class Tombstone(Base):
    """What outlives pruned items: that this content reached that destination, and when."""

    __tablename__ = "tombstone"

    instance_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    destination_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    stored_at: Mapped[float] = mapped_column(LedgerTime)
