"""Which items a storage commitment request names, and what was said of each."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code
from gurney.transfer.states import Proof

__all__ = ["CommitmentItem"]


class CommitmentItem(Base):
    """One item in one request. How often an item was asked for, and how it was refused, is counted over these rows."""

    __tablename__ = "commitment_item"
    __table_args__ = (
        CheckConstraint(f"proof BETWEEN {Proof.REQUESTED:d} AND {Proof.OVERDUE:d}", name="proof"),
        Index("ix_commitment_item_item", "item_id"),
    )

    transaction_uid: Mapped[str] = mapped_column(String(64), ForeignKey("commitment.transaction_uid"), primary_key=True)
    item_id: Mapped[int] = mapped_column(BigId, ForeignKey("item.id"), primary_key=True, autoincrement=False)
    proof: Mapped[int] = mapped_column(Code, default=int(Proof.REQUESTED))
    reason: Mapped[int | None] = mapped_column()  # Failure Reason (0008,1197)
