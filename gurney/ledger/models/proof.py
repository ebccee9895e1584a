"""What more than a response is to prove an item: what is still to be asked for, what was asked, and what was said."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from gurney.ledger.models.base import Base, BigId, Code, LedgerTime
from gurney.transfer.states import Proof

__all__ = ["CommitmentItem", "ProofWanted", "Prover"]


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


class ProofWanted(Base):
    """An item whose proof is to be asked for, at ``due_at`` or later: a list of errands, empty when all is proven.

    ``looked`` counts the queries in a row that did not find it.
    """

    __tablename__ = "proof_wanted"
    __table_args__ = (
        CheckConstraint("how IN ('commitment', 'find')", name="how"),
        Index("ix_proof_wanted_due", "destination_id", "how", "due_at", "item_id"),
    )

    item_id: Mapped[int] = mapped_column(BigId, ForeignKey("item.id"), primary_key=True, autoincrement=False)
    destination_id: Mapped[int] = mapped_column(BigId, ForeignKey("destination.id"))
    how: Mapped[str] = mapped_column(String(10))
    due_at: Mapped[float] = mapped_column(LedgerTime)
    looked: Mapped[int] = mapped_column(Code, default=0)


class Prover(Base):
    """How asking one destination for proof fares: what is in the way, since when, and when it is tried again."""

    __tablename__ = "prover"

    destination_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("destination.id"), primary_key=True, autoincrement=False
    )
    trouble: Mapped[str] = mapped_column(String(400), default="")
    since: Mapped[float | None] = mapped_column(LedgerTime)
    tries: Mapped[int] = mapped_column(default=0)
    look_at: Mapped[float] = mapped_column(LedgerTime, default=0.0)
