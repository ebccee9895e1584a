"""Who is expected when, under which IDs, and what was asked for because of it. Times are of the wall."""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId

__all__ = ["Appointment", "AppointmentFetch", "AppointmentPlan", "PatientAlias"]


class Appointment(Base):
    """An order or appointment: of ``hl7``, where ``key`` is the order's, or of a rule that asks a worklist or a list.

    ``told_at`` is when its sender wrote what stands here; ``cancelled_at`` null while it is expected.
    """

    __tablename__ = "appointment"
    __table_args__ = (Index("ix_appointment_expected", "origin", "scheduled_at"),)

    origin: Mapped[str] = mapped_column(String(140), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    patient_ids: Mapped[str] = mapped_column(Text, default="[]")  # JSON
    scheduled_at: Mapped[float | None] = mapped_column(Double)
    accession_number: Mapped[str] = mapped_column(String(64), default="")
    study_instance_uid: Mapped[str] = mapped_column(String(64), default="")
    procedure_code: Mapped[str] = mapped_column(String(64), default="")
    description: Mapped[str] = mapped_column(String(256), default="")
    modality: Mapped[str] = mapped_column(String(16), default="")
    told_at: Mapped[float] = mapped_column(Double)
    cancelled_at: Mapped[float | None] = mapped_column(Double)
    noted_at: Mapped[float] = mapped_column(Double)


class AppointmentPlan(Base):
    """That a rule has seen to an appointment, or when it tries again."""

    __tablename__ = "appointment_plan"

    origin: Mapped[str] = mapped_column(String(140), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    rule: Mapped[str] = mapped_column(String(128), primary_key=True)
    tries: Mapped[int] = mapped_column(default=0)
    look_at: Mapped[float | None] = mapped_column(Double)  # null: it is seen to


class AppointmentFetch(Base):
    """A retrieval that an appointment asked for; several may have asked for one."""

    __tablename__ = "appointment_fetch"
    __table_args__ = (Index("ix_appointment_fetch_retrieval", "retrieval_id"),)

    origin: Mapped[str] = mapped_column(String(140), primary_key=True)
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    retrieval_id: Mapped[int] = mapped_column(BigId, ForeignKey("retrieval.id"), primary_key=True, autoincrement=False)


class PatientAlias(Base):
    """A patient ID and whose it is: IDs with the same ``person`` are one patient's."""

    __tablename__ = "patient_alias"

    patient_id: Mapped[str] = mapped_column(String(256), primary_key=True)
    person: Mapped[int] = mapped_column(BigInteger, index=True)
