"""Ledger time: one clock for everybody who writes, so that leases and due times never hang on a host's wall clock.

PostgreSQL has it already (``clock_timestamp()``: the server's, and it moves within a transaction). SQLite lives on one
host: the boot clock, which nobody can set, plus an offset that is stored once per boot and chosen so that time never
goes below what was seen before. Wall time is for display and schedules.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, func, insert, select, update

from gurney.ledger.models import Clock

__all__ = ["BootClock", "LedgerClock", "ServerClock", "clock_for"]


_SERVER_TIME = select(func.extract("epoch", func.clock_timestamp()))


class LedgerClock(Protocol):
    """Where a transaction gets its time from."""

    def now(self, conn: Connection) -> float:
        """Return ledger seconds. Asked for after the locks are taken, so that waiting counts."""
        ...


class ServerClock:
    """PostgreSQL's clock: the same for every host."""

    def now(self, conn: Connection) -> float:
        """Return the server's time, that of this very moment."""
        return float(conn.scalar(_SERVER_TIME) or 0.0)


def _boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


@dataclass(slots=True)
class BootClock:
    """SQLite's clock. One process reads the offset once; :meth:`anchor` writes it once per boot."""

    offset: float | None = None

    @staticmethod
    def _elapsed() -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self, conn: Connection) -> float:
        """Return boot time plus the stored offset."""
        return self._elapsed() + (self.anchor(conn) if self.offset is None else self.offset)

    def is_anchored(self, conn: Connection) -> bool:
        """Tell whether this boot's offset is known, so that reading the time writes nothing."""
        if self.offset is not None:
            return True
        return conn.scalar(select(Clock.boot_id)) == _boot_id()

    def anchor(self, conn: Connection) -> float:
        """Agree on this boot's offset with every other process of this host; the first one writes it.

        It is kept once it was read back: the transaction that wrote it might have been rolled back.
        """
        boot = _boot_id()
        row = conn.execute(select(Clock.boot_id, Clock.offset_seconds, Clock.last_seen)).one_or_none()
        if row is not None and row.boot_id == boot:
            self.offset = float(row.offset_seconds)
            return self.offset
        start = max(time.time(), row.last_seen if row is not None else 0.0)
        offset = start - self._elapsed()
        values = {"boot_id": boot, "offset_seconds": offset, "last_seen": start}
        if row is None:
            conn.execute(insert(Clock.__table__).values(id=1, **values))  # type: ignore[arg-type]  # declared as FromClause
        else:
            conn.execute(update(Clock.__table__).values(**values))  # type: ignore[arg-type]  # as above
        return offset

    def remember(self, conn: Connection) -> None:
        """Store the time, so that the next boot starts no earlier."""
        conn.execute(update(Clock).values(last_seen=self.now(conn)))


def clock_for(dialect: str) -> LedgerClock:
    """Choose the clock of a database."""
    return BootClock() if dialect == "sqlite" else ServerClock()
