"""What is to be done: destinations, transfers, items, attempts, leases.

The partial indexes are the claim: each is exactly one seek of :mod:`gurney.ledger.claims` and holds only the rows
that wait there, so that a claim costs the same at ten thousand items and at ten million.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code, LedgerTime, key
from gurney.transfer.states import ItemState, Outcome, Priority, Proof

__all__ = [
    "Attempt",
    "Bell",
    "Commitment",
    "Completion",
    "Destination",
    "Item",
    "Lease",
    "Refusal",
    "Role",
    "Transfer",
    "Worker",
]


class Destination(Base):
    """A remote that we send to, and what we believe of it. Shown state: paused, then held, then the breaker.

    ``fence`` counts claims that took something; ``streak`` are the ids of items charged for ambiguous failures since
    the last success, comma-separated. A claim locks this row: it is the one gate to a destination.
    """

    __tablename__ = "destination"
    __table_args__ = (
        CheckConstraint("breaker IN ('closed', 'open', 'half_open')", name="breaker"),
        CheckConstraint("association IN ('study', 'series', 'batch')", name="association"),
    )

    id: Mapped[int] = key()
    name: Mapped[str] = mapped_column(String(64), unique=True)
    ae_title: Mapped[str] = mapped_column(String(16), default="")
    calling_ae_title: Mapped[str] = mapped_column(String(16), default="")
    association: Mapped[str] = mapped_column(String(8), default="study")
    duplicate_ok: Mapped[bool] = mapped_column(default=True)
    commitment: Mapped[str] = mapped_column(String(13), default="none", server_default="none")
    verify: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    max_associations: Mapped[int] = mapped_column(default=1)
    effective_concurrency: Mapped[int] = mapped_column(default=1)
    retired: Mapped[bool] = mapped_column(default=False)  # no longer in the configuration
    breaker: Mapped[str] = mapped_column(String(9), default="closed")
    faults: Mapped[int] = mapped_column(default=0)
    opened_at: Mapped[float | None] = mapped_column(LedgerTime)
    probe_at: Mapped[float | None] = mapped_column(LedgerTime)
    probes: Mapped[int] = mapped_column(default=0)
    hold_reason: Mapped[str] = mapped_column(String(400), default="")
    hold_since: Mapped[float | None] = mapped_column(LedgerTime)
    paused_by: Mapped[str] = mapped_column(String(64), default="")
    paused_at: Mapped[float | None] = mapped_column(LedgerTime)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    claims: Mapped[int] = mapped_column(BigInteger, default=0)
    streak: Mapped[str] = mapped_column(Text, default="")
    permanent_rejects: Mapped[int] = mapped_column(default=0)
    last_failed_item_id: Mapped[int | None] = mapped_column(BigInteger)
    last_success_at: Mapped[float | None] = mapped_column(LedgerTime)
    last_error: Mapped[str] = mapped_column(String(400), default="")
    last_error_at: Mapped[float | None] = mapped_column(LedgerTime)
    stat_waiting_at: Mapped[float | None] = mapped_column(LedgerTime)  # a STAT claim found no free association


class Bell(Base):
    """When a doorbell was last rung and not yet answered by a claim."""

    __tablename__ = "bell"

    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"), primary_key=True)
    spool_id: Mapped[int] = mapped_column(ForeignKey("spool.id"), primary_key=True)
    lane: Mapped[str] = mapped_column(String(8), primary_key=True)
    rung_at: Mapped[float | None] = mapped_column(LedgerTime)


class Transfer(Base):
    """A study on its way to one destination. It never closes: ``quiet_since`` comes and goes with arrivals."""

    __tablename__ = "transfer"
    __table_args__ = (
        UniqueConstraint("study_instance_uid", "destination_id", "origin", "generation"),
        Index("ix_transfer_study", "study_id"),
        Index("ix_transfer_destination", "destination_id", "id"),
        Index(
            "ix_transfer_restless",
            "last_arrival_at",
            sqlite_where=text("quiet_since IS NULL"),
            postgresql_where=text("quiet_since IS NULL"),
        ),
        CheckConstraint("kind IN ('store', 'retrieve')", name="kind"),
    )

    id: Mapped[int] = key()
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"))
    study_instance_uid: Mapped[str] = mapped_column(String(64))
    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"))
    kind: Mapped[str] = mapped_column(String(8), default="store")
    origin: Mapped[str] = mapped_column(String(128), default="forward")
    generation: Mapped[int] = mapped_column(default=1)
    requested_by: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[float] = mapped_column(LedgerTime)
    last_arrival_at: Mapped[float] = mapped_column(LedgerTime)
    first_stored_at: Mapped[float | None] = mapped_column(LedgerTime)
    quiet_since: Mapped[float | None] = mapped_column(LedgerTime)


class Completion(Base):
    """One quiet period of a transfer: why it counts as complete, and up to which item what follows has fired."""

    __tablename__ = "completion"
    __table_args__ = (
        CheckConstraint("reason IN ('quiet', 'marker', 'count', 'mpps', 'hl7', 'operator')", name="reason"),
    )

    id: Mapped[int] = key()
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfer.id"), index=True)
    at: Mapped[float] = mapped_column(LedgerTime)
    reason: Mapped[str] = mapped_column(String(8))
    last_item_id: Mapped[int] = mapped_column(BigId)
    instances: Mapped[int] = mapped_column()


_READY, _RUNNING, _RETRY = int(ItemState.READY), int(ItemState.RUNNING), int(ItemState.RETRY)
_FAILED, _HELD = int(ItemState.FAILED), int(ItemState.HELD)
_UNPROVEN = f"proof IN ({Proof.REQUESTED:d}, {Proof.REFUSED:d}, {Proof.OVERDUE:d})"


class Item(Base):
    """One instance in one transfer: the unit of status, audit and resume.

    ``attempts`` counts charged attempts, ``suspect`` associations that were lost while this item was on the wire,
    ``crash_suspect`` leases that were lost with this item in them.
    """

    __tablename__ = "item"
    __table_args__ = (
        UniqueConstraint("transfer_id", "instance_id"),
        Index("ix_item_instance", "instance_id"),
        # Ordered by transfer before item: the head of the index picks the study, its neighbours fill the batch.
        Index(
            "ix_item_ready",
            "destination_id",
            "spool_id",
            "priority",
            "transfer_id",
            "id",
            sqlite_where=text(f"state = {_READY}"),
            postgresql_where=text(f"state = {_READY}"),
        ),
        Index(
            "ix_item_retry",
            "destination_id",
            "due_at",
            sqlite_where=text(f"state = {_RETRY}"),
            postgresql_where=text(f"state = {_RETRY}"),
        ),
        Index(
            "ix_item_running",
            "lease_id",
            sqlite_where=text(f"state = {_RUNNING}"),
            postgresql_where=text(f"state = {_RUNNING}"),
        ),
        Index(
            "ix_item_refused",
            "destination_id",
            sqlite_where=text(f"state = {_FAILED} AND refused"),
            postgresql_where=text(f"state = {_FAILED} AND refused"),
        ),
        # What a peer was asked to prove and has not: small where all is well.
        Index(
            "ix_item_unproven",
            "destination_id",
            "proof",
            sqlite_where=text(_UNPROVEN),
            postgresql_where=text(_UNPROVEN),
        ),
        Index(
            "ix_item_held",
            "transfer_id",
            sqlite_where=text(f"state = {_HELD}"),
            postgresql_where=text(f"state = {_HELD}"),
        ),
        CheckConstraint(f"state BETWEEN 0 AND {max(ItemState):d}", name="state"),
        CheckConstraint(f"priority BETWEEN 0 AND {max(Priority):d}", name="priority"),
        CheckConstraint(f"proof BETWEEN 0 AND {max(Proof):d}", name="proof"),
        CheckConstraint(f"(state = {_RUNNING}) = (lease_id IS NOT NULL)", name="lease"),
        CheckConstraint(f"(state = {_RETRY}) = (due_at IS NOT NULL)", name="due"),
        CheckConstraint(f"(state = {_HELD}) = (held_for <> '')", name="held"),
        CheckConstraint("attempts >= 0", name="attempts"),
    )

    id: Mapped[int] = key()
    transfer_id: Mapped[int] = mapped_column(ForeignKey("transfer.id"))
    instance_id: Mapped[int] = mapped_column(ForeignKey("instance.id"))
    file_id: Mapped[int] = mapped_column(ForeignKey("file.id"))
    series_id: Mapped[int] = mapped_column(ForeignKey("series.id"))
    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"))
    spool_id: Mapped[int] = mapped_column(ForeignKey("spool.id"))
    size: Mapped[int] = mapped_column(BigInteger)
    priority: Mapped[int] = mapped_column(Code, default=int(Priority.ROUTINE))
    state: Mapped[int] = mapped_column(Code, default=_READY)
    held_for: Mapped[str] = mapped_column(String(16), default="")
    due_at: Mapped[float | None] = mapped_column(LedgerTime)
    lease_id: Mapped[int | None] = mapped_column(BigInteger)
    fence: Mapped[int] = mapped_column(BigInteger, default=0)
    attempts: Mapped[int] = mapped_column(Code, default=0)
    context_retries: Mapped[int] = mapped_column(Code, default=0)
    suspect: Mapped[int] = mapped_column(Code, default=0)
    crash_suspect: Mapped[int] = mapped_column(Code, default=0)
    refused: Mapped[bool] = mapped_column(default=False)  # FAILED by a refusal, and back when that runs out
    first_failed_at: Mapped[float | None] = mapped_column(LedgerTime)
    last_failed_at: Mapped[float | None] = mapped_column(LedgerTime)
    last_status: Mapped[int | None] = mapped_column()
    last_words: Mapped[str] = mapped_column(String(400), default="")
    proof: Mapped[int] = mapped_column(Code, default=int(Proof.NONE))
    sent_sop_instance_uid: Mapped[str | None] = mapped_column(String(64))  # null: as the instance has it
    sent_study_instance_uid: Mapped[str | None] = mapped_column(String(64))
    transform_revision: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[float] = mapped_column(LedgerTime)
    settled_at: Mapped[float | None] = mapped_column(LedgerTime)


class Attempt(Base):
    """One try of one item, inserted once, when it settles: append-only. Its key forbids a second settlement."""

    __tablename__ = "attempt"
    __table_args__ = (
        CheckConstraint(f"outcome BETWEEN 0 AND {max(Outcome):d}", name="outcome"),
        # Clustered on the key: an item's trail stands together, and there is one b-tree to write.
        {"sqlite_with_rowid": False},
    )

    item_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    lease_id: Mapped[int] = mapped_column(BigInteger)
    endpoint: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[int] = mapped_column(Code)
    status: Mapped[int | None] = mapped_column()
    words: Mapped[str] = mapped_column(String(400), default="")
    comment: Mapped[str] = mapped_column(String(64), default="")  # the peer's own words: they may name a patient
    bytes_sent: Mapped[int] = mapped_column(BigInteger, default=0)
    seconds: Mapped[float] = mapped_column(LedgerTime, default=0.0)
    settled_at: Mapped[float] = mapped_column(LedgerTime)


class Lease(Base):
    """One batch of one worker on one association. A lost lease is this one row, marked LOST."""

    __tablename__ = "lease"
    __table_args__ = (
        Index(
            "ix_lease_live",
            "destination_id",
            "until",
            sqlite_where=text("state = 'live'"),
            postgresql_where=text("state = 'live'"),
        ),
        CheckConstraint("state IN ('live', 'released', 'lost')", name="state"),
    )

    id: Mapped[int] = key()
    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"))
    transfer_id: Mapped[int | None] = mapped_column(BigId)  # null: items of more than one
    endpoint: Mapped[str] = mapped_column(String(128), default="")
    worker: Mapped[str] = mapped_column(String(128))
    host: Mapped[str] = mapped_column(String(64))
    priority: Mapped[int] = mapped_column(Code)
    fence: Mapped[int] = mapped_column(BigInteger)
    items: Mapped[int] = mapped_column()
    probe: Mapped[bool] = mapped_column(default=False)
    recalled: Mapped[bool] = mapped_column(default=False)  # something in it was cancelled: its worker must look
    state: Mapped[str] = mapped_column(String(8), default="live")
    acquired_at: Mapped[float] = mapped_column(LedgerTime)
    until: Mapped[float] = mapped_column(LedgerTime)
    ended_at: Mapped[float | None] = mapped_column(LedgerTime)


class Role(Base):
    """Work that one process at a time does (reconciler, pruner, ``watch:<name>``): a lease with a name."""

    __tablename__ = "role"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    holder: Mapped[str] = mapped_column(String(128))
    fence: Mapped[int] = mapped_column(BigInteger)
    until: Mapped[float] = mapped_column(LedgerTime)


class Worker(Base):
    """A worker process, what it can read, and when it was last heard of."""

    __tablename__ = "worker"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    host: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    slots: Mapped[int] = mapped_column(default=0)
    spools: Mapped[str] = mapped_column(String(400), default="")
    folders: Mapped[str] = mapped_column(Text, default="{}")  # JSON: how each watched folder fares, and why
    started_at: Mapped[float] = mapped_column(LedgerTime)
    seen_at: Mapped[float] = mapped_column(LedgerTime)


class Refusal(Base):
    """A SOP class, or one of its syntaxes, that a destination does not take: a cache, so it runs out."""

    __tablename__ = "refusal"

    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"), primary_key=True)
    sop_class_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    transfer_syntax_uid: Mapped[str] = mapped_column(String(64), primary_key=True)  # "": all of them
    words: Mapped[str] = mapped_column(String(400))
    until: Mapped[float] = mapped_column(LedgerTime)


class Commitment(Base):
    """A storage commitment request, durable before its N-ACTION goes out (PS3.4 J.3)."""

    __tablename__ = "commitment"
    __table_args__ = (
        CheckConstraint("state IN ('requested', 'committed', 'partial', 'refused', 'overdue')", name="state"),
        Index(
            "ix_commitment_awaited",
            "requested_at",
            sqlite_where=text("state = 'requested'"),
            postgresql_where=text("state = 'requested'"),
        ),
    )

    transaction_uid: Mapped[str] = mapped_column(String(64), primary_key=True)
    destination_id: Mapped[int] = mapped_column(ForeignKey("destination.id"), index=True)
    requested_at: Mapped[float] = mapped_column(LedgerTime)
    answered_at: Mapped[float | None] = mapped_column(LedgerTime)
    state: Mapped[str] = mapped_column(String(9), default="requested")
