"""Storage commitment from archives that we did not write: Orthanc, which answers on associations of its own, and
dcmjs-dimse, which was told to answer on the one that asked as well."""

from __future__ import annotations

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    STORAGE_COMMITMENT_CONTEXTS,
    CommitmentWait,
    FailureReason,
    Listener,
    RemoteAE,
    SopReference,
    StoreResult,
    StoreScu,
    Timeouts,
    request_for_file,
)
from tests.pacs.conftest import CT, EXPLICIT
from tests.services.dcmjs import DcmjsCommitmentScp, installed_node_modules
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.presence import require
from tests.services.tiny_pacs import TinyPacs
from tests.services.waiting import wait_until

pytestmark = pytest.mark.peer

EXAMPLE = Path(__file__).parents[3] / "docs/examples/store_and_commit.py"
NEVER_REPORTS = "takes the request, and proposes too many contexts for its report: none ever comes"
ABSENT = SopReference(CT, "1.2.3.4.5.6.7.8.9")
# Bounds, not durations.
HERE = CommitmentWait(on_association=20, at_listener=0)
ELSEWHERE = CommitmentWait(on_association=0, at_listener=20)
CONTEXTS = [ContextProposal(CT, EXPLICIT), *STORAGE_COMMITMENT_CONTEXTS]


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    require("Orthanc")
    with Orthanc(tmp_path_factory.mktemp("orthanc")) as orthanc:
        yield orthanc


@pytest.fixture(scope="module")
def dcmjs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsCommitmentScp]:
    require("node")
    with DcmjsCommitmentScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def tiny_pacs(tmp_path_factory: pytest.TempPathFactory, own_port: int) -> Iterator[TinyPacs]:
    with TinyPacs(tmp_path_factory.mktemp("tiny-pacs"), move_destinations={"GURNEY_SC": own_port}) as peer:
        yield peer


@pytest.fixture
def scu() -> StoreScu:
    return StoreScu("GURNEY_SC")


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener("GURNEY_SC") as listener:
        yield listener


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    made = []
    for number in range(3):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        made.append(tmp_path / f"{number}.dcm")
        template.save_as(made[-1])
    return made


def at(peer: Orthanc | DcmjsCommitmentScp | TinyPacs) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port, Timeouts(connect=5, acse=10, store=20))


def references(paths: list[Path]) -> list[SopReference]:
    requests = [request_for_file(path) for path in paths]
    return [SopReference(request.sop_class_uid, request.sop_instance_uid) for request in requests]


@pytest.mark.seen("Storage commitment, new association", at="orthanc")
def test_orthanc_commits_on_an_association_of_its_own(
    scu: StoreScu, orthanc: Orthanc, listener: Listener, paths: list[Path]
) -> None:
    orthanc.register_modality("gurney", "GURNEY_SC", listener.port)
    assert all(result.is_stored for result in scu.store_many(at(orthanc), paths))
    commitment = scu.commit(at(orthanc), references(paths), wait=ELSEWHERE, listener=listener)
    assert commitment.is_complete
    assert set(commitment.committed) == set(references(paths))


@pytest.mark.lacks("Storage commitment, same association", at="orthanc")
def test_orthanc_does_not_use_the_association_that_asked(
    scu: StoreScu, orthanc: Orthanc, listener: Listener, paths: list[Path]
) -> None:
    """It has answered at the listener before the wait on the association is over."""
    orthanc.register_modality("gurney", "GURNEY_SC", listener.port)
    with scu.associate(at(orthanc), CONTEXTS) as association:
        assert all(result.is_stored for result in association.store([request_for_file(path) for path in paths]))
        deaf = scu.commit(association, references(paths), wait=CommitmentWait(on_association=1, at_listener=0))
        assert {*deaf.unanswered} == {*references(paths)}
        told = scu.commit(association, references(paths), wait=ELSEWHERE, listener=listener)
        assert told.is_complete
        assert association.is_usable


