"""A receiver takes the answers to storage commitments: from a real archive, whoever has asked and whenever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import generate_uid
from pynetdicom import AE, build_role
from sqlalchemy import select, update

from gurney.ledger import commitments
from gurney.ledger.models import Bell, Commitment, Destination, Item
from gurney.pacs import CommitmentRequest, CommitmentWait, RemoteAE, SopReference, StoreScu
from gurney.transfer.states import ItemState, Proof
from gurney_daemon.receiving.receiver import Receiver
from tests.daemon.ingest.instances import CT_IMAGE, ct_bytes
from tests.daemon.receiving.reception import Reception, push, study_in
from tests.services.orthanc import Orthanc
from tests.services.waiting import wait_until

COMMITMENT = "1.2.840.10008.1.20.1"
UIDS = ["1.2.826.0.1.1", "1.2.826.0.1.2", "1.2.826.0.1.3"]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as peer:
        yield peer


@pytest.fixture
def study(tmp_path: Path) -> Path:
    return study_in(tmp_path / "study", [ct_bytes(sop_instance_uid=uid) for uid in UIDS])


@pytest.fixture
def receiver(reception: Reception, study: Path) -> Receiver:
    """A receiver in whose ledger three instances are stored at the destination ``archive``, AE title ARCHIVE."""
    receiver = reception.start()
    assert push(receiver.port, study).returncode == 0
    named(reception, "ARCHIVE")
    with reception.ledger.write() as tx:
        tx.conn.execute(update(Item).values(state=int(ItemState.DONE), settled_at=tx.now))
        tx.conn.execute(update(Bell).values(rung_at=None))
    reception.bells.clear()
    return receiver


def named(reception: Reception, ae_title: str) -> None:
    with reception.ledger.write() as tx:
        tx.conn.execute(update(Destination).where(Destination.name == "archive").values(ae_title=ae_title))


def ask(reception: Reception) -> CommitmentRequest:
    """Write a request for all that is stored."""
    uid = str(generate_uid(prefix=None))
    ids = [row.id for row in reception.items()]
    references = reception.ledger.transact(commitments.request, uid, "archive", ids, "test")
    return CommitmentRequest(uid, tuple(SopReference(*reference) for reference in references))


def proofs(reception: Reception) -> list[Proof]:
    return [Proof(row.proof) for row in reception.items()]


def state(reception: Reception) -> str | None:
    with reception.ledger.read() as conn:
        return conn.scalar(select(Commitment.state))


def information(uid: str, committed: Sequence[str], failed: Sequence[tuple[str, int]] = ()) -> Dataset:
    """Make what an archive reports."""

    def item(sop_instance_uid: str, reason: int | None = None) -> Dataset:
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = CT_IMAGE, sop_instance_uid
        if reason is not None:
            one.FailureReason = reason
        return one

    report = Dataset()
    report.TransactionUID = uid
    report.ReferencedSOPSequence = Items([item(one) for one in committed])
    if failed:
        report.FailedSOPSequence = Items([item(one, reason) for one, reason in failed])
    return report


def report(receiver: Receiver, told: Dataset | None, *, calling: str = "ARCHIVE", event_type: int = 1) -> int:
    """Report as an archive does, as SCP on an association that it opens; return what it is answered."""
    ae = AE(calling)
    ae.add_requested_context(COMMITMENT)
    roles = [build_role(COMMITMENT, scp_role=True)]
    assoc = ae.associate("127.0.0.1", receiver.port, ext_neg=roles, ae_title="GURNEY")
    assert assoc.is_established
    try:
        status, _ = assoc.send_n_event_report(told, event_type, COMMITMENT, f"{COMMITMENT}.1")
        return int(status.Status)
    finally:
        assoc.release()


def test_orthanc_answers_to_a_receiver_what_another_process_has_asked(
    reception: Reception, receiver: Receiver, orthanc: Orthanc, study: Path
) -> None:
    orthanc.register_modality("gurney", "GURNEY", receiver.port)
    named(reception, orthanc.ae_title)
    asked = ask(reception)
    archive = RemoteAE(orthanc.ae_title, "127.0.0.1", orthanc.port)
    scu = StoreScu("GURNEY")
    assert all(result.is_stored for result in scu.store_many(archive, sorted(study.iterdir())[:2]))
    scu.commit(archive, [asked], wait=CommitmentWait(on_association=0, at_listener=0))
    wait_until(lambda: state(reception) == "partial", 20, "Orthanc answers")
    assert proofs(reception) == [Proof.COMMITTED, Proof.COMMITTED, Proof.NONE]
    assert reception.items()[2].state == ItemState.READY, "what it does not have is sent again"


def test_an_answer_in_parts_counts_also_after_a_restart(
    reception: Reception, receiver: Receiver, tmp_path: Path
) -> None:
    uid = ask(reception).transaction_uid
    assert report(receiver, information(uid, UIDS[:1])) == 0
    reception.stop()
    again = reception.start()
    assert report(again, information(uid, UIDS[1:2], [(UIDS[2], 0x0112)]), event_type=2) == 0
    assert proofs(reception) == [Proof.COMMITTED, Proof.COMMITTED, Proof.NONE]
    assert [(bell.destination, bell.lane) for bell in reception.bells] == [("archive", "work")]
    assert state(reception) == "partial"


@pytest.mark.parametrize(
    ("calling", "event_type", "transaction", "status"),
    [("ARCHIVE", 1, "2.25.1", 0x0115), ("OTHER", 1, "", 0x0115), ("ARCHIVE", 3, "", 0x0113)],
)
def test_a_report_that_answers_nothing_is_told_so(
    reception: Reception, receiver: Receiver, calling: str, event_type: int, transaction: str, status: int
) -> None:
    uid = ask(reception).transaction_uid
    told = information(transaction or uid, UIDS)
    assert report(receiver, told, calling=calling, event_type=event_type) == status
    assert proofs(reception) == [Proof.REQUESTED] * 3


def test_a_report_without_information_is_told_so(receiver: Receiver) -> None:
    assert report(receiver, None) == 0x0115
