"""Storage Commitment Push Model SCU: the entrance for applications (PS3.4 annex J)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import Unpack

from gurney.dicom.presentation import ContextProposal
from gurney.dicom.uids import EXPLICIT_VR_LITTLE_ENDIAN, IMPLICIT_VR_LITTLE_ENDIAN, STORAGE_COMMITMENT_SOP_CLASS
from gurney.pacs.association.association import Association
from gurney.pacs.association.engine import DicomEngine
from gurney.pacs.association.scu import Scu, Who
from gurney.pacs.commitment.commitment import Commitment, CommitmentRequest, SopReference, commitment_requests
from gurney.pacs.commitment.events import (
    BeforeStorageCommitment,
    CommitmentEvents,
    CommitmentWait,
    StorageCommitmentWait,
)
from gurney.pacs.commitment.transactions import Transactions
from gurney.pacs.errors import AssociationFailure, OperationFailed
from gurney.pacs.kinds import of_kind
from gurney.pacs.listener.listener import Listener
from gurney.pacs.normalized.operations import NormalizedServices
from gurney.pacs.remote import RemoteAE
from gurney.pacs.several import several

__all__ = ["STORAGE_COMMITMENT_CONTEXTS", "StorageCommitmentScu"]

STORAGE_COMMITMENT_CONTEXTS = (
    ContextProposal(STORAGE_COMMITMENT_SOP_CLASS, EXPLICIT_VR_LITTLE_ENDIAN),
    ContextProposal(STORAGE_COMMITMENT_SOP_CLASS, IMPLICIT_VR_LITTLE_ENDIAN),
)
"""What an association proposes on which commitment is to be asked for."""

_WELL_KNOWN_INSTANCE = "1.2.840.10008.1.20.1.1"
_REQUEST_STORAGE_COMMITMENT = 1
_WAIT = CommitmentWait()


class StorageCommitmentScu(Scu):
    """Ask remote AEs to commit themselves to instances. Use it inside a :class:`~gurney.pacs.DicomEngine`.

    Archives answer on the association that asked, or on one that they make themselves, to a port that they must know:
    that of a :class:`~gurney.pacs.Listener`. Once it was given a listener, an SCU hears what comes there for as long as
    that listens; so a late answer is told by ``storage_commitment_result``, and by :meth:`commitment`.
    """

    events: CommitmentEvents
    _hooks = CommitmentEvents

    def __init__(self, calling_ae_title: str = "GURNEY", **who: Unpack[Who]) -> None:
        super().__init__(calling_ae_title, **who)
        self._transactions = Transactions(self.events.storage_commitment_result)
        # One object: a hook knows by its identity that it is subscribed already.
        self._listen = self._transactions.hear

    def commit(
        self,
        where: RemoteAE | Association,
        references: Iterable[SopReference | tuple[str, str] | CommitmentRequest],
        *,
        wait: CommitmentWait = _WAIT,
        listener: Listener | None = None,
        limit: int = 500,
        transaction_uids: Iterable[str] = (),
        answered_by: Collection[str] = (),
    ) -> Commitment:
        """Ask for the safekeeping of instances, wait for the answers, and return what is known then (PS3.4 J.3).

        ``references`` are (SOP Class UID, SOP Instance UID), divided as by :func:`commitment_requests`, or what that
        gives. ``where`` is a remote AE, for an association of its own; or an association with
        ``STORAGE_COMMITMENT_CONTEXTS``, of the same SCU, which stays open. Answers count from the remote AE, and from
        the AE titles in ``answered_by``.

        No answer is no error: the result tells what is not committed. Nor is an association that ends once something
        was asked. Raises a refinement of AssociationFailure for one that does not come about, ContextRefused where the
        peer offers no commitment, ValueError for what can't be asked, and what a listener of a before-event raises;
        then :meth:`commitment` tells of the transactions that were asked before.
        """
        several(answered_by, "answered_by")
        of_kind(wait, CommitmentWait, "wait")
        requests = _requests(several(references, "references"), limit, transaction_uids)
        DicomEngine.require()
        if listener is not None:
            listener.event_report.once(self._listen)
        if isinstance(where, RemoteAE):
            with self.associate(where, STORAGE_COMMITMENT_CONTEXTS) as association:
                rest = self._ask(association, requests, wait, answered_by)
        else:
            rest = self._ask(where, requests, wait, answered_by)
        uids = tuple(request.transaction_uid for request in requests)
        if listener is not None:
            self._transactions.wait(uids, rest.at_listener)
        return self._transactions.known(uids)

    def commitment(self, transaction_uids: Sequence[str], *, wait: float = 0.0) -> Commitment:
        """Return what is known of transactions now, or after at most ``wait`` seconds.

        Raises KeyError for a transaction that this SCU has not asked for, or has forgotten: it keeps 10,000.
        """
        self._transactions.wait(several(transaction_uids, "transaction_uids"), wait)
        return self._transactions.known(transaction_uids)

    def expect(
        self,
        remote: RemoteAE,
        requests: Sequence[CommitmentRequest],
        listener: Listener,
        *,
        answered_by: Collection[str] = (),
    ) -> None:
        """Be ready for the answers to transactions that were asked for before, such as by a process that has ended.

        Raises ValueError for a transaction that is known already.
        """
        self._transactions.open(remote, requests, several(answered_by, "answered_by"))
        for request in requests:
            self._transactions.asked(request.transaction_uid)
        listener.event_report.once(self._listen)

    def forget(self, transaction_uids: Iterable[str]) -> None:
        """Await no answer to these any more; one that comes is for whoever else listens."""
        for transaction_uid in several(transaction_uids, "transaction_uids"):
            self._transactions.forget(transaction_uid)

    def _ask(
        self,
        association: Association,
        requests: Sequence[CommitmentRequest],
        wait: CommitmentWait,
        answered_by: Collection[str],
    ) -> CommitmentWait:
        """Send the requests, wait on the association for answers, and return how long to wait elsewhere.

        An archive that answers on the association may be lost when our next request crosses its answer. So each
        answer is waited for before the next request, for as long as answers do come in time.
        """
        remote, uids = association.remote, tuple(request.transaction_uid for request in requests)
        association.context_for(STORAGE_COMMITMENT_SOP_CLASS)
        wait = self.events.storage_commitment_wait.ask(
            StorageCommitmentWait(remote, uids, wait),
            lambda event, changed: StorageCommitmentWait(event.remote, event.transaction_uids, changed),
        ).wait
        # Not only inside this call: on an association that stays open the answer may come while it stores.
        association.event_report.once(self._listen)
        self._transactions.open(remote, requests, answered_by)
        left, answers_here = [*uids], True
        try:
            for request in requests:
                self.events.before_storage_commitment.ask(
                    BeforeStorageCommitment(remote, request), lambda event, _: event
                )
                self._send(association, request)
                left.remove(request.transaction_uid)
                answers_here = answers_here and self._attend(association, (request.transaction_uid,), wait)
                if not association.is_usable:
                    break
        except BaseException:  # whatever it was goes on; what nobody has asked for is not to be awaited
            self.forget(left)
            raise
        for uid in left:
            if association.failure is not None:
                self._transactions.failed(uid, association.failure)
        if len(uids) > 1:
            self._attend(association, uids, wait)
        return wait

    def _attend(self, association: Association, transaction_uids: Sequence[str], wait: CommitmentWait) -> bool:
        """Wait for answers on an association as long as it lasts, and tell whether all are here."""
        if association.is_usable:
            # Archives that answer elsewhere may end the association first: that is no failure of the commitment.
            with suppress(AssociationFailure):
                association.attend(lambda: self._transactions.are_settled(transaction_uids), wait.on_association)
        return self._transactions.are_settled(transaction_uids)

    def _send(self, association: Association, request: CommitmentRequest) -> None:
        uid = request.transaction_uid
        self._transactions.asked(uid)
        try:
            result = NormalizedServices(association).n_action(
                STORAGE_COMMITMENT_SOP_CLASS, _WELL_KNOWN_INSTANCE, _REQUEST_STORAGE_COMMITMENT, request.information()
            )
        except OperationFailed as refusal:
            self._transactions.refused(uid, refusal.status)
        except AssociationFailure as failure:
            self._transactions.failed(uid, failure)
        except Exception:  # a listener's, or what can't be encoded: nothing was sent
            self._transactions.forget(uid)
            raise
        else:
            self._transactions.accepted(uid, result.status)


def _requests(
    references: Iterable[SopReference | tuple[str, str] | CommitmentRequest],
    limit: int,
    transaction_uids: Iterable[str],
) -> tuple[CommitmentRequest, ...]:
    given = tuple(references)
    ready = tuple(one for one in given if isinstance(one, CommitmentRequest))
    loose = tuple(one for one in given if not isinstance(one, CommitmentRequest))
    if ready and loose:
        raise ValueError("give references, or requests that are made of them, not both")
    return ready or commitment_requests(loose, limit=limit, transaction_uids=transaction_uids)
