"""Carry a plan out: a retrieval for each prior that is missing, in the ledger, for the workers to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.retrieving.requests import Asked, Request, ask
from gurney.prefetch.planning import Plan, Planner
from gurney.settings import Prefetch, Settings
from gurney.transfer.prefetch import Current
from gurney.transfer.states import Priority

__all__ = ["CarriedOut", "carry_out", "requests_of"]


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """A plan and the retrievals that it became; ring the bells after it."""

    plan: Plan
    asked: tuple[Asked, ...]

    @property
    def bells(self) -> tuple[Bell, ...]:
        """Whom to ring."""
        return tuple(dict.fromkeys(bell for one in self.asked for bell in one.bells))


def carry_out(
    settings: Settings,
    ledger: Ledger,
    rule: Prefetch,
    patient_ids: Collection[str],
    current: Current,
    due_at: float | None = None,
    *,
    actor: str,
) -> CarriedOut:
    """Plan for one patient, under all of their IDs, and ask for what is missing; equal requests become one.

    ``due_at`` is ledger time, None for now. Raises as :meth:`Planner.plan` does, and LedgerError for a source that the
    ledger does not know. See whether the plan is whole: a source that was away is worth asking again.
    """
    plan = Planner(settings).plan(rule, patient_ids, current)
    wanted = requests_of(rule, plan, due_at)
    asked = ledger.transact(_ask_all, wanted, actor) if wanted else ()
    return CarriedOut(plan, asked)


def requests_of(rule: Prefetch, plan: Plan, due_at: float | None = None) -> list[Request]:
    """Say what to ask for: through us a study once, with whom it goes on to; direct once for each target."""
    wanted = []
    for one in plan.to_fetch:
        ways = [(one.targets, "")] if rule.path == "through" else [((), target) for target in one.targets]
        candidate = one.judged.candidate
        wanted += [
            Request(
                candidate.source,
                candidate.study_instance_uid,
                forward_to=forward_to,
                direct_to=direct_to,
                origin=f"prefetch:{rule.name}",
                priority=Priority.ROUTINE,  # never STAT: what is urgent goes before what may be looked at
                due_at=due_at,
            )
            for forward_to, direct_to in ways
        ]
    return wanted


def _ask_all(tx: Transaction, wanted: Sequence[Request], actor: str) -> tuple[Asked, ...]:
    return tuple(ask(tx, request, actor) for request in wanted)
