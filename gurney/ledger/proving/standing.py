"""How it stands with the proof that destinations are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, func, literal_column, select

from gurney.ledger.models import Commitment, Destination, Item, ProofWanted, Prover
from gurney.transfer.states import Proof

__all__ = ["standing"]

_OPEN_PROOFS: Final = (Proof.REQUESTED, Proof.REFUSED, Proof.OVERDUE)
_BY_PROOF: Final = (
    select(Item.destination_id, Item.proof, func.count().label("n"))
    # Spelt as the partial index is.
    .where(Item.proof.in_([literal_column(str(int(proof))) for proof in _OPEN_PROOFS]))
    .group_by(Item.destination_id, Item.proof)
)
_WANTED: Final = select(ProofWanted.destination_id, func.count().label("n")).group_by(ProofWanted.destination_id)
_OLDEST: Final = (
    select(Commitment.destination_id, func.min(Commitment.requested_at).label("since"))
    .where(Commitment.state == literal_column("'requested'"))
    .group_by(Commitment.destination_id)
)


def standing(conn: Connection, now: float) -> dict[str, dict[str, Any]]:
    """Say of each destination that is asked for proof, or was, how that stands.

    ``wanted`` items are yet to be asked for, ``requested`` await an answer, ``overdue`` had none, ``refused`` are not
    proven for good.
    """
    counted: Mapping[int, dict[int, int]] = defaultdict(dict)
    for row in conn.execute(_BY_PROOF):
        counted[row.destination_id][row.proof] = row.n
    wanted = {row.destination_id: row.n for row in conn.execute(_WANTED)}
    oldest = {row.destination_id: row.since for row in conn.execute(_OLDEST)}
    told: dict[str, dict[str, Any]] = {}
    rows = conn.execute(
        select(Destination.id, Destination.name, Destination.commitment, Destination.verify, Prover.trouble)
        .add_columns(Prover.since)
        .outerjoin(Prover, Prover.destination_id == Destination.id)
        .order_by(Destination.name)
    )
    for row in rows:
        asks = row.commitment != "none" or row.verify
        if not asks and row.id not in wanted and row.id not in counted:
            continue
        told[row.name] = {
            "commitment": row.commitment,
            "verify": "find" if row.verify else "none",
            "wanted": wanted.get(row.id, 0),
            **{proof.name.lower(): counted[row.id].get(proof, 0) for proof in _OPEN_PROOFS},
            "oldest_seconds": round(now - oldest[row.id], 1) if row.id in oldest else None,
            "trouble": row.trouble or "",
            "trouble_seconds": round(now - row.since, 1) if row.since is not None else None,
        }
    return told
