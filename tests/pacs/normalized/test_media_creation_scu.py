"""Media creation: what is requested, and how dcmjs-dimse, told to take two questions for a disc, answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    BadResponse,
    ExecutionStatus,
    InvalidAttributes,
    MediaCreation,
    MediaCreationManagementScu,
    MediaCreationRequest,
    MediaCreationState,
    OperationFailed,
    RemoteAE,
    RequestPriority,
)
from gurney.pacs.testing import FakePacs, Operation, Respond
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules

CT = "1.2.840.10008.5.1.4.1.1.2"
INSTANCES = [(CT, "1.2.3.1"), (CT, "1.2.3.2")]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture
def remote(peer: DcmjsNormalizedScp) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port)


@pytest.fixture
def scu() -> MediaCreationManagementScu:
    return MediaCreationManagementScu("GURNEY")


@pytest.mark.peer
@pytest.mark.seen("Media creation", at="dcmjs-dimse")
def test_a_disc_is_requested_initiated_and_watched_until_it_is_done(
    scu: MediaCreationManagementScu, remote: RemoteAE, peer: DcmjsNormalizedScp
) -> None:
    creation = scu.create(remote, MediaCreationRequest(INSTANCES, profile="STD-GEN-CD", label_text="Doe"))
    assert creation.state().status is ExecutionStatus.IDLE
    creation.initiate(copies=2, priority=RequestPriority.HIGH)
    states = [state.status for state in creation.watch(every=0.01)]
    assert states == [ExecutionStatus.CREATING, ExecutionStatus.DONE]
    create, _, initiate, *_ = (one for one in peer.requests() if one["uid"] == creation.sop_instance_uid)
    assert create["elements"]["LabelText"] == "Doe"
    assert create["elements"]["ReferencedSOPSequence"][1] == {
        "ReferencedSOPClassUID": CT,
        "ReferencedSOPInstanceUID": "1.2.3.2",
        "RequestedMediaApplicationProfile": "STD-GEN-CD",
    }
    assert initiate["action"] == 1
    assert (initiate["elements"]["NumberOfCopies"], initiate["elements"]["RequestPriority"]) == (2, "HIGH")


@pytest.mark.peer
def test_a_request_is_initiated_once_and_not_cancelled_when_it_is_done(
    scu: MediaCreationManagementScu, remote: RemoteAE
) -> None:
    creation = scu.create(remote, MediaCreationRequest(INSTANCES))
    creation.initiate()
    with pytest.raises(OperationFailed, match="A510 media creation has been initiated for this request already"):
        creation.initiate()
    assert list(creation.watch(every=0.01))[-1].is_complete
    with pytest.raises(OperationFailed, match="C201 the media creation request is completed already"):
        creation.cancel()


@pytest.mark.peer
def test_a_request_that_is_cancelled_is_known_no_more(scu: MediaCreationManagementScu, remote: RemoteAE) -> None:
    uid = scu.create(remote, MediaCreationRequest(INSTANCES)).sop_instance_uid
    resumed = scu.resume(remote, uid)
    resumed.cancel()
    with pytest.raises(OperationFailed, match="0112 no such SOP instance"):
        resumed.state()


@pytest.mark.parametrize(
    ("wished", "problem"),
    [
        ({"copies": 0}, "NumberOfCopies is no whole number of 1 or more"),
        ({"copies": -1}, "NumberOfCopies is no whole number of 1 or more"),
        ({"copies": 1.5}, "NumberOfCopies is no whole number of 1 or more"),
        ({"copies": True}, "NumberOfCopies is no whole number of 1 or more"),
        ({"copies": 1 << 31}, "NumberOfCopies is no valid IS"),
        ({"priority": "URGENT"}, "RequestPriority is none of HIGH, MED, LOW"),
    ],
)
def test_what_no_peer_could_make_is_refused_before_it_is_asked(
    scu: MediaCreationManagementScu, wished: dict[str, Any], problem: str
) -> None:
    with FakePacs() as pacs:
        creation = scu.resume(pacs.remote(), "1.2.3")
        with pytest.raises(InvalidAttributes, match=problem):
            creation.initiate(**wished)
        with pytest.raises(ValueError, match="seconds, 0 or more"):
            next(creation.watch(every=-1))
        assert pacs.associations == 0


def test_copies_are_named() -> None:
    with pytest.raises(TypeError, match="positional"):
        MediaCreation.initiate(object(), 2)  # type: ignore[misc, arg-type]


def test_a_request_that_no_peer_could_know_is_refused_before_it_is_asked(scu: MediaCreationManagementScu) -> None:
    with FakePacs() as pacs:
        with pytest.raises(InvalidAttributes, match="its SOP Instance UID is not a UID"):
            scu.create(pacs.remote(), MediaCreationRequest(INSTANCES, sop_instance_uid="1.2.a"))
        with pytest.raises(InvalidAttributes, match="its SOP Instance UID is not a UID"):
            scu.resume(pacs.remote(), "")
        assert pacs.associations == 0


def test_only_what_was_wished_is_requested() -> None:
    made = MediaCreationRequest(INSTANCES, allow_lossy_compression=False, label_from_instances=True).attributes()
    assert made.AllowLossyCompression == "NO"
    assert made.LabelUsingInformationExtractedFromInstances == "YES"
    assert "AllowMediaSplitting" not in made
    assert "LabelText" not in made


@pytest.mark.parametrize(
    ("instances", "problem"),
    [
        ([], "ReferencedSOPSequence has no value"),
        ([(CT, "")], "ReferencedSOPInstanceUID has no value"),
        ([("x", "1.2")], "ReferencedSOPClassUID is no valid UI"),
    ],
)
def test_what_a_request_lacks_is_told(instances: list[tuple[str, str]], problem: str) -> None:
    with pytest.raises(InvalidAttributes, match=problem):
        MediaCreationRequest(instances).attributes()


def told(**values: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "over", "complete"),
    [
        (None, False, False),
        (told(ExecutionStatus="CREATING"), False, False),
        (told(ExecutionStatus="DONE", TotalNumberOfPiecesOfMediaCreated=1), True, True),
        (told(ExecutionStatus="DONE", FailedSOPSequence=[told(ReferencedSOPInstanceUID="1.2")]), True, False),
        (told(ExecutionStatus="FAILURE", ExecutionStatusInfo="NO_INSTANCE"), True, False),
    ],
    ids=["nothing", "creating", "done", "partly", "failed"],
)
def test_a_state_is_complete_only_where_the_peer_says_so(
    attributes: Dataset | None, over: bool, complete: bool
) -> None:
    state = MediaCreationState.of(attributes)
    assert (state.is_over, state.is_complete) == (over, complete)


def test_a_state_keeps_what_the_peer_says_besides() -> None:
    failed = [told(ReferencedSOPInstanceUID="1.2"), told(ReferencedSOPInstanceUID="1.3")]
    state = MediaCreationState.of(
        told(ExecutionStatus="BURNING", ExecutionStatusInfo="SPINNING", FailedSOPSequence=failed)
    )
    assert (state.status, state.info, state.failed) == ("BURNING", "SPINNING", ("1.2", "1.3"))
    assert state.pieces is None


def test_a_peer_that_never_says_how_far_it_is_is_not_asked_for_ever(scu: MediaCreationManagementScu) -> None:
    with FakePacs() as pacs:
        pacs.on_every(Operation.N_GET, Respond(dataset=Dataset()))
        states = scu.create(pacs.remote(), MediaCreationRequest(INSTANCES)).watch(every=0)
        assert next(states).status == ""
        with pytest.raises(BadResponse, match="without an Execution Status"):
            next(states)
