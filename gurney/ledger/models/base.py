"""What all tables share: naming of constraints, and the column types that both databases understand."""

from __future__ import annotations

from sqlalchemy import BigInteger, Float, Integer, MetaData, SmallInteger
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

__all__ = ["Base", "BigId", "Code", "LedgerTime", "key"]

# SQLite makes a rowid alias of INTEGER PRIMARY KEY only; PostgreSQL must not run out at 2**31.
BigId = BigInteger().with_variant(Integer, "sqlite")
# States and priorities are IntEnums of gurney.transfer.states.
Code = SmallInteger
# Seconds on the ledger's own clock (see gurney.ledger.clock); never a host's wall time.
LedgerTime = Float(53)


class Base(DeclarativeBase):
    """Root of the schema. Constraints are named, so that migrations can change them on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


def key() -> Mapped[int]:
    """Make the surrogate key of a table: ascending, so that new rows stand together on disk."""
    return mapped_column(BigId, primary_key=True, autoincrement=True)
