"""Whether work may flow to a destination: its breaker, its holds, its pause and how many associations it gets.

    CLOSED --3 destination faults in a row, or a hold--> OPEN --probe is due, one worker takes it--> HALF_OPEN
    HALF_OPEN --failed--> OPEN          any of them --an instance is stored--> CLOSED

A :class:`Gate` is what the ledger keeps of this, frozen; every function answers with the gate that follows. A
hold is an open breaker with a reason and slower probes: it, too, opens by itself. A pause is a person's, and
only a person ends it. What is shown is the strongest of the three: paused, held, breaker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from gurney.transfer.backoff import DESTINATION, Uniform
from gurney.transfer.correlation import STREAK
from gurney.transfer.outcomes import Decision, DestinationHistory, Effect

__all__ = [
    "FAULTS_TO_OPEN",
    "HOLD_PROBES",
    "PROBE_PATIENCE",
    "Admission",
    "Admit",
    "Breaker",
    "Gate",
    "Shown",
    "apply",
    "begin_probe",
    "may_claim",
    "on_ambiguous",
    "on_batch_stored",
    "on_crowded",
    "on_fault",
    "on_hold",
    "on_nothing_learned",
    "on_pause",
    "on_resume",
    "on_success",
    "release",
    "shown",
]

FAULTS_TO_OPEN = 3

HOLD_PROBES = (60.0, 5 * 60.0, 15 * 60.0)
"""Seconds from a hold to its first probe, then between probes; the last goes on."""

PROBE_PATIENCE = 10 * 60.0
"""Seconds after which a worker that took a probe and was never heard of again counts as lost."""

# No wait is longer than this. A later due time comes from a clock that jumped, and is not obeyed.
_LONGEST_WAIT = max(DESTINATION.cap, *HOLD_PROBES, PROBE_PATIENCE)


class Breaker(StrEnum):
    """The breaker's own state."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Shown(StrEnum):
    """What people see of a destination: paused before held before the breaker."""

    PAUSED = "paused"
    HELD = "held"
    OPEN = "open"
    HALF_OPEN = "half_open"
    CLOSED = "closed"


