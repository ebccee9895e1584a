"""The decisions of a retrieve: whether to believe a listing, whose fault a failure is, whether a round was the last.

Pure, as :mod:`gurney.transfer.retry` is for what is sent; ``docs/reference/failures.md`` is the table behind it. What
proves a retrieve is the set of UIDs that arrived against the set that the source named: never its counters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from gurney.dicom.status import Service, describe
from gurney.transfer import retry
from gurney.transfer.backoff import ATTEMPT_BUDGET, DESTINATION, ITEM, PATIENCE, Uniform
from gurney.transfer.outcomes import DestinationHistory, Effect, Event, EventKind, ItemHistory

__all__ = [
    "ASK_ONCE_MORE",
    "FRUITLESS_ROUNDS",
    "NEARLINE_GRACE",
    "Blame",
    "Conclusion",
    "Listing",
    "RetrievalHistory",
    "RetrievalState",
    "RetrieveDecision",
    "Round",
    "SeriesListing",
    "Step",
    "Verdict",
    "WantedState",
    "conclude_round",
    "decide",
    "judge_listing",
]

FRUITLESS_ROUNDS = 3
"""Rounds in a row without a new UID after which the source is believed not to have the rest."""

ASK_ONCE_MORE = 24 * 3600.0
"""Seconds after which an incomplete retrieval is asked for once more."""

NEARLINE_GRACE = 600.0
"""Seconds without an arrival that an archive gets which has the study on tape (0008,0056)."""

_ROUND_COUNTS = frozenset({100, 200, 500, 1000})


class RetrievalState(IntEnum):
    """One request. WAITING and INCOMPLETE are taken up when they are due; what is up to INCOMPLETE may still arrive."""

    WAITING = 0
    RUNNING = 1
    INCOMPLETE = 2
    DONE = 3
    WARNED = 4  # all that came is here, but nobody could say what should come
    FAILED = 5
    CANCELLED = 6


class WantedState(IntEnum):
    """One instance of it. DELIVERED: also written to the folder that was asked for."""

    EXPECTED = 0
    ARRIVED = 1
    DELIVERED = 2
    MISSING = 3


class Listing(IntEnum):
    """How much the source's list of instances (C-FIND at IMAGE level) is worth."""

    NOT_ASKED = 0
    TRUSTED = 1
    DOUBTED = 2
    NONE = 3  # it does not answer at that level


class Step(StrEnum):
    """What was under way when something happened."""

    FIND = "C-FIND"
    MOVE = "C-MOVE"
    GET = "C-GET"


class Blame(StrEnum):
    """Whose fault a failure is: of the source, of the way from it to a move destination, or of this request alone."""

    SOURCE = "source"
    PAIR = "pair"
    REQUEST = "request"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class SeriesListing:
    """One series: how many instances the source lists of it, and how many it says it has (0020,1209)."""

    listed: int
    said: int | None = None


def judge_listing(  # noqa: PLR0911 - one return for each case
    series: Iterable[SeriesListing] | None, said: int | None
) -> tuple[Listing, str]:
    """Tell how far to trust a list of instances, and why; ``series`` is None where there is no such list.

    Archives cut long answers without a word. So a list counts only where it is as long as the source says of its
    series or of the study (0020,1208), which ``said`` is; where it says neither, a round number is suspect.
    """
    if series is None:
        return Listing.NONE, "the source does not list instances"
    lists = list(series)
    total = sum(one.listed for one in lists)
    if said is not None and total >= said:
        return Listing.TRUSTED, ""
    short = next((one for one in lists if one.said is not None and one.listed < one.said), None)
    if short is not None:
        return Listing.DOUBTED, f"the source lists {short.listed} instances of a series that it says has {short.said}"
    if lists and all(one.said is not None for one in lists):
        return Listing.TRUSTED, ""
    if said is not None:
        return Listing.DOUBTED, f"the source lists {total} instances of a study that it says has {said}"
    if total in _ROUND_COUNTS or any(one.listed in _ROUND_COUNTS for one in lists):
        return Listing.DOUBTED, f"the source lists {total} instances, a round number, and says nowhere how many it has"
    return Listing.TRUSTED, ""


