"""What a study has matched: rules of scope "study", as decisions were based on it and as they add to it."""

from __future__ import annotations

from collections.abc import Set

from sqlalchemy import bindparam, insert, select

from gurney.ledger.database import Transaction
from gurney.ledger.errors import StaleRead
from gurney.ledger.forwarding import Forwarding
from gurney.ledger.models import Study, StudyRoute
from gurney.transfer.routing import RoutingDecision

__all__ = ["StudyMatches"]


_MATCHED = select(StudyRoute.route).where(StudyRoute.study_id == bindparam("study"))


class StudyMatches:
    """The matches of the studies in one transaction; what is new is looked back for at its end."""

    def __init__(self, tx: Transaction) -> None:
        """Start with nothing known."""
        self._tx = tx
        self._known: dict[int, set[str]] = {}
        self._new: dict[int, dict[str, RoutingDecision]] = {}

    def note(self, study_id: int, decision: RoutingDecision, based_on: Set[str]) -> None:
        """Keep which rules a decision has matched. Raises StaleRead unless its study had matched ``based_on``."""
        known = self._known.get(study_id)
        if known is None:
            known = self._known[study_id] = self._load(study_id)
            if known != based_on:
                raise StaleRead("the study has matched other rules in the meantime")
        for route in sorted(decision.matched_study_rules - known):
            known.add(route)
            self._tx.conn.execute(insert(StudyRoute).values(study_id=study_id, route=route, matched_at=self._tx.now))
            self._new.setdefault(study_id, {})[route] = decision

    def look_back(self, forwarding: Forwarding) -> None:
        """Send what came before its study matched, and follows it."""
        for study_id, routes in self._new.items():
            for route, decision in routes.items():
                forwarding.look_back(study_id, decision, route)

    def _load(self, study_id: int) -> set[str]:
        if self._tx.locks_rows:
            # One after the other: a report that another door brings at this moment would be seen by neither.
            lock = select(Study.id).where(Study.id == study_id).with_for_update(key_share=True)
            self._tx.conn.execute(lock)
        return set(self._tx.conn.scalars(_MATCHED, {"study": study_id}))