class Admit(StrEnum):
    """How much a worker may claim."""

    FULL = "full"
    PROBE = "probe"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether a worker may claim, and if not, why and until when (ledger seconds; None: until a person acts)."""

    admit: Admit
    reason: str = ""
    next_at: float | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """What the ledger keeps of one destination's readiness. Times are ledger seconds.

    ``probe_at`` is the next time at which anything may be claimed: while closed, a short wait after a first
    fault; while open, the next probe; while half open, when the probe's taker counts as lost. ``probes`` counts
    failed probes since it opened. ``streak`` holds the items charged for ambiguous failures since the last
    success, one entry for each charge.
    """

    max_associations: int = 1
    effective_concurrency: int = 1
    breaker: Breaker = Breaker.CLOSED
    faults: int = 0
    opened_at: float | None = None
    probe_at: float | None = None
    probes: int = 0
    hold_reason: str = ""
    hold_since: float | None = None
    paused_by: str = ""
    streak: tuple[int, ...] = ()
    permanent_rejects: int = 0
    last_failed_item_id: int | None = None
    last_success_at: float | None = None

    def history(
        self, *, duplicate_ok: bool = True, calling_ae_title: str = "", called_ae_title: str = ""
    ) -> DestinationHistory:
        """Return what :func:`gurney.transfer.retry.decide` wants to know of the destination."""
        return DestinationHistory(
            consecutive_faults=self.faults,
            last_success_at=self.last_success_at,
            streak=self.streak,
            permanent_rejects=self.permanent_rejects,
            duplicate_ok=duplicate_ok,
            calling_ae_title=calling_ae_title,
            called_ae_title=called_ae_title,
        )

    @property
    def concurrency(self) -> int:
        """How many associations may be open at once."""
        return max(1, min(self.effective_concurrency, self.max_associations))


def shown(gate: Gate) -> Shown:
    """Return the one state that people see."""
    if gate.paused_by:
        return Shown.PAUSED
    if gate.hold_reason:
        return Shown.HELD
    return Shown(gate.breaker.value)


# --- Claims -----------------------------------------------------------------------------------------------------------


def may_claim(gate: Gate, now: float) -> Admission:
    """Tell whether a worker may claim a batch, a probe, or nothing.

    A ``PROBE`` must be taken with :func:`begin_probe` in the same transaction. It is a C-ECHO where the peer accepts
    it, then one item: of another study than ``last_failed_item_id``'s where there is one, else one that never failed,
    else at least another one. A bad study would otherwise fail probe after probe and hold up all the others.
    """
    if gate.paused_by:
        return Admission(Admit.DENIED, "paused")
    due = gate.probe_at
    if due is not None and now < due <= now + _LONGEST_WAIT:
        return Admission(Admit.DENIED, _why_wait(gate), due)
    return Admission(Admit.FULL if gate.breaker is Breaker.CLOSED else Admit.PROBE)


def _why_wait(gate: Gate) -> str:
    if gate.breaker is Breaker.HALF_OPEN:
        return "another worker probes"
    if gate.hold_reason:
        return f"held: {gate.hold_reason}"
    return "the breaker is open" if gate.breaker is Breaker.OPEN else "a short wait after a fault"


def begin_probe(gate: Gate, now: float, patience: float = PROBE_PATIENCE) -> Gate:
    """Take the probe: nobody else may claim until it ends or its taker counts as lost."""
    return replace(gate, breaker=Breaker.HALF_OPEN, probe_at=now + patience)


# --- What happened ----------------------------------------------------------------------------------------------------


def apply(gate: Gate, decision: Decision, item_id: int, now: float, *, uniform: Uniform) -> Gate:
    """Return the gate that follows from one decision; apply decisions in the order in which they were taken."""
    if decision.effect is Effect.SUCCESS:
        return on_success(gate, now)
    failed = replace(gate, last_failed_item_id=item_id) if decision.failed else gate
    if decision.halve:
        failed = on_crowded(failed)
    if decision.effect is Effect.AMBIGUOUS or decision.refund:
        failed = _join_streak(failed, item_id)
    match decision.effect:
        case Effect.FAULT:
            failed = on_fault(failed, now, uniform=uniform)
        case Effect.HOLD:
            failed = on_hold(failed, decision.hold_reason, now)
        case Effect.AMBIGUOUS:
            failed = on_ambiguous(failed, now, uniform=uniform)
        case Effect.NONE:
            failed = on_nothing_learned(failed, now)
    if decision.effect in {Effect.FAULT, Effect.HOLD}:
        failed = replace(failed, permanent_rejects=gate.permanent_rejects + 1 if decision.permanent_reject else 0)
    return failed


def on_success(gate: Gate, now: float) -> Gate:
    """Note a stored instance: it closes the breaker, ends a hold and clears the streak; concurrency restarts at 1."""
    reopened = gate.breaker is not Breaker.CLOSED
    return replace(
        gate,
        breaker=Breaker.CLOSED,
        faults=0,
        opened_at=None,
        probe_at=None,
        probes=0,
        hold_reason="",
        hold_since=None,
        streak=(),
        permanent_rejects=0,
        last_failed_item_id=None if reopened else gate.last_failed_item_id,
        last_success_at=now if gate.last_success_at is None else max(now, gate.last_success_at),
        effective_concurrency=1 if reopened else gate.effective_concurrency,
    )


def on_fault(gate: Gate, now: float, *, uniform: Uniform) -> Gate:
    """Note a fault of the destination: wait a little, open at the third in a row, open again after a failed probe."""
    faults = gate.faults + 1
    match gate.breaker:
        case Breaker.OPEN:  # a straggler from before it opened
            return replace(gate, faults=faults)
        case Breaker.HALF_OPEN:
            return _reopen(replace(gate, faults=faults), now, uniform)
        case Breaker.CLOSED if faults < FAULTS_TO_OPEN:
            return replace(gate, faults=faults, probe_at=now + DESTINATION.delay(faults, uniform))
        case Breaker.CLOSED:
            return replace(
                gate,
                breaker=Breaker.OPEN,
                faults=faults,
                opened_at=now,
                probe_at=now + DESTINATION.delay(faults, uniform),
                probes=0,
            )


def on_hold(gate: Gate, reason: str, now: float) -> Gate:
    """Hold the destination for a reason that somebody must mend; probes after 1 minute, 5, then every 15."""
    if gate.hold_reason and gate.breaker is Breaker.OPEN:  # a straggler from before it was held
        return replace(gate, hold_reason=reason)
    probes = gate.probes + 1 if gate.hold_reason else 0
    return replace(
        gate,
        breaker=Breaker.OPEN,
        faults=gate.faults + 1,
        opened_at=now if gate.opened_at is None else gate.opened_at,
        hold_reason=reason,
        hold_since=now if gate.hold_since is None else gate.hold_since,
        probes=probes,
        probe_at=now + _hold_wait(probes),
    )


def on_ambiguous(gate: Gate, now: float, *, uniform: Uniform) -> Gate:
    """Note a failure that may be the item's: it opens nothing, but a probe that ends so has not closed the breaker."""
    return _reopen(gate, now, uniform) if gate.breaker is Breaker.HALF_OPEN else gate


