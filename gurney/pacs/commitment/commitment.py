"""Storage commitment: what is asked for, and what came of it (PS3.4 annex J). No network here.

An archive that has taken an instance need not keep it. One that *commits* itself does (PS3.4 J.1), and says so in its
own time: perhaps never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import chain, islice
from typing import NamedTuple

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid

from gurney.dicom.status import Service, describe
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.errors import AssociationFailure
from gurney.pacs.several import several

__all__ = [
    "Commitment",
    "CommitmentRequest",
    "CommitmentResult",
    "CommitmentState",
    "FailureReason",
    "SopReference",
    "Uncommitted",
    "commitment_requests",
]


class SopReference(NamedTuple):
    """One instance, as it is referred to (PS3.3 table 10-11)."""

    sop_class_uid: str
    sop_instance_uid: str


class FailureReason(IntEnum):
    """Why an instance is not committed (PS3.3 C.14.1.1, table C.14-1)."""

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_OBJECT_INSTANCE = 0x0112
    NO_SUCH_EVENT_TYPE = 0x0113
    CLASS_INSTANCE_CONFLICT = 0x0119
    REFERENCED_SOP_CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION_UID = 0x0131
    RESOURCE_LIMITATION = 0x0213


_REASONS = {
    FailureReason.PROCESSING_FAILURE: "the peer failed to process it",
    FailureReason.NO_SUCH_OBJECT_INSTANCE: "the peer does not have the instance",
    FailureReason.NO_SUCH_EVENT_TYPE: "the peer says that there is no such event type",
    FailureReason.CLASS_INSTANCE_CONFLICT: "the peer has an instance of this UID in another SOP class",
    FailureReason.REFERENCED_SOP_CLASS_NOT_SUPPORTED: "the peer does not support the SOP class",
    FailureReason.DUPLICATE_TRANSACTION_UID: "the peer has seen this transaction UID before",
    FailureReason.RESOURCE_LIMITATION: "the peer has not the resources now",
}


class Uncommitted(NamedTuple):
    """An instance that the peer does not commit itself to, and the Failure Reason (0008,1197) that it gives."""

    reference: SopReference
    reason: int | None

    @property
    def words(self) -> str:
        """Return the reason in words."""
        if self.reason is None:
            return "the peer gives no reason"
        known = {int(reason): words for reason, words in _REASONS.items()}
        return f"{self.reason:04X} {known.get(self.reason, 'a reason of its own')}"


class CommitmentState(StrEnum):
    """How far a transaction has come."""

    NOT_ASKED = "not asked"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    ANSWERED = "answered"


@dataclass(frozen=True, slots=True)
class CommitmentRequest:
    """One transaction: its UID, by which alone an answer is known, and what to commit to."""

    transaction_uid: str
    references: tuple[SopReference, ...]

    def __post_init__(self) -> None:
        if not is_valid_uid(self.transaction_uid):
            raise ValueError(f"{self.transaction_uid!r} is no UID of a transaction")
        if not self.references:
            raise ValueError("a transaction without an instance")

    def information(self) -> Dataset:
        """Make the Action Information (PS3.4 table J.3-1)."""
        made = Dataset()
        made.TransactionUID = self.transaction_uid
        made.ReferencedSOPSequence = Items([_item(reference) for reference in self.references])
        return made


def commitment_requests(
    references: Iterable[SopReference | tuple[str, str]],
    *,
    limit: int = 500,
    transaction_uids: Iterable[str] = (),
) -> tuple[CommitmentRequest, ...]:
    """Divide references, each counted once, into transactions of at most ``limit``, before anything is sent.

    An answer may come after this process has ended. To recognise it then, keep the transaction UIDs beforehand: those
    given are used in order, and more are made where there are too few. The standard knows no limit; archives do.

    Raises ValueError for an invalid UID, for one instance in two SOP classes, and without any reference.
    """
    if limit < 1:
        raise ValueError(f"a transaction takes 1 instance at least, not {limit}")
    wanted = list(dict.fromkeys(map(_reference, several(references, "references"))))
    if not wanted:
        raise ValueError("nothing to commit to: give the instances")
    wrong = next((uid for reference in wanted for uid in reference if not is_valid_uid(uid)), None)
    if wrong is not None:
        raise ValueError(f"{wrong!r} is no UID")
    if len({reference.sop_instance_uid for reference in wanted}) < len(wanted):
        raise ValueError("one instance is given in two SOP classes")
    rest = iter(wanted)
    parts = iter(lambda: tuple(islice(rest, limit)), ())
    uids = chain(several(transaction_uids, "transaction_uids"), iter(lambda: str(generate_uid(prefix=None)), ""))
    requests = tuple(CommitmentRequest(uid, part) for part, uid in zip(parts, uids, strict=False))
    if len({request.transaction_uid for request in requests}) < len(requests):
        raise ValueError("each transaction needs a UID of its own")
    return requests


@dataclass(frozen=True, slots=True)
class CommitmentResult:
    """What is known of one transaction. An instance that is not in ``committed`` is not committed.

    ``status`` is that of the N-ACTION, None where none came; ``failure`` is why the association ended before that.
    """

    transaction_uid: str
    state: CommitmentState
    references: tuple[SopReference, ...] = field(repr=False)
    committed: frozenset[SopReference] = field(default=frozenset(), repr=False)
    failed: Mapping[SopReference, int | None] = field(default_factory=dict, repr=False)
    status: int | None = None
    failure: AssociationFailure | None = None

    @property
    def uncommitted(self) -> tuple[Uncommitted, ...]:
        """The instances that the peer says it does not commit itself to, in the order asked."""
        return tuple(Uncommitted(one, self.failed[one]) for one in self.references if one in self.failed)

    @property
    def unanswered(self) -> tuple[SopReference, ...]:
        """The instances of which nothing is known, in the order asked."""
        return tuple(one for one in self.references if one not in self.committed and one not in self.failed)

    @property
    def is_complete(self) -> bool:
        """Tell whether the peer has committed itself to every instance."""
        return len(self.committed) == len(self.references)

    @property
    def words(self) -> str:
        """Return in words how far it has come."""
        if self.state is CommitmentState.REFUSED and self.status is not None:
            return f"refused: {describe(self.status, Service.N_ACTION)}"
        if self.failure is not None and self.state is not CommitmentState.ANSWERED:
            return f"{self.state}: {self.failure}"
        return str(self.state)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What is known of all transactions of one call."""

    results: tuple[CommitmentResult, ...]

    @property
    def transaction_uids(self) -> tuple[str, ...]:
        """The UIDs by which to ask again, or to recognise an answer that comes later."""
        return tuple(result.transaction_uid for result in self.results)

    @property
    def committed(self) -> tuple[SopReference, ...]:
        """What the peer has committed itself to, in the order asked."""
        return tuple(one for result in self.results for one in result.references if one in result.committed)

    @property
    def uncommitted(self) -> tuple[Uncommitted, ...]:
        """What it says it does not commit itself to, and why."""
        return tuple(one for result in self.results for one in result.uncommitted)

    @property
    def unanswered(self) -> tuple[SopReference, ...]:
        """What is not committed as far as is known: no answer yet, refused, or never asked."""
        return tuple(one for result in self.results for one in result.unanswered)

    @property
    def is_complete(self) -> bool:
        """Tell whether the peer has committed itself to every instance."""
        return all(result.is_complete for result in self.results)


def _reference(pair: object) -> SopReference:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise TypeError("each reference is a pair, (SOP Class UID, SOP Instance UID): put one pair into a list")
    return SopReference(*map(str, pair))


def _item(reference: SopReference) -> Dataset:
    made = Dataset()
    made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = reference
    return made
