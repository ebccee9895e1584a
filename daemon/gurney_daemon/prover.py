"""Ask one remote to prove what it has stored: storage commitment (PS3.4 annex J), or a C-FIND where it has none.

Everything that is asked stands in the ledger before it is asked, so that a daemon that dies forgets nothing, and an
answer counts whoever hears it. Each remote has a thread of its own: one that never answers keeps no other waiting.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from pydicom.uid import generate_uid

from gurney.dicom.uids import STORAGE_COMMITMENT_SOP_CLASS
from gurney.errors import GurneyError
from gurney.ledger import commitments
from gurney.ledger.database import Ledger
from gurney.ledger.forwarding import Bell
from gurney.ledger.proving import errands, findings
from gurney.ledger.proving.errands import COMMITMENT, FIND, Unproven
from gurney.observability import get_logger
from gurney.pacs import DicomEngine, QueryRetrieveScu, Retrieval
from gurney.pacs.association.association import Association
from gurney.pacs.commitment.commitment import CommitmentRequest, CommitmentState, SopReference
from gurney.pacs.commitment.events import CommitmentWait
from gurney.pacs.commitment.scu import STORAGE_COMMITMENT_CONTEXTS, StorageCommitmentScu
from gurney.pacs.errors import AssociationFailure, ContextRefused, OperationFailed
from gurney.pacs.query.models import STUDY_ROOT
from gurney.pacs.retrieve.inventory import take_inventory
from gurney.settings import Remote, Settings
from gurney.settings.remotes import remote_ae
from gurney.transfer.windows import parse_window
from gurney_daemon.receiving.commitments import CommitmentAnswers
from gurney_daemon.rounds import Chore, Rounds

__all__ = ["Prover", "proves"]

_ROLE_SECONDS: Final = 600.0
_LOOK_EVERY: Final = 2.0
# Most archives answer on an association of their own; those that answer on ours do so at once.
_ON_ASSOCIATION: Final = CommitmentWait(on_association=5.0, at_listener=0.0)
_TRY_AGAIN_AFTER: Final = (30.0, 120.0, 600.0, 1800.0)
# Of our transaction UID (PS3.7 C.5.16): the next request has another.
_DUPLICATE: Final = 0x0131
_NO_IMAGE_LEVEL: Final = "does not answer queries at IMAGE level, so it can't tell what it has"

log = get_logger(__name__)


def proves(remote: Remote) -> bool:
    """Tell whether a remote is to prove what it stores."""
    return remote.commitment != "none" or remote.verify == "find"


class Prover:
    """A thread of the daemon for one remote."""

    def __init__(
        self,
        settings: Settings,
        remote: Remote,
        ledger: Ledger,
        ring: Callable[[Sequence[Bell]], None],
        *,
        holder: str,
    ) -> None:
        """Prepare; ``holder`` names this process among all."""
        self.name = f"prove:{remote.name}"
        self._configured, self._ledger, self._ring = remote, ledger, ring
        self._remote, self._calling = remote_ae(remote), settings.calling_ae_title(remote)
        self._window, self._zone = parse_window(remote.window), ZoneInfo(settings.node.timezone)
        self._answers = CommitmentAnswers(ledger, ring, self.name)
        self._stop = threading.Event()
        self._rounds = Rounds(self.name, ledger, [Chore(_LOOK_EVERY, self.step)], holder=holder, seconds=_ROLE_SECONDS)

    def run(self, stop: threading.Event) -> None:
        """Ask for what is due until told to stop; a ledger that is away is waited for."""
        self._stop = stop
        with DicomEngine():
            self._rounds.run(stop)

    def step(self) -> None:
        """Ask for what is due now. Raises LedgerError."""
        name = self._configured.name
        timeout = self._configured.commitment_timeout
        while self._is_overdue(timeout) and self._ledger.transact(commitments.overdue, name, timeout, self.name):
            log.warning("commitment_overdue", destination=name)
        if not self._window.stand(time.time(), self._zone).is_open:
            return
        for how, ask in ((COMMITMENT, self._commit), (FIND, self._find)):
            due = self._due(how)
            if due:
                self._ask(how, ask, due)

    def _is_overdue(self, timeout: float) -> bool:
        with self._ledger.read() as conn:
            return commitments.is_overdue(conn, self._configured.name, timeout, self._ledger.clock.now(conn))

    def _due(self, how: str) -> list[Unproven]:
        with self._ledger.read() as conn:
            return errands.due(conn, self._configured.name, how, self._ledger.clock.now(conn))

    def _ask(self, how: str, ask: Callable[[Sequence[Unproven]], None], due: Sequence[Unproven]) -> None:
        name = self._configured.name
        try:
            ask(due)
        except ContextRefused:
            what = "storage commitment" if how == COMMITMENT else "queries"
            self._trouble(f"it offers no {what}")
        except (AssociationFailure, OperationFailed, _Untold) as failure:
            self._trouble(str(failure))
        else:
            self._ledger.transact(errands.clear_trouble, name)

    def _trouble(self, words: str) -> None:
        log.warning("proof_not_asked", destination=self._configured.name, reason=words)
        self._ledger.transact(errands.note_trouble, self._configured.name, words, _TRY_AGAIN_AFTER)

    # --- Storage commitment -------------------------------------------------------------------------------------------

    def _commit(self, due: Sequence[Unproven]) -> None:
        """Ask for the safekeeping of what is due, request after request on one association."""
        scu = StorageCommitmentScu(self._calling)
        with scu.associate(self._remote, STORAGE_COMMITMENT_CONTEXTS) as association:
            association.context_for(STORAGE_COMMITMENT_SOP_CLASS)
            association.event_report.once(self._answers.hear)
            wait = _ON_ASSOCIATION
            while due and association.is_usable and not self._stop.is_set():
                if self._request(scu, association, [one.item_id for one in due], wait) is not CommitmentState.ANSWERED:
                    # It answers elsewhere: no need to wait for it here again.
                    wait = CommitmentWait(on_association=0.0, at_listener=0.0)
                due = self._due(COMMITMENT)

    def _request(
        self, scu: StorageCommitmentScu, association: Association, item_ids: list[int], wait: CommitmentWait
    ) -> CommitmentState:
        transaction_uid, name = str(generate_uid(prefix=None)), self._configured.name
        references = self._ledger.transact(commitments.request, transaction_uid, name, item_ids, self.name)
        if not references:
            return CommitmentState.NOT_ASKED
        request = CommitmentRequest(transaction_uid, tuple(SopReference(*one) for one in references))
        log.info("commitment_requested", destination=name, transaction=transaction_uid, instances=len(references))
        (result,) = scu.commit(association, [request], wait=wait).results
        scu.forget([transaction_uid])
        if result.status is None or result.state is CommitmentState.REFUSED:
            # Without a response it may have been taken all the same: a late answer counts.
            self._ledger.transact(commitments.not_taken, transaction_uid, result.status, self.name)
            if result.status != _DUPLICATE:
                raise _Untold(result.words)
        return result.state

    # --- Query --------------------------------------------------------------------------------------------------------

    def _find(self, due: Sequence[Unproven]) -> None:
        """Compare what is due with what the remote says that it has, study by study."""
        by_study: dict[str, list[Unproven]] = defaultdict(list)
        for one in due:
            by_study[one.study_instance_uid].append(one)
        scu = QueryRetrieveScu(self._calling)
        with scu.associate_for(self._remote) as association:
            for study, wanted in by_study.items():
                if self._stop.is_set():
                    return
                what = Retrieval(study_instance_uid=study)
                held = take_inventory(association, what, STUDY_ROOT).sop_instance_uids
                if held is None:
                    raise _Untold(f"{self._configured.name} {_NO_IMAGE_LEVEL}")
                self._compare(wanted, held)

    def _compare(self, wanted: Sequence[Unproven], held: frozenset[str]) -> None:
        name = self._configured.name
        there = [one.item_id for one in wanted if one.sop_instance_uid in held]
        gone = [one.item_id for one in wanted if one.sop_instance_uid not in held]
        if there:
            self._ledger.transact(findings.present, name, there, self.name)
        if gone:
            absent = self._ledger.transact(findings.absent, name, gone, self.name)
            self._ring(absent.bells)
        log.info("instances_looked_for", destination=name, found=len(there), missing=len(gone))


class _Untold(GurneyError):
    pass
