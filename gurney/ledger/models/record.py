"""What is kept about the ledger itself: its generation, its clock, counts, and the audit trail."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code, LedgerTime, key

__all__ = ["Audit", "Clock", "Count", "CountDelta", "LedgerMeta", "Seal"]


class LedgerMeta(Base):
    """The one row that tells code and ledger whether they fit. ``generation`` changes when a backup is restored."""

    __tablename__ = "ledger_meta"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    schema_version: Mapped[int] = mapped_column()
    min_code: Mapped[int] = mapped_column()
    generation: Mapped[str] = mapped_column(String(36))
    draining: Mapped[bool] = mapped_column(default=False)


class Clock(Base):
    """SQLite's clock: an offset to this boot's monotonic clock, and the last time that anybody saw."""

    __tablename__ = "clock"
    __table_args__ = (CheckConstraint("id = 1", name="single"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    boot_id: Mapped[str] = mapped_column(String(36))
    offset_seconds: Mapped[float] = mapped_column(LedgerTime)
    last_seen: Mapped[float] = mapped_column(LedgerTime)


class Count(Base):
    """How many items stand in a state, folded from :class:`CountDelta`."""

    __tablename__ = "count"

    destination_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    transfer_id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    state: Mapped[int] = mapped_column(Code, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(BigInteger)


class CountDelta(Base):
    """A change of counts, in the transaction that made it: nobody waits for anybody's counter."""

    __tablename__ = "count_delta"

    id: Mapped[int] = key()
    destination_id: Mapped[int] = mapped_column(BigId)
    transfer_id: Mapped[int] = mapped_column(BigId, index=True)
    state: Mapped[int] = mapped_column(Code)
    n: Mapped[int] = mapped_column(BigInteger)


class Audit(Base):
    """One row per batch and per decision; what happened to an instance is in its attempts. ``detail`` is JSON."""

    __tablename__ = "audit"

    id: Mapped[int] = key()
    at: Mapped[float] = mapped_column(LedgerTime)
    actor: Mapped[str] = mapped_column(String(128))
    action: Mapped[str] = mapped_column(String(64))
    study_instance_uid: Mapped[str] = mapped_column(String(64), default="", index=True)
    destination_id: Mapped[int | None] = mapped_column(BigId)
    detail: Mapped[str] = mapped_column(Text, default="{}")


class Seal(Base):
    """A link of the chain over committed audit rows; pruning drops whole segments and keeps their seals."""

    __tablename__ = "seal"

    seq: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    first: Mapped[int] = mapped_column(BigId)
    last: Mapped[int] = mapped_column(BigId)
    rows: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    prev: Mapped[str] = mapped_column(String(64))
