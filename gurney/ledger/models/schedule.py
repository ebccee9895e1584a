"""When each rule of prefetch is next done, and what came of it last. Times are of the wall, as schedules are."""

from __future__ import annotations

from sqlalchemy import Double, String
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base

__all__ = ["Schedule"]


class Schedule(Base):
    """A rule, by its name. ``due_at`` is the time that is to be seen to, ``look_at`` when that is tried (again)."""

    __tablename__ = "schedule"

    rule: Mapped[str] = mapped_column(String(128), primary_key=True)
    plan: Mapped[str] = mapped_column(String(200), default="")  # cron and every, as they were when due_at was reckoned
    due_at: Mapped[float] = mapped_column(Double)
    look_at: Mapped[float] = mapped_column(Double)
    tries: Mapped[int] = mapped_column(default=0)
    done_at: Mapped[float | None] = mapped_column(Double)
    patients: Mapped[int] = mapped_column(default=0)
    retrievals: Mapped[int] = mapped_column(default=0)
    words: Mapped[str] = mapped_column(String(400), default="")
