"""See to the appointments of one time of a rule: who comes, and a retrieval for each prior that is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from gurney.errors import GurneyError
from gurney.ledger import appointments
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.prefetch.carrying_out import carry_out
from gurney.prefetch.comers import Comer, Mistake, on_list, on_worklist
from gurney.prefetch.schedules import horizon
from gurney.settings import Prefetch, Settings

__all__ = ["Seen", "due_at", "see_to", "who_comes"]

log = get_logger(__name__)


@dataclass(slots=True)
class Seen:
    """What came of it. ``trouble`` says why some could not be seen to; asked again they may be."""

    comers: int = 0
    retrievals: int = 0
    mistakes: list[Mistake] = field(default_factory=list)
    trouble: str = ""

    @property
    def words(self) -> str:
        """Say in a line what is amiss; nothing where all is well."""
        lines = ", ".join(str(mistake.line) for mistake in self.mistakes[:5])
        told = f"{len(self.mistakes)} lines of the list can't be used: {lines}" if self.mistakes else ""
        return "; ".join(filter(None, [self.trouble, told]))


def who_comes(settings: Settings, rule: Prefetch, at: float) -> tuple[list[Comer], list[Mistake]]:
    """Return who is expected within the rule's horizon of a moment, the earliest first, and the lines left out.

    Raises ListUnusable, a refinement of AssociationFailure, OperationFailed.
    """
    zone = ZoneInfo(settings.node.timezone)
    begin, end = horizon(rule.horizon, at, zone, rule.holidays)
    if rule.patients:
        comers, mistakes = on_list(rule.patients, zone, datetime.fromtimestamp(at, zone).date())
        comers = [one for one in comers if one.scheduled_at is None or begin <= one.scheduled_at < end]
    else:
        comers, mistakes = list(on_worklist(settings, rule, zone, begin, end)) if rule.worklist else [], []
    # Several steps of one study, or a patient who stands there twice, are one.
    distinct = {(one.patient_ids, one.current): one for one in comers}
    return sorted(distinct.values(), key=lambda one: one.scheduled_at or 0.0), mistakes


def see_to(
    settings: Settings,
    ledger: Ledger,
    rule: Prefetch,
    at: float,
    now: float,
    ring: Callable[[Sequence[Bell]], None],
    *,
    actor: str,
    is_over: Callable[[], bool] = lambda: False,
) -> Seen:
    """See to all who come, one after the other; the trouble of one stops no other. Call it inside a DicomEngine.

    ``at`` is the time that the rule was due, ``now`` what the clock says. Raises what the ledger raises.
    """
    seen = Seen()
    try:
        comers, seen.mistakes = who_comes(settings, rule, at)
    except GurneyError as error:
        seen.trouble = str(error)
        return seen
    origin = f"rule:{rule.name}"
    for comer in comers:
        if is_over():
            seen.trouble = "stopped on the way"
            break
        # What was asked for who comes at another time now is withdrawn, and asked for at that.
        expected = appointments.Expected(comer.key, (), comer.scheduled_at)
        ledger.transact(appointments.note, origin, expected, now, now, actor)
        due = due_at(rule, comer.scheduled_at, ledger, now)
        done = carry_out(settings, ledger, rule, comer.patient_ids, comer.current, due, actor=actor)
        ledger.transact(appointments.link, origin, comer.key, [asked.retrieval_id for asked in done.asked])
        ring(done.bells)
        seen.comers += 1
        seen.retrievals += sum(asked.is_new for asked in done.asked)
        if not done.plan.is_whole:
            seen.trouble = done.plan.trouble
    # Who stands in a line that can't be read is not known to be gone.
    if not is_over() and not seen.mistakes:
        _withdraw_vanished(settings, ledger, rule, at, now, [comer.key for comer in comers], actor)
    log.info("prefetch_done", rule=rule.name, comers=seen.comers, retrievals=seen.retrievals)
    return seen


def _withdraw_vanished(
    settings: Settings, ledger: Ledger, rule: Prefetch, at: float, now: float, keys: Sequence[str], actor: str
) -> None:
    """Withdraw what was asked for who is not expected any more: the worklist, or the list, has told of all who are."""
    begin, end = horizon(rule.horizon, at, ZoneInfo(settings.node.timezone), rule.holidays)
    origin = f"rule:{rule.name}"
    with ledger.read() as conn:
        gone = appointments.vanished(conn, origin, keys, max(begin, now), end)
    for key in gone:
        withdrawn = ledger.transact(appointments.cancel, origin, key, now, now, actor)
        log.info("appointment_vanished", rule=rule.name, retrievals_withdrawn=len(withdrawn))


def due_at(rule: Prefetch, scheduled_at: float | None, ledger: Ledger, now: float) -> float | None:
    """Return when to fetch, by the ledger's clock: so long before the appointment, or now."""
    if rule.lead is None or scheduled_at is None:
        return None
    ahead = scheduled_at - rule.lead - now
    return ledger.now() + ahead if ahead > 0 else None
