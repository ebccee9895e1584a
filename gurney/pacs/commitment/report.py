"""What an answer to a storage commitment says, and what of it counts (PS3.4 J.3.3).

Anybody could send an event report, and peers err; so only what was asked for counts, and only from whom it was asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from pydicom.dataset import Dataset

from gurney.pacs.commitment.commitment import CommitmentResult, CommitmentState, SopReference

__all__ = ["CommitmentReport", "Discrepancy", "apply_report"]


class Discrepancy(StrEnum):
    """What is wrong with an answer. What it concerns does not count."""

    OTHER_SENDER = "it comes from another AE title than was asked"
    OTHER_INSTANCES = "it names instances that were not asked for"
    OTHER_CLASS = "it names an instance in another SOP class than was asked for"
    LEFT_OUT = "it leaves out instances that were asked for"
    CONTRADICTS_ITSELF = "it says of an instance that it is committed, and that it is not"
    CONTRADICTS_BEFORE = "it says otherwise than an answer before it"
    REPEATED = "it has come before"


@dataclass(frozen=True, slots=True)
class CommitmentReport:
    """What the information of an event report says (PS3.4 tables J.3-2 and J.3-3)."""

    transaction_uid: str
    committed: frozenset[SopReference]
    failed: Mapping[SopReference, int | None]

    @classmethod
    def of(cls, information: Dataset) -> CommitmentReport:
        """Read it; what is no reference is left out, so that its instance stays unanswered."""
        return cls(
            str(information.get("TransactionUID", "")),
            frozenset(_references(information.get("ReferencedSOPSequence"))),
            {
                reference: reason
                for item in information.get("FailedSOPSequence") or ()
                for reference, reason in [(_reference(item), _reason(item))]
            },
        )


def apply_report(before: CommitmentResult, report: CommitmentReport) -> tuple[CommitmentResult, frozenset[Discrepancy]]:
    """Apply what of a report answers the request and was not answered before; say what is wrong with the rest.

    An instance counts as committed only if it is named as it was asked for and nothing else is said of it; it counts as
    failed if its SOP Instance UID alone is named so. Thus a mistake never lets an instance count as committed that may
    not be there.
    """
    wrong: set[Discrepancy] = set()
    asked = {reference.sop_instance_uid: reference for reference in before.references}
    failed: dict[SopReference, int | None] = {}
    for reference, reason in report.failed.items():
        if reference.sop_instance_uid in asked:
            failed[asked[reference.sop_instance_uid]] = reason
        else:
            wrong.add(Discrepancy.OTHER_INSTANCES)
    committed: set[SopReference] = set()
    for reference in report.committed:
        if reference.sop_instance_uid not in asked:
            wrong.add(Discrepancy.OTHER_INSTANCES)
        elif reference != asked[reference.sop_instance_uid]:
            wrong.add(Discrepancy.OTHER_CLASS)
        else:
            committed.add(reference)
    if committed & failed.keys():
        wrong.add(Discrepancy.CONTRADICTS_ITSELF)
        committed -= failed.keys()
    if before.committed & failed.keys() or before.failed.keys() & committed:
        wrong.add(Discrepancy.CONTRADICTS_BEFORE)
    if not committed and not failed:
        return before, frozenset(wrong | {Discrepancy.LEFT_OUT})
    after = replace(
        before,
        state=CommitmentState.ANSWERED,
        committed=before.committed | (committed - before.failed.keys()),
        failed={**{one: why for one, why in failed.items() if one not in before.committed}, **before.failed},
    )
    if after.unanswered:
        wrong.add(Discrepancy.LEFT_OUT)
    if after == before:
        wrong.add(Discrepancy.REPEATED)
    return after, frozenset(wrong)


def _references(items: Sequence[Dataset] | None) -> Iterator[SopReference]:
    for item in items or ():
        yield _reference(item)


def _reference(item: Dataset) -> SopReference:
    return SopReference(str(item.get("ReferencedSOPClassUID") or ""), str(item.get("ReferencedSOPInstanceUID") or ""))


def _reason(item: Dataset) -> int | None:
    reason = item.get("FailureReason")
    return reason if isinstance(reason, int) else None
