"""What is to be fetched from elsewhere: retrievals, the instances that each expects, and the gates they pass.

Apart from transfers and items, because what is expected is no content yet: it is a UID that a peer has named, and it
becomes an instance only when it arrives. What is sent on from there are ordinary items.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code, LedgerTime, key
from gurney.transfer.retrieving import Listing, RetrievalState, WantedState
from gurney.transfer.states import Priority

__all__ = ["Retrieval", "RetrieveGate", "Wanted"]

_OPEN = f"state <= {RetrievalState.INCOMPLETE:d}"


class Retrieval(Base):
    """One request: a study, series or instance, from one source, to us or to a third party.

    ``due_at`` is when a worker may take it up, null while one has it or when nothing more is to be asked; ``until`` is
    how long that worker's lease lasts. ``direct_to`` names the remote that the source itself is to send to; empty: to
    us, and on to each of ``forward_to`` (JSON, names) and into ``folder``. ``fruitless`` counts rounds in a row that
    brought nothing new, ``said`` is how many instances the source says that there are.
    """

    __tablename__ = "retrieval"
    __table_args__ = (
        Index(
            "ix_retrieval_due",
            "source_id",
            "priority",
            "due_at",
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_retrieval_running",
            "source_id",
            sqlite_where=text(f"state = {RetrievalState.RUNNING:d}"),
            postgresql_where=text(f"state = {RetrievalState.RUNNING:d}"),
        ),
        # Whatever arrives asks it: what is open is small, whatever was fetched before.
        Index("ix_retrieval_open", "study_instance_uid", sqlite_where=text(_OPEN), postgresql_where=text(_OPEN)),
        Index("ix_retrieval_study", "study_instance_uid"),
        CheckConstraint(f"state BETWEEN 0 AND {max(RetrievalState):d}", name="state"),
        CheckConstraint(f"listing BETWEEN 0 AND {max(Listing):d}", name="listing"),
        CheckConstraint(f"priority BETWEEN 0 AND {max(Priority):d}", name="priority"),
        CheckConstraint(f"(state = {RetrievalState.RUNNING:d}) = (until IS NOT NULL)", name="lease"),
        CheckConstraint(f"state <> {RetrievalState.WAITING:d} OR due_at IS NOT NULL", name="due"),
    )

    id: Mapped[int] = key()
    source_id: Mapped[int] = mapped_column(ForeignKey("destination.id"))
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    sop_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    direct_to: Mapped[str] = mapped_column(String(64), default="")
    forward_to: Mapped[str] = mapped_column(Text, default="[]")
    folder: Mapped[str] = mapped_column(String(1024), default="")
    origin: Mapped[str] = mapped_column(String(128), default="")
    requested_by: Mapped[str] = mapped_column(String(64), default="")
    priority: Mapped[int] = mapped_column(Code, default=int(Priority.ROUTINE))
    state: Mapped[int] = mapped_column(Code, default=int(RetrievalState.WAITING))
    due_at: Mapped[float | None] = mapped_column(LedgerTime)
    worker: Mapped[str] = mapped_column(String(128), default="")
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    until: Mapped[float | None] = mapped_column(LedgerTime)
    listing: Mapped[int] = mapped_column(Code, default=int(Listing.NOT_ASKED))
    said: Mapped[int | None] = mapped_column()
    nearline: Mapped[bool] = mapped_column(default=False)
    rounds: Mapped[int] = mapped_column(default=0)
    fruitless: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    crashes: Mapped[int] = mapped_column(default=0)
    first_failed_at: Mapped[float | None] = mapped_column(LedgerTime)
    arrived_before: Mapped[int] = mapped_column(default=0)  # when the round under way began
    answered_at: Mapped[float | None] = mapped_column(LedgerTime)  # the round's final response
    expected: Mapped[int] = mapped_column(default=0)
    arrived: Mapped[int] = mapped_column(default=0)
    last_arrival_at: Mapped[float | None] = mapped_column(LedgerTime)
    last_status: Mapped[int | None] = mapped_column()
    words: Mapped[str] = mapped_column(String(400), default="")
    created_at: Mapped[float] = mapped_column(LedgerTime)
    settled_at: Mapped[float | None] = mapped_column(LedgerTime)


class Wanted(Base):
    """One instance that a retrieval expects, or that came with it: the unit of proof and of asking again."""

    __tablename__ = "wanted"
    __table_args__ = (
        UniqueConstraint("retrieval_id", "sop_instance_uid"),
        CheckConstraint(f"state BETWEEN 0 AND {max(WantedState):d}", name="state"),
    )

    id: Mapped[int] = key()
    retrieval_id: Mapped[int] = mapped_column(ForeignKey("retrieval.id"))
    sop_instance_uid: Mapped[str] = mapped_column(String(64))
    series_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    sop_class_uid: Mapped[str] = mapped_column(String(64), default="")
    named: Mapped[bool] = mapped_column(default=True)  # by the source; else it came of itself
    state: Mapped[int] = mapped_column(Code, default=int(WantedState.EXPECTED))
    instance_id: Mapped[int | None] = mapped_column(ForeignKey("instance.id"))
    settled_at: Mapped[float | None] = mapped_column(LedgerTime)


class RetrieveGate(Base):
    """Whether a source is asked: of itself (``toward`` is empty), and towards one move destination.

    A workstation that is switched off closes one pair, not the archive.
    """

    __tablename__ = "retrieve_gate"
    __table_args__ = (CheckConstraint("breaker IN ('closed', 'open', 'half_open')", name="breaker"),)

    source_id: Mapped[int] = mapped_column(BigId, ForeignKey("destination.id"), primary_key=True, autoincrement=False)
    toward: Mapped[str] = mapped_column(String(64), primary_key=True)
    breaker: Mapped[str] = mapped_column(String(9), default="closed")
    faults: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[float | None] = mapped_column(LedgerTime)
    probe_at: Mapped[float | None] = mapped_column(LedgerTime)
    probes: Mapped[int] = mapped_column(default=0)
    hold_reason: Mapped[str] = mapped_column(String(400), default="")
    hold_since: Mapped[float | None] = mapped_column(LedgerTime)
    last_success_at: Mapped[float | None] = mapped_column(LedgerTime)
    last_error: Mapped[str] = mapped_column(String(400), default="")
    last_error_at: Mapped[float | None] = mapped_column(LedgerTime)