@pytest.mark.lacks("Storage commitment, same association", at="tiny-pacs")
@pytest.mark.lacks("Storage commitment, new association", at="tiny-pacs", remark=NEVER_REPORTS)
def test_tiny_pacs_takes_a_request_and_never_reports(
    scu: StoreScu, tiny_pacs: TinyPacs, paths: list[Path], own_port: int
) -> None:
    with Listener("GURNEY_SC", port=own_port), scu.associate(at(tiny_pacs), CONTEXTS) as association:
        assert all(result.is_stored for result in association.store([request_for_file(path) for path in paths]))
        asked = scu.commit(association, references(paths), wait=CommitmentWait(0, 0))
        assert [result.status for result in asked.results] == [0x0000]
        # More contexts than the byte of their numbers holds: it fails before it has sent anything.
        wait_until(lambda: "ubyte format requires" in tiny_pacs.log.read_text(), what="its failure to report")
        assert {*scu.commitment(asked.transaction_uids).unanswered} == {*references(paths)}


def test_orthanc_says_what_it_does_not_have(
    scu: StoreScu, orthanc: Orthanc, listener: Listener, paths: list[Path]
) -> None:
    orthanc.register_modality("gurney", "GURNEY_SC", listener.port)
    assert all(result.is_stored for result in scu.store_many(at(orthanc), paths[:1]))
    asked = [*references(paths[:1]), ABSENT]
    commitment = scu.commit(at(orthanc), asked, wait=ELSEWHERE, listener=listener, limit=1)
    assert commitment.committed == (asked[0],)
    assert [(one.reference, one.reason) for one in commitment.uncommitted] == [
        (ABSENT, FailureReason.NO_SUCH_OBJECT_INSTANCE)
    ]


def test_orthanc_answers_many_hundreds(scu: StoreScu, orthanc: Orthanc, listener: Listener) -> None:
    orthanc.register_modality("gurney", "GURNEY_SC", listener.port)
    many = [SopReference(CT, f"1.2.276.0.7230010.3.1.4.1234567890.1234567.{number}") for number in range(1000, 1800)]
    commitment = scu.commit(at(orthanc), many, wait=ELSEWHERE, listener=listener)
    assert [len(result.uncommitted) for result in commitment.results] == [500, 300]


def test_the_example_says_what_is_safe(
    orthanc: Orthanc, paths: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    orthanc.register_modality("gurney", "GURNEY_SC", port)
    where = ["127.0.0.1", str(orthanc.port), orthanc.ae_title, "--as", "GURNEY_SC", "--listen", str(port)]
    monkeypatch.setattr("sys.argv", [str(EXAMPLE), *where, *map(str, paths)])
    runpy.run_path(str(EXAMPLE))
    assert capsys.readouterr().out.splitlines() == ["3 of 3 stored", "3 committed, 0 unknown"]


@pytest.mark.seen("Storage commitment, same association", at="dcmjs-dimse")
def test_dcmjs_commits_on_the_association_that_stored(
    scu: StoreScu, dcmjs: DcmjsCommitmentScp, paths: list[Path]
) -> None:
    with scu.associate(at(dcmjs), CONTEXTS) as association:
        assert all(result.is_stored for result in association.store([request_for_file(path) for path in paths]))
        commitment = scu.commit(association, [*references(paths), ABSENT], wait=HERE, limit=2)
    assert set(commitment.committed) == set(references(paths))
    assert [one.reference for one in commitment.uncommitted] == [ABSENT]


def test_dcmjs_may_answer_while_the_association_stores_on(
    scu: StoreScu, dcmjs: DcmjsCommitmentScp, paths: list[Path]
) -> None:
    requests = [request_for_file(path) for path in paths]
    with scu.associate(at(dcmjs), CONTEXTS) as association:
        assert all(result.is_stored for result in association.store(requests))
        asked = scu.commit(
            association, references(paths), wait=CommitmentWait(0, 0), transaction_uids=["1.2.997.100.1"]
        )
        stored: list[StoreResult] = []
        while not scu.commitment(asked.transaction_uids).is_complete:
            stored.extend(association.store(requests))
    assert stored
    assert all(result.is_stored for result in stored)


@pytest.mark.seen("Storage commitment, new association", at="dcmjs-dimse")
def test_dcmjs_may_answer_elsewhere_without_asking_for_its_role(
    scu: StoreScu, dcmjs: DcmjsCommitmentScp, listener: Listener, paths: list[Path]
) -> None:
    with scu.associate(at(dcmjs), CONTEXTS) as association:
        assert all(result.is_stored for result in association.store([request_for_file(path) for path in paths]))
    uid = f"1.2.998.{listener.port}.1"
    commitment = scu.commit(at(dcmjs), references(paths), wait=ELSEWHERE, listener=listener, transaction_uids=[uid])
    assert commitment.is_complete
