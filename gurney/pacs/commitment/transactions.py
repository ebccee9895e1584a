"""The storage commitments that one SCU has asked for, and what has been answered. Any thread may look and tell."""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS
from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.commitment.commitment import Commitment, CommitmentRequest, CommitmentResult, CommitmentState
from gurney.pacs.commitment.events import StorageCommitmentResult
from gurney.pacs.commitment.report import CommitmentReport, Discrepancy, apply_report
from gurney.pacs.errors import AssociationFailure
from gurney.pacs.hooks import AfterHook
from gurney.pacs.remote import RemoteAE

__all__ = ["Transactions"]

# All committed, or some not (PS3.4 table J.3-2).
_EVENT_TYPES = (1, 2)
_NO_SUCH_EVENT_TYPE = 0x0113
# An archive that never answers must not fill the memory of a process that runs for months.
_MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class _Transaction:
    """One transaction: whom it was asked of, who may answer, what is known."""

    remote: RemoteAE
    senders: frozenset[str]
    result: CommitmentResult


class Transactions:
    """Keep the newest 10,000 transactions by their UIDs, and take the answers to them.

    ``told`` hears of each answer, also of one that does not count.
    """

    def __init__(self, told: AfterHook[StorageCommitmentResult]) -> None:
        self._told = told
        self._changed = threading.Condition()
        self._kept: dict[str, _Transaction] = {}

    # --- What is asked ------------------------------------------------------------------------------------------------

    def open(self, remote: RemoteAE, requests: Sequence[CommitmentRequest], answered_by: Collection[str]) -> None:
        """Be ready for answers, before anything is sent. Raises ValueError for a transaction UID that is in use."""
        senders = frozenset(title.strip() for title in (remote.ae_title, *answered_by))
        with self._changed:
            used = next(
                (request.transaction_uid for request in requests if request.transaction_uid in self._kept), None
            )
            if used is not None:
                raise ValueError(f"transaction UID {used} is in use already: each request needs one of its own")
            for request in requests:
                result = CommitmentResult(request.transaction_uid, CommitmentState.NOT_ASKED, request.references)
                self._kept[request.transaction_uid] = _Transaction(remote, senders, result)
            while len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]

    def asked(self, transaction_uid: str) -> None:
        """Note that a request goes out: from now on it may be answered."""
        self._note(transaction_uid, state=CommitmentState.UNANSWERED)

    def accepted(self, transaction_uid: str, status: int) -> None:
        """Note the peer's answer to the request itself; its answer about the instances may have been faster."""
        self._note(transaction_uid, status=status)

    def refused(self, transaction_uid: str, status: int) -> None:
        """Note that the peer has refused a request."""
        self._note(transaction_uid, status=status, state=CommitmentState.REFUSED)

    def failed(self, transaction_uid: str, failure: AssociationFailure) -> None:
        """Note why a request has no answer, or was not sent; the peer may have taken it all the same."""
        self._note(transaction_uid, failure=failure)

    def forget(self, transaction_uid: str) -> None:
        """Await nothing any more."""
        with self._changed:
            self._kept.pop(transaction_uid, None)

    def _note(
        self,
        transaction_uid: str,
        *,
        state: CommitmentState | None = None,
        status: int | None = None,
        failure: AssociationFailure | None = None,
    ) -> None:
        with self._changed:
            kept = self._kept.get(transaction_uid)
            if kept is None:
                return
            known = kept.result
            if known.state is CommitmentState.ANSWERED:
                state = None
            result = replace(
                known,
                state=state or known.state,
                status=status if status is not None else known.status,
                failure=failure or known.failure,
            )
            self._kept[transaction_uid] = replace(kept, result=result)
            self._changed.notify_all()

    # --- What is answered ---------------------------------------------------------------------------------------------

    def hear(self, event: EventReport) -> EventReport | None:
        """Take the answer to one of our transactions, from whom it was asked; leave all else to other listeners."""
        if event.sop_class_uid != STORAGE_COMMITMENT_SOP_CLASS or event.information is None:
            return None
        report = CommitmentReport.of(event.information)
        sender = event.remote.ae_title.strip()
        with self._changed:
            kept = self._kept.get(report.transaction_uid)
            if kept is None or kept.result.state is CommitmentState.NOT_ASKED:
                return None
            is_ours = sender in kept.senders
            if is_ours and event.event_type_id not in _EVENT_TYPES:
                return event.taken(_NO_SUCH_EVENT_TYPE)
            if is_ours:
                result, discrepancies = apply_report(kept.result, report)
                self._kept[report.transaction_uid] = replace(kept, result=result)
                self._changed.notify_all()
            else:
                result, discrepancies = kept.result, frozenset({Discrepancy.OTHER_SENDER})
        self._told.tell(StorageCommitmentResult(kept.remote, sender, result, discrepancies))
        return event.taken() if is_ours else None

    # --- What is known ------------------------------------------------------------------------------------------------

    def known(self, transaction_uids: Sequence[str]) -> Commitment:
        """Return what is known now. Raises KeyError for a transaction that is not kept."""
        with self._changed:
            return Commitment(tuple(self._kept[uid].result for uid in transaction_uids))

    def are_settled(self, transaction_uids: Sequence[str]) -> bool:
        """Tell whether none of them awaits an answer."""
        with self._changed:
            waiting = (self._kept.get(uid) for uid in transaction_uids)
            return all(kept is None or kept.result.state is not CommitmentState.UNANSWERED for kept in waiting)

    def wait(self, transaction_uids: Sequence[str], seconds: float) -> bool:
        """Wait until none of them awaits an answer, and tell whether that is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self.are_settled(transaction_uids), seconds)
