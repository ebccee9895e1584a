"""Storage commitment against our fake PACS, which answers where, when and what its script says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pynetdicom import AE, build_role

from gurney.pacs import (
    STORAGE_COMMITMENT_CONTEXTS,
    AssociationAborted,
    Commitment,
    CommitmentRequest,
    CommitmentState,
    CommitmentWait,
    ContextRefused,
    Discrepancy,
    FailureReason,
    Listener,
    SopReference,
    StoreScu,
    commitment_requests,
)
from gurney.pacs.association.event_reports import EventReport
from gurney.pacs.events import BeforeStorageCommitment, StorageCommitmentResult, StorageCommitmentWait
from gurney.pacs.testing import Accept, Break, Commit, FakePacs, How, Operation, Respond, Where
from tests.pacs.conftest import CT, CT_ONLY, MR, MakeRequests

REFERENCES = [SopReference(CT, f"1.2.3.{number}") for number in range(1, 6)]
COMMITMENT = "1.2.840.10008.1.20.1"
PAGE = Path(__file__).parents[3] / "docs/how-to/let-an-archive-commit-itself.md"
BRIEFLY = CommitmentWait(on_association=0.05, at_listener=0.05)
# Bounds, not durations: what is awaited comes at once.
SAME = CommitmentWait(on_association=20, at_listener=0)
NEW = CommitmentWait(on_association=0, at_listener=20)


@pytest.fixture
def pacs(make_requests: MakeRequests) -> Iterator[FakePacs]:
    """A PACS that holds the five instances of ``REFERENCES``."""
    with FakePacs() as pacs:
        requests = make_requests(5)
        with StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            assert all(result.is_stored for result in association.store(requests))
        yield pacs


@pytest.fixture
def scu() -> StoreScu:
    return StoreScu("GURNEY")


@pytest.fixture
def told(scu: StoreScu) -> list[StorageCommitmentResult]:
    told: list[StorageCommitmentResult] = []
    scu.events.storage_commitment_result(told.append)
    return told


def report(pacs: FakePacs, listener: Listener, information: Dataset, *, calling: str = "", event_type: int = 1) -> int:
    """Send an event report to a listener as a PACS of that AE title would; return the status of its answer."""
    ae = AE(calling or pacs.ae_title)
    ae.add_requested_context(COMMITMENT)
    assoc = ae.associate(
        "127.0.0.1", listener.port, ext_neg=[build_role(COMMITMENT, scp_role=True)], ae_title=listener.ae_title
    )
    assert assoc.is_established
    try:
        assert [context.as_scp for context in assoc.accepted_contexts] == [True]
        status, _ = assoc.send_n_event_report(information, event_type, COMMITMENT, f"{COMMITMENT}.1")
        return int(status.Status)
    finally:
        assoc.release()


def items(*references: SopReference, reason: int | None = None) -> Items:
    made = []
    for sop_class_uid, sop_instance_uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
        if reason is not None:
            item.FailureReason = reason
        made.append(item)
    return Items(made)


def information(transaction_uid: str, committed: Items, failed: Items | None = None) -> Dataset:
    made = Dataset()
    made.TransactionUID, made.ReferencedSOPSequence = transaction_uid, committed
    if failed is not None:
        made.FailedSOPSequence = failed
    return made


# --- What is asked ----------------------------------------------------------------------------------------------------


def test_references_are_divided_into_transactions_of_their_own_uids() -> None:
    requests = commitment_requests(REFERENCES + REFERENCES[:2], limit=2, transaction_uids=["1.9.1", "1.9.2"])
    assert [len(request.references) for request in requests] == [2, 2, 1]
    assert [request.transaction_uid for request in requests[:2]] == ["1.9.1", "1.9.2"]
    assert requests[2].transaction_uid.startswith("2.25.")
    assert [one for request in requests for one in request.references] == REFERENCES


def test_no_reference_is_passed_over(scu: StoreScu, pacs: FakePacs) -> None:
    """One that came as a list, out of JSON perhaps: to leave it out would call the rest complete."""
    references = [REFERENCES[0], list(REFERENCES[1])]
    commitment = scu.commit(pacs.remote(), references, wait=SAME)  # type: ignore[arg-type]
    assert commitment.is_complete
    assert commitment.committed == tuple(REFERENCES[:2])


@pytest.mark.parametrize(
    ("references", "options", "words"),
    [
        ([], {}, "nothing to commit to"),
        ([(CT, "../1")], {}, "is no UID"),
        ([(CT, "1.2"), (MR, "1.2")], {}, "in two SOP classes"),
        ([(CT, "1.2")], {"limit": 0}, "1 instance at least"),
        ([(CT, "1.2")], {"transaction_uids": ["x"]}, "no UID of a transaction"),
        ([(CT, "1.2"), (CT, "1.3")], {"limit": 1, "transaction_uids": ["1.9", "1.9"]}, "a UID of its own"),
    ],
    ids=["none", "path", "classes", "limit", "transaction", "twice"],
)
def test_what_can_not_be_asked_is_refused(
    references: list[tuple[str, str]], options: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        commitment_requests(references, **options)  # type: ignore[arg-type]


def test_a_negative_wait_is_refused() -> None:
    with pytest.raises(ValueError, match="'at_listener' must be a number of seconds"):
        CommitmentWait(at_listener=-1)


# --- Where the answer comes -------------------------------------------------------------------------------------------


def test_an_answer_on_the_same_association(scu: StoreScu, pacs: FakePacs, told: list[StorageCommitmentResult]) -> None:
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=SAME)
    assert commitment.is_complete
    assert commitment.committed == tuple(REFERENCES)
    assert (commitment.uncommitted, commitment.unanswered) == ((), ())
    assert [(event.sender, event.result, event.discrepancies) for event in told] == [
        (pacs.ae_title, commitment.results[0], frozenset())
    ]


def test_an_answer_on_a_new_association(scu: StoreScu, pacs: FakePacs) -> None:
    with Listener("GURNEY") as listener:
        pacs.know("GURNEY", listener.port)
        assert scu.commit(pacs.remote(), REFERENCES, listener=listener).is_complete


def test_storing_and_asking_share_an_association(scu: StoreScu, make_requests: MakeRequests) -> None:
    with FakePacs() as pacs:
        with scu.associate(pacs.remote(), [*CT_ONLY, *STORAGE_COMMITMENT_CONTEXTS]) as association:
            stored = list(association.store(make_requests(2)))
            first = scu.commit(association, [(CT, result.sop_instance_uid) for result in stored], wait=SAME)
            again = list(association.store(make_requests(2)))
        assert first.is_complete
        assert all(result.is_stored for result in again)
        assert pacs.associations == 1


def test_an_answer_that_comes_while_the_association_rests(scu: StoreScu, make_requests: MakeRequests) -> None:
    requests = make_requests(5)
    with FakePacs() as pacs:
        pacs.on_every(Operation.N_ACTION, Commit(where=Where.SAME, delay=0.2))
        with scu.associate(pacs.remote(), [*CT_ONLY, *STORAGE_COMMITMENT_CONTEXTS]) as association:
            list(association.store(requests))
            asked = scu.commit(association, REFERENCES, wait=CommitmentWait(0, 0))
            assert not asked.is_complete
            assert scu.commitment(asked.transaction_uids, wait=20).is_complete
            assert all(result.is_stored for result in association.store(requests))


def test_more_than_the_limit_are_several_transactions(scu: StoreScu, pacs: FakePacs) -> None:
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=SAME, limit=2)
    assert [len(result.references) for result in commitment.results] == [2, 2, 1]
    assert commitment.is_complete
    assert sum(request.operation is Operation.N_ACTION for request in pacs.requests) == 3


# --- Partly, late, never ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", list(FailureReason), ids=lambda reason: reason.name)
def test_what_is_not_committed_has_its_reason_in_words(scu: StoreScu, pacs: FakePacs, reason: FailureReason) -> None:
    pacs.on_request(Operation.N_ACTION, Commit(fail={"1.2.3.2": reason}))
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=SAME)
    assert not commitment.is_complete
    assert commitment.committed == (REFERENCES[0], *REFERENCES[2:])
    (one,) = commitment.uncommitted
    assert one.reference == REFERENCES[1]
    assert one.words.startswith(f"{reason:04X} the peer ")


def test_without_an_answer_nothing_is_committed_and_nothing_is_raised(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.N_ACTION, Commit(where=Where.NOWHERE))
    with Listener("GURNEY") as listener:
        commitment = scu.commit(pacs.remote(), REFERENCES, wait=BRIEFLY, listener=listener)
    assert commitment.unanswered == tuple(REFERENCES)
    assert [(result.state, result.status) for result in commitment.results] == [(CommitmentState.UNANSWERED, 0)]


def test_a_late_answer_is_there_for_who_asks_later(
    scu: StoreScu, pacs: FakePacs, told: list[StorageCommitmentResult]
) -> None:
    with Listener("GURNEY") as listener:
        pacs.know("GURNEY", listener.port)
        pacs.on_request(Operation.N_ACTION, Commit(delay=0.3))
        early = scu.commit(pacs.remote(), REFERENCES, wait=CommitmentWait(0, 0), listener=listener)
        assert not early.committed
        assert scu.commitment(early.transaction_uids, wait=20).is_complete
    assert [event.result.is_complete for event in told] == [True]


def test_a_listener_may_wait_longer(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.N_ACTION, Commit(where=Where.SAME, delay=0.3))
    asked: list[StorageCommitmentWait] = []

    def longer(event: StorageCommitmentWait) -> CommitmentWait:
        asked.append(event)
        return replace(event.wait, on_association=20)

    with scu.events.storage_commitment_wait.listening(longer):
        commitment = scu.commit(pacs.remote(), REFERENCES, wait=BRIEFLY)
    assert commitment.is_complete
    assert [event.transaction_uids for event in asked] == [commitment.transaction_uids]


def test_an_answer_after_a_restart_is_taken_by_who_expects_it(pacs: FakePacs) -> None:
    requests = commitment_requests(REFERENCES, transaction_uids=["1.9.1"])
    after = StoreScu("GURNEY")
    with Listener("GURNEY") as listener:
        after.expect(pacs.remote(), requests, listener)
        assert report(pacs, listener, information("1.9.1", items(*REFERENCES))) == 0
    assert after.commitment(["1.9.1"]).is_complete


def test_an_answer_that_nobody_knows_is_refused_unless_somebody_takes_it(pacs: FakePacs) -> None:
    seen: list[EventReport] = []
    with Listener("GURNEY") as listener:
        unknown = information("1.9.1", items(*REFERENCES))
        assert report(pacs, listener, unknown) == 0x0110

        @listener.event_report
        def take(event: EventReport) -> EventReport:
            seen.append(event)
            return event.taken()

        assert report(pacs, listener, unknown) == 0
    assert [event.remote.ae_title for event in seen] == [pacs.ae_title]
    assert [event.information is not None and event.information.TransactionUID for event in seen] == ["1.9.1"]


# --- Refusals and ends ------------------------------------------------------------------------------------------------


def test_a_refused_request_says_so(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.N_ACTION, Respond(0x0213))
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=SAME, limit=3)
    assert [result.state for result in commitment.results] == [CommitmentState.REFUSED, CommitmentState.ANSWERED]
    assert commitment.results[0].words == "refused: 0213 resource limitation (failure)"
    assert commitment.committed == tuple(REFERENCES[3:])


def test_an_association_that_ends_leaves_the_rest_unasked(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.N_ACTION, Commit(), Break(How.ABORT))
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=BRIEFLY, limit=2)
    states = [result.state for result in commitment.results]
    assert states[1:] == [CommitmentState.UNANSWERED, CommitmentState.NOT_ASKED]
    assert [type(result.failure) for result in commitment.results[1:]] == [AssociationAborted] * 2
    assert set(REFERENCES[2:]) <= set(commitment.unanswered)


def test_a_peer_without_commitment_is_told_at_once(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.always(Accept(refuse={COMMITMENT: 3}))
    with (
        scu.associate(pacs.remote(), [*CT_ONLY, *STORAGE_COMMITMENT_CONTEXTS]) as association,
        pytest.raises(ContextRefused),
    ):
        scu.commit(association, REFERENCES)


def test_the_transaction_uid_is_known_before_it_is_sent(scu: StoreScu, pacs: FakePacs) -> None:
    kept: list[CommitmentRequest] = []

    @scu.events.before_storage_commitment
    def keep(event: BeforeStorageCommitment) -> None:
        assert not any(request.operation is Operation.N_ACTION for request in pacs.requests)
        kept.append(event.request)

    commitment = scu.commit(pacs.remote(), REFERENCES, wait=SAME, transaction_uids=["1.9.1"])
    assert [request.transaction_uid for request in kept] == list(commitment.transaction_uids) == ["1.9.1"]


def test_a_veto_asks_nothing_and_may_be_lifted(scu: StoreScu, pacs: FakePacs) -> None:
    def veto(event: BeforeStorageCommitment) -> None:
        raise RuntimeError("not now")

    requests = commitment_requests(REFERENCES)
    with scu.events.before_storage_commitment.listening(veto), pytest.raises(RuntimeError, match="not now"):
        scu.commit(pacs.remote(), requests)
    assert not any(request.operation is Operation.N_ACTION for request in pacs.requests)
    assert scu.commit(pacs.remote(), requests, wait=SAME).is_complete
    with pytest.raises(ValueError, match="in use already"):
        scu.commit(pacs.remote(), requests)


# --- Lies -------------------------------------------------------------------------------------------------------------


def unanswered(scu: StoreScu, pacs: FakePacs, listener: Listener, **options: object) -> Commitment:
    pacs.on_request(Operation.N_ACTION, Commit(where=Where.NOWHERE))
    return scu.commit(
        pacs.remote(),
        REFERENCES,
        wait=BRIEFLY,
        listener=listener,
        transaction_uids=["1.9.1"],
        **options,  # type: ignore[arg-type]
    )


OTHER = SopReference(CT, "1.2.3.99")


@pytest.mark.parametrize(
    ("committed", "failed", "counted", "wrong"),
    [
        (items(*REFERENCES, OTHER), None, 5, {Discrepancy.OTHER_INSTANCES}),
        (items(*REFERENCES[:3]), None, 3, {Discrepancy.LEFT_OUT}),
        (items(OTHER), None, 0, {Discrepancy.OTHER_INSTANCES, Discrepancy.LEFT_OUT}),
        (items(*REFERENCES[:4], SopReference(MR, "1.2.3.5")), None, 4, {Discrepancy.OTHER_CLASS, Discrepancy.LEFT_OUT}),
        (items(*REFERENCES), items(REFERENCES[0], reason=0x0112), 4, {Discrepancy.CONTRADICTS_ITSELF}),
        (items(*REFERENCES, *REFERENCES), None, 5, set()),
        (items(), items(*REFERENCES), 0, set()),
    ],
    ids=["more", "fewer", "others", "class", "contradiction", "repeated-items", "no-reason"],
)
def test_only_what_was_asked_counts(
    scu: StoreScu,
    pacs: FakePacs,
    told: list[StorageCommitmentResult],
    committed: Items,
    failed: Items | None,
    counted: int,
    wrong: set[Discrepancy],
) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        assert report(pacs, listener, information("1.9.1", committed, failed), event_type=2) == 0
    known = scu.commitment(["1.9.1"])
    assert len(known.committed) == counted
    assert set(known.committed) <= set(REFERENCES)
    assert [set(event.discrepancies) for event in told] == [wrong]


def test_what_was_left_out_may_follow(scu: StoreScu, pacs: FakePacs) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        report(pacs, listener, information("1.9.1", items(*REFERENCES[:3])))
        report(pacs, listener, information("1.9.1", items(*REFERENCES[3:])))
    assert scu.commitment(["1.9.1"]).is_complete


def test_an_answer_that_comes_twice_counts_once(
    scu: StoreScu, pacs: FakePacs, told: list[StorageCommitmentResult]
) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        for _ in range(2):
            assert report(pacs, listener, information("1.9.1", items(*REFERENCES))) == 0
    assert [set(event.discrepancies) for event in told] == [set(), {Discrepancy.REPEATED}]


def test_an_answer_that_takes_back_the_one_before_does_not_count(
    scu: StoreScu, pacs: FakePacs, told: list[StorageCommitmentResult]
) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        report(pacs, listener, information("1.9.1", items(), items(*REFERENCES, reason=0x0112)), event_type=2)
        report(pacs, listener, information("1.9.1", items(*REFERENCES)))
    assert not scu.commitment(["1.9.1"]).committed
    assert Discrepancy.CONTRADICTS_BEFORE in told[1].discrepancies


def test_a_forged_answer_does_not_count_and_is_told(
    scu: StoreScu, pacs: FakePacs, told: list[StorageCommitmentResult]
) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        assert report(pacs, listener, information("1.9.1", items(*REFERENCES)), calling="MALLORY") == 0x0110
        assert [(event.sender, event.discrepancies) for event in told] == [
            ("MALLORY", frozenset({Discrepancy.OTHER_SENDER}))
        ]
        assert not scu.commitment(["1.9.1"]).committed


def test_an_answer_under_another_title_counts_where_it_is_allowed(scu: StoreScu, pacs: FakePacs) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener, answered_by=["PACS_BACK"])
        assert report(pacs, listener, information("1.9.1", items(*REFERENCES)), calling="PACS_BACK") == 0
    assert scu.commitment(["1.9.1"]).is_complete


def test_an_answer_to_another_transaction_does_not_count(scu: StoreScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.N_ACTION, Commit(transaction_uid="1.9.2"))
    commitment = scu.commit(pacs.remote(), REFERENCES, wait=BRIEFLY, transaction_uids=["1.9.1"])
    assert commitment.unanswered == tuple(REFERENCES)


def test_an_unknown_event_type_is_no_answer(scu: StoreScu, pacs: FakePacs) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        assert report(pacs, listener, information("1.9.1", items(*REFERENCES)), event_type=3) == 0x0113
    assert scu.commitment(["1.9.1"]).unanswered == tuple(REFERENCES)


def test_what_is_forgotten_is_not_taken(scu: StoreScu, pacs: FakePacs) -> None:
    with Listener("GURNEY") as listener:
        unanswered(scu, pacs, listener)
        scu.forget(["1.9.1"])
        assert report(pacs, listener, information("1.9.1", items(*REFERENCES))) == 0x0110
    with pytest.raises(KeyError):
        scu.commitment(["1.9.1"])


# --- Documents --------------------------------------------------------------------------------------------------------


def test_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / "study").mkdir()
    shutil.copy(str(get_testdata_file("CT_small.dcm", download=False)), tmp_path / "study")
    monkeypatch.chdir(tmp_path)
    with FakePacs() as pacs:
        ready = example.replace("4242", str(pacs.port)).replace("11112", "0").replace("ORTHANC", pacs.ae_title)
        exec(ready, {})
    assert capsys.readouterr().out.splitlines() == ["1 safe", "0 unknown"]
