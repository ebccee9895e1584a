"""The audit trail: one row per batch and per decision, written in the transaction that decides.

What happened to an instance is in its attempts; here stands who or what decided. No patient data: a study is named by
its UID.
"""

from __future__ import annotations

import json

from sqlalchemy import insert

from gurney.ledger.database import Transaction
from gurney.ledger.models import Audit

__all__ = ["Fact", "record"]

_INSERT = insert(Audit)

Fact = str | int | float | bool | None | list[int] | list[str]


def record(
    tx: Transaction,
    actor: str,
    action: str,
    *,
    study_instance_uid: str = "",
    destination_id: int | None = None,
    **detail: Fact,
) -> None:
    """Append one row; ``action`` is a constant such as ``batch.released``, ``detail`` its facts."""
    row = {
        "at": tx.now,
        "actor": actor[:128],
        "action": action,
        "study_instance_uid": study_instance_uid,
        "destination_id": destination_id,
        "detail": json.dumps(detail, sort_keys=True),
    }
    tx.conn.execute(_INSERT, row)