# --- A failure --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RetrievalHistory:
    """What is known when a failure is judged. ``pair_worked``: this way has brought something before."""

    attempts: int = 0
    first_failed_at: float | None = None
    source_faults: int = 0
    pair_worked: bool = False
    calling_ae_title: str = ""
    called_ae_title: str = ""
    move_destination: str = ""


@dataclass(frozen=True, slots=True)
class RetrieveDecision:
    """What follows. ``hold`` is why somebody must mend the configuration; ``permanent``: it is not asked for again."""

    blame: Blame
    words: str
    delay: float = 0.0
    hold: str = ""
    permanent: bool = False


# Statuses whose cause lies in the request itself, or in what the source is able to do (PS3.4 C.4.2.1.5, PS3.7 annex C).
_PERMANENT = frozenset({0xA900, *range(0xAA00, 0xAA05), 0x0112, 0x0115, 0x0118, 0x0122, 0x0211, 0x0212})
_NOT_AUTHORISED = 0x0124
_SOURCE_SHORT = 0xA701
_SUBOPERATIONS_FAILED = frozenset({0xA702, 0xB000})
_UNKNOWN_DESTINATION = 0xA801


def decide(  # noqa: PLR0911 - one return for each row of the table
    event: Event, step: Step, history: RetrievalHistory, now: float, *, uniform: Uniform
) -> RetrieveDecision:
    """Decide what follows from a failure of one step. ``now`` is ledger time in seconds.

    A warning of a C-MOVE (B000) is a failure here only where everything failed: the caller knows.
    """
    status = event.status
    if event.kind is not EventKind.RESPONSE or status is None:
        return _association(event, step, history, now, uniform)
    words = f"{step.value}: {describe(status, _SERVICES[step])}"
    if step is Step.MOVE:
        if status in _SUBOPERATIONS_FAILED:
            return RetrieveDecision(
                Blame.PAIR,
                f"{words}: the source could not send to {history.move_destination!r}, usually because nobody listens "
                "there, or turns it away",
                delay=DESTINATION.delay(history.attempts + 1, uniform),
            )
        if status == _UNKNOWN_DESTINATION or (_is_cxxx(status) and not history.pair_worked):
            return RetrieveDecision(Blame.PAIR, words, hold=_must_know(words, history))
    if status == _SOURCE_SHORT:
        return RetrieveDecision(Blame.SOURCE, words, delay=DESTINATION.delay(history.source_faults + 1, uniform))
    if status == _NOT_AUTHORISED:
        return RetrieveDecision(Blame.SOURCE, words, hold=f"{words}: the source must allow our AE title to retrieve")
    if status in _PERMANENT:
        return RetrieveDecision(Blame.REQUEST, words, permanent=True)
    return _charged(words, history, now, uniform)


_SERVICES = {Step.FIND: Service.C_FIND, Step.MOVE: Service.C_MOVE, Step.GET: Service.C_GET}


def _association(event: Event, step: Step, history: RetrievalHistory, now: float, uniform: Uniform) -> RetrieveDecision:
    """Read what ended the association as it is read for what is sent, then say whose it is here."""
    if event.kind is EventKind.NO_CONTEXT:
        other = {Step.MOVE: "get", Step.GET: "move"}.get(step, "")
        remedy = f': set retrieve = "{other}" for it if it offers that' if other else ""
        return RetrieveDecision(Blame.REQUEST, f"the source does not offer {step.value}{remedy}", permanent=True)
    source = DestinationHistory(
        consecutive_faults=history.source_faults,
        permanent_rejects=history.source_faults,
        calling_ae_title=history.calling_ae_title,
        called_ae_title=history.called_ae_title,
    )
    read = retry.decide(event, source, ItemHistory(0), now, uniform=uniform)
    words = f"{step.value}: {read.words}"
    match read.effect:
        case Effect.HOLD:
            return RetrieveDecision(Blame.SOURCE, words, hold=read.hold_reason or read.words)
        case Effect.FAULT:
            return RetrieveDecision(Blame.SOURCE, words, delay=DESTINATION.delay(history.source_faults + 1, uniform))
        case _:
            return _charged(words, history, now, uniform)


