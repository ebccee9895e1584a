"""Which studies went where lately: what is known of a target that can't be asked."""

from __future__ import annotations

import json
from collections.abc import Collection

from sqlalchemy import Connection, select

from gurney.ledger.models import Retrieval
from gurney.transfer.retrieving import RetrievalState

__all__ = ["delivered_since"]

_ENDED_WELL = (int(RetrievalState.DONE), int(RetrievalState.WARNED))


def delivered_since(conn: Connection, study_instance_uids: Collection[str], since: float) -> set[tuple[str, str]]:
    """Return the pairs of study and target of whole studies whose retrievals ended well after ``since`` (ledger time).

    What came to us for a target counts: that it gets there is its transfer's matter.
    """
    rows = conn.execute(
        select(Retrieval.study_instance_uid, Retrieval.forward_to, Retrieval.direct_to).where(
            Retrieval.study_instance_uid.in_(study_instance_uids),
            Retrieval.series_instance_uid == "",
            Retrieval.state.in_(_ENDED_WELL),
            Retrieval.settled_at >= since,
        )
    )
    return {
        (row.study_instance_uid, target)
        for row in rows
        for target in (*json.loads(row.forward_to), row.direct_to)
        if target
    }
