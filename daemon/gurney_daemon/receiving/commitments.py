"""Give the answers to storage commitments, which archives bring when it suits them, to the ledger (PS3.4 J.3.3).

They come on an association of the archive's own, to any of our doors, perhaps long after the process that asked has
ended. So nothing is remembered here: what was asked stands in the ledger, and an answer counts when it has committed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS
from gurney.ledger import commitments
from gurney.ledger.commitments import Reference
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.observability import get_logger
from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.commitment.report import CommitmentReport

__all__ = ["CommitmentAnswers"]

log = get_logger(__name__)

# All committed, or some not (PS3.4 table J.3-2).
_EVENT_TYPES: Final = (1, 2)
# PS3.7 annex C.
_NO_SUCH_EVENT_TYPE: Final = 0x0113
_INVALID_ARGUMENT: Final = 0x0115


class CommitmentAnswers:
    """Hear the event reports of a listener; any number of threads may."""

    def __init__(self, ledger: Ledger, ring: Callable[[Sequence[Bell]], None], actor: str) -> None:
        """Prepare; ``ring`` is called for what is sent again."""
        self._ledger, self._ring, self._actor = ledger, ring, actor

    def hear(self, event: EventReport) -> EventReport | None:
        """Answer a commitment report when the ledger has it; leave all other reports to other listeners.

        A transaction that was never asked for, or not of this AE title, is refused: whoever brings it is told, and does
        not take it for heard. A ledger that is away raises LedgerError, which is answered as a processing failure, so
        that the archive may come again.
        """
        if event.sop_class_uid != STORAGE_COMMITMENT_SOP_CLASS:
            return None
        if event.event_type_id not in _EVENT_TYPES:
            return event.taken(_NO_SUCH_EVENT_TYPE)
        if event.information is None:
            return event.taken(_INVALID_ARGUMENT)
        report = CommitmentReport.of(event.information)
        answered = self._ledger.transact(
            commitments.answer,
            report.transaction_uid,
            event.remote.ae_title,
            [Reference(*one) for one in report.committed],
            {one.sop_instance_uid: reason for one, reason in report.failed.items()},
            self._actor,
        )
        if answered is None:
            log.warning("commitment_not_asked", transaction=report.transaction_uid, calling=event.remote.ae_title)
            return event.taken(_INVALID_ARGUMENT)
        self._ring(answered.bells)
        return event.taken()