def _charged(words: str, history: RetrievalHistory, now: float, uniform: Uniform) -> RetrieveDecision:
    attempts = history.attempts + 1
    if attempts >= ATTEMPT_BUDGET and history.first_failed_at is not None and now - history.first_failed_at >= PATIENCE:
        return RetrieveDecision(Blame.REQUEST, f"{words}; given up after {attempts} attempts", permanent=True)
    return RetrieveDecision(Blame.REQUEST, words, delay=ITEM.delay(attempts, uniform))


def _must_know(words: str, history: RetrievalHistory) -> str:
    return f"{words}: the source must know the AE title {history.move_destination!r}, with its address and port"


def _is_cxxx(status: int) -> bool:
    return 0xC000 <= status <= 0xCFFF


# --- A round ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Round:
    """How things stand when a round has been answered. ``idle``: seconds since then, or since the last arrival.

    ``expected`` are the instances that the source named, ``missing`` those of them that are not here, ``arrived`` all
    that came, ``fresh`` those that this round brought; ``said`` is how many the source says there are.
    """

    listing: Listing
    expected: int
    missing: int
    arrived: int
    fresh: int
    fruitless: int
    idle: float
    grace: float
    rounds: int = 1
    said: int | None = None
    asked_once_more: bool = False


class Verdict(StrEnum):
    """What becomes of the retrieval."""

    COMPLETE = "complete"
    UNPROVEN = "unproven"
    ABSENT = "absent"
    WAIT = "wait"
    AGAIN = "again"
    INCOMPLETE = "incomplete"


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The verdict on a round, its words, the seconds until the next look, and fruitless rounds counted so far."""

    verdict: Verdict
    words: str = ""
    delay: float | None = None
    fruitless: int = 0


def conclude_round(stand: Round, *, uniform: Uniform) -> Conclusion:  # noqa: PLR0911 - one return for each verdict
    """Tell whether a retrieval is complete, to be waited for, to be asked for again, or at its end.

    A source's final response can precede the images, so only ``grace`` seconds without an arrival end a round.
    """
    trusted = stand.listing is Listing.TRUSTED
    if trusted and stand.expected == 0:
        return Conclusion(Verdict.ABSENT, "the source has no instance of it")
    if trusted and stand.missing == 0:
        return Conclusion(Verdict.COMPLETE)
    if stand.idle < stand.grace:
        return Conclusion(Verdict.WAIT, "waiting for what may be on its way", stand.grace - stand.idle, stand.fruitless)
    short = max(stand.missing, (stand.said or 0) - stand.arrived)
    if short <= 0 and not trusted:
        if stand.arrived == 0:
            return Conclusion(Verdict.ABSENT, "nothing came, and the source does not say what it has")
        counted = f", though it counts {stand.said}" if stand.said is not None else ""
        words = f"{stand.arrived} instances came; not proven complete: the source does not name all of them{counted}"
        return Conclusion(Verdict.UNPROVEN, words)
    fruitless = 0 if stand.fresh else stand.fruitless + 1
    if fruitless >= FRUITLESS_ROUNDS or (stand.asked_once_more and not stand.fresh):
        words = f"INCOMPLETE_AT_SOURCE: {short} instances did not come, in {fruitless} rounds without a new one"
        return Conclusion(
            Verdict.INCOMPLETE, words, None if stand.asked_once_more else ASK_ONCE_MORE, fruitless=fruitless
        )
    # What goes on well is not made to wait.
    delay = ITEM.delay(fruitless, uniform) if fruitless else 0.0
    return Conclusion(Verdict.AGAIN, f"{short} instances did not come yet", delay, fruitless)
