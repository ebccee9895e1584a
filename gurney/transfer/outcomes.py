"""What can happen to one attempt, and what may follow: the vocabulary of ``transfer.retry``.

The worker reports an :class:`Event`; :func:`gurney.transfer.retry.decide` answers with a :class:`Decision`;
the ledger applies it in the transaction that settles the item. Nothing here acts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gurney.transfer.states import ItemState, Outcome

__all__ = ["Decision", "DestinationHistory", "Effect", "Event", "EventKind", "ItemHistory", "RefusalScope"]


class EventKind(StrEnum):
    """Everything that can end one try, named after what was seen."""

    RESPONSE = "response"  # a C-STORE-RSP with a status
    BAD_RESPONSE = "bad_response"  # wrong message ID or context, no status, garbage
    CONNECT_FAILED = "connect_failed"  # DNS, refused, unreachable, connect timeout
    TLS_FAILED = "tls_failed"
    CLOSED_AT_REQUEST = "closed_at_request"  # close or abort in place of A-ASSOCIATE-AC
    REJECTED = "rejected"  # A-ASSOCIATE-RJ with result, source, reason (PS3.8 9.3.4)
    NO_CONTEXT = "no_context"  # the item's context was refused; ``result`` is PS3.8 9.3.3.2's
    ABORTED = "aborted"  # A-ABORT of any source in mid-association
    RESET = "reset"  # TCP reset, or the peer closed without release
    ACSE_TIMEOUT = "acse_timeout"
    DIMSE_TIMEOUT = "dimse_timeout"
    FILE_MISSING = "file_missing"  # gone, forbidden or changed since it was accepted, its spool online
    UNREADABLE = "unreadable"  # an error of the disk or share, or of this one file: EIO, ESTALE
    UNFIT = "unfit"  # no instance that could be sent: not DICOM, cut short, without UIDs, a link or a device
    SPOOL_OFFLINE = "spool_offline"
    LOCAL = "local"  # our own want: no more files or memory, a full disk, the ledger unreachable
    NEIGHBOUR = "neighbour"  # was not on the wire when its association ended
    VETOED = "vetoed"  # a before_c_store hook refused the item
    CANCELLED = "cancelled"  # cancelled, paused or pre-empted by us


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one item's attempt.

    ``status`` is the DIMSE status; ``result``, ``source``, ``reason`` are those of an A-ASSOCIATE-RJ, or
    ``result`` of a refused context. ``comment`` is the peer's Error Comment (0000,0902). ``in_flight`` says
    that the instance was on the wire.
    """

    kind: EventKind
    status: int | None = None
    comment: str = field(default="", repr=False)  # may name a patient
    result: int | None = None
    source: int | None = None
    reason: int | None = None
    in_flight: bool = False
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DestinationHistory:
    """What the ledger knows of a destination when it decides. Times are ledger seconds.

    :meth:`gurney.transfer.breaker.Gate.history` makes one. The AE titles are only put into words.
    """

    consecutive_faults: int = 0
    last_success_at: float | None = None
    # Items charged for an ambiguous failure since the last success, oldest first, one entry for each charge.
    streak: tuple[int, ...] = ()
    permanent_rejects: int = 0  # RJ 1/1/1 in a row
    duplicate_ok: bool = True
    calling_ae_title: str = ""
    called_ae_title: str = ""


@dataclass(frozen=True, slots=True)
class ItemHistory:
    """What the ledger knows of an item when it decides."""

    item_id: int
    attempts: int = 0  # charged so far
    # The first charged failure since the budget was last reset, or since a refund gave every charge back.
    first_failed_at: float | None = None
    last_failed_at: float | None = None  # the last decision that ``failed`` it, charged or not, refunded or not
    suspect: int = 0
    alone: bool = False  # this attempt carried no other item
    context_retries: int = 0
    last_status: int | None = None


class Effect(StrEnum):
    """What an attempt tells of the destination."""

    NONE = "none"
    SUCCESS = "success"  # closes the breaker, clears the streak and holds
    FAULT = "fault"  # feeds the breaker
    AMBIGUOUS = "ambiguous"  # item's or destination's: joins the streak
    HOLD = "hold"  # configuration: hold the destination with ``hold_reason``


class RefusalScope(StrEnum):
    """What a cached refusal covers."""

    SOP_CLASS = "sop_class"
    SYNTAX = "syntax"


@dataclass(frozen=True, slots=True)
class Decision:
    """What follows from one event. ``words`` is for people: no patient data.

    ``delay`` is seconds until the item is due again (RETRY only). ``refund`` names earlier items whose charged attempts
    are given back because the destination, not they, was at fault: one entry for each charge.
    ``suspect`` and ``context_retry`` each add one to the item's count of that name; ``permanent_reject`` says that the
    destination's count of permanent rejections without a reason grows. ``abort`` says that the association must not
    carry another message.
    """

    outcome: Outcome
    state: ItemState
    words: str
    effect: Effect = Effect.NONE
    delay: float = 0.0
    charge: bool = False
    suspect: bool = False
    context_retry: bool = False
    permanent_reject: bool = False
    abort: bool = False
    refund: tuple[int, ...] = ()
    halve: bool = False
    refuse: RefusalScope | None = None
    hold_reason: str = ""
    alert: bool = False

    @property
    def failed(self) -> bool:
        """Whether the item itself was tried in vain, whoever is to blame; false for what was only given back."""
        return self.charge or self.state is ItemState.RETRY
