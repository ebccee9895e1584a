"""Carry a plan out: a retrieval for each prior that is missing, in the ledger, for the workers to do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from gurney.ledger.aliases import known_ids
from gurney.ledger.database import Ledger, Transaction
from gurney.ledger.forwarding import Bell
from gurney.ledger.retrieving.recent import delivered_since
from gurney.ledger.retrieving.requests import PREFETCH, Asked, Request, ask
from gurney.prefetch.planning import Plan, Planner
from gurney.settings import Prefetch, Settings
from gurney.transfer.prefetch import Current, Selected, Verdict
from gurney.transfer.states import Priority

__all__ = ["CarriedOut", "carry_out", "requests_of"]

# Workstations delete what nobody looked at; an appointment some weeks later shall have its priors again.
_REMEMBERED_SECONDS = 7 * 86_400.0


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
    """Plan for one patient, under all IDs that are known, and ask for what is missing; equal requests become one.

    ``due_at`` is ledger time, None for now. Raises as :meth:`Planner.plan` does, and LedgerError for a source that the
    ledger does not know. See whether the plan is whole: a source that was away is worth asking again.
    """
    with ledger.read() as conn:
        patient_ids = known_ids(conn, [one.strip() for one in patient_ids])
    plan = _without_delivered(Planner(settings).plan(rule, patient_ids, current), ledger)
    wanted = requests_of(rule, plan, due_at)
    asked = ledger.transact(_ask_all, wanted, actor) if wanted else ()
    return CarriedOut(plan, asked)


def _without_delivered(plan: Plan, ledger: Ledger) -> Plan:
    """Take the ledger's word for targets that can't be asked: a rule that is done every 15 minutes fetches once."""
    silent = {one.remote for one in plan.unanswered if not one.is_source}
    if not silent or not plan.to_fetch:
        return plan
    since = ledger.now() - _REMEMBERED_SECONDS
    with ledger.read() as conn:
        delivered = delivered_since(conn, [one.judged.candidate.study_instance_uid for one in plan.to_fetch], since)
    there = {(study, target) for study, target in delivered if target in silent}
    return replace(plan, selected=tuple(_less(one, there) for one in plan.selected))


def _less(one: Selected, there: Collection[tuple[str, str]]) -> Selected:
    targets = tuple(name for name in one.targets if (one.judged.candidate.study_instance_uid, name) not in there)
    if one.verdict is not Verdict.FETCH or targets == one.targets:
        return one
    if targets:
        return replace(one, targets=targets)
    return replace(one, verdict=Verdict.PRESENT, words="was fetched lately, says the ledger", targets=())


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
                origin=f"{PREFETCH}{rule.name}",
                priority=Priority.ROUTINE,  # never STAT: what is urgent goes before what may be looked at
                due_at=due_at,
            )
            for forward_to, direct_to in ways
        ]
    return wanted


def _ask_all(tx: Transaction, wanted: Sequence[Request], actor: str) -> tuple[Asked, ...]:
    return tuple(ask(tx, request, actor) for request in wanted)
