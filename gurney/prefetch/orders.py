"""See to what messages told of: each appointment once for each rule, when it comes within the rule's horizon."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from gurney.ledger import appointments
from gurney.ledger.appointments import HL7, Expected
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.prefetch.appointments import Seen, due_at
from gurney.prefetch.carrying_out import carry_out
from gurney.prefetch.schedules import horizon
from gurney.settings import Prefetch, Settings
from gurney.transfer.prefetch import Current

__all__ = ["see_to_orders"]

# Who is late is still expected.
_LATE: Final = 3600.0
_TRY_AGAIN_AFTER: Final = 300.0

log = get_logger(__name__)


def see_to_orders(
    settings: Settings,
    ledger: Ledger,
    rule: Prefetch,
    now: float,
    ring: Callable[[Sequence[Bell]], None],
    *,
    actor: str,
    is_over: Callable[[], bool] = lambda: False,
    anew: bool = False,
) -> Seen:
    """See to what is due for a rule, one after the other; ``anew`` also to what it has seen to before.

    Call it inside a DicomEngine. What can't be seen to because a source is away is tried again. Raises what the ledger
    raises.
    """
    zone = ZoneInfo(settings.node.timezone)
    seen = Seen()
    _, end = horizon(rule.horizon, now, zone, rule.holidays)
    with ledger.read() as conn:
        expected = appointments.due(conn, rule.name, now - _LATE, end, now, anew=anew)
    for one in expected:
        if is_over():
            seen.trouble = "stopped on the way"
            break
        due = due_at(rule, one.scheduled_at, ledger, now)
        done = carry_out(settings, ledger, rule, one.patient_ids, _current(one, zone, now), due, actor=actor)
        ledger.transact(appointments.link, HL7, one.key, [asked.retrieval_id for asked in done.asked])
        if done.plan.is_whole:
            ledger.transact(appointments.seen_to, HL7, one.key, rule.name)
        else:
            ledger.transact(appointments.try_again, HL7, one.key, rule.name, now + _TRY_AGAIN_AFTER)
            seen.trouble = done.plan.trouble
        ring(done.bells)
        seen.comers += 1
        seen.retrievals += sum(asked.is_new for asked in done.asked)
    if expected:
        log.info("prefetch_done", rule=rule.name, comers=seen.comers, retrievals=seen.retrievals)
    return seen


def _current(one: Expected, zone: ZoneInfo, now: float) -> Current:
    return Current(
        datetime.fromtimestamp(one.scheduled_at if one.scheduled_at is not None else now, zone).date(),
        one.study_instance_uid,
        one.accession_number,
        one.description,
        procedure_codes=tuple(filter(None, [one.procedure_code])),
        modalities=tuple(filter(None, [one.modality])),
    )