def on_nothing_learned(gate: Gate, now: float) -> Gate:
    """Let the next probe follow at once when this one ended for a reason of the item's or of ours, or found no item."""
    return replace(gate, breaker=Breaker.OPEN, probe_at=now) if gate.breaker is Breaker.HALF_OPEN else gate


def on_crowded(gate: Gate) -> Gate:
    """Halve the associations of a peer that has no room for them."""
    return replace(gate, effective_concurrency=max(1, gate.concurrency // 2))


def on_batch_stored(gate: Gate) -> Gate:
    """Allow one association more after a batch that stored something and met no fault, up to the configured limit."""
    if gate.breaker is not Breaker.CLOSED or gate.faults:
        return gate
    return replace(gate, effective_concurrency=max(1, min(gate.effective_concurrency + 1, gate.max_associations)))


# --- What people do ---------------------------------------------------------------------------------------------------


def on_pause(gate: Gate, by: str) -> Gate:
    """Pause: nothing is claimed until somebody resumes."""
    return replace(gate, paused_by=by)


def on_resume(gate: Gate) -> Gate:
    """Resume: the hold and the breaker are as they were."""
    return replace(gate, paused_by="")


def release(gate: Gate, now: float) -> Gate:
    """Make the next probe due now: somebody says that the cause is mended (``gurney retry``, ``echo``, ``reload``)."""
    if gate.breaker is Breaker.CLOSED:
        return replace(gate, faults=0, probe_at=None)
    return replace(gate, breaker=Breaker.OPEN, probe_at=now)


def _join_streak(gate: Gate, item_id: int) -> Gate:
    """Append to the streak until it is long enough to blame the destination; more would only grow."""
    if len(frozenset(gate.streak)) >= STREAK:
        return gate
    return replace(gate, streak=(*gate.streak, item_id))


def _reopen(gate: Gate, now: float, uniform: Uniform) -> Gate:
    probes = gate.probes + 1
    wait = _hold_wait(probes) if gate.hold_reason else DESTINATION.delay(FAULTS_TO_OPEN + probes, uniform)
    return replace(gate, breaker=Breaker.OPEN, probes=probes, probe_at=now + wait)


def _hold_wait(probes: int) -> float:
    return HOLD_PROBES[min(probes, len(HOLD_PROBES) - 1)]
