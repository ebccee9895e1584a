from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from gurney.dicom.errors import Part10Error
from gurney.dicom.presentation import ContextProposal
from gurney.errors import DicomFileError
from gurney.pacs import (
    STRICT,
    AssociationRejected,
    AssociationTerms,
    ContextRefused,
    DicomEngine,
    DimsePriority,
    EngineError,
    Skip,
    StoreChange,
    StoreScu,
    Timeouts,
    request_for_file,
)
from gurney.pacs.events import (
    Aborted,
    AfterAssociateRequest,
    AfterCEcho,
    AfterClose,
    AfterConnect,
    AfterCStore,
    AfterRelease,
    AfterResolve,
    BeforeAssociateRequest,
    BeforeCEcho,
    BeforeClose,
    BeforeConnect,
    BeforeCStore,
    BeforeRelease,
)
from gurney.pacs.testing import Accept, Break, FakePacs, Reject, Respond
from gurney.pacs.wire.dataset import decode_dataset, encode_dataset
from gurney.transfer.outcomes import EventKind
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MR, MakeRequests

CT_FILE = str(get_testdata_file("CT_small.dcm"))
MR_FILE = str(get_testdata_file("MR_small.dcm"))


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def scu(request: pytest.FixtureRequest) -> StoreScu:
    return StoreScu("GURNEY", fast_path=request.param)


def dataset_bytes(path: str) -> bytes:
    return Path(path).read_bytes()[request_for_file(path).dataset_offset :]


# --- Convenience ------------------------------------------------------------------------------------------------------


def test_a_file_is_stored(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), CT_FILE)
        assert result.is_stored
        assert pacs.stored[0].digest == hashlib.sha256(dataset_bytes(CT_FILE)).hexdigest()
        assert scu.store(pacs.remote(), Path(MR_FILE)).is_stored
        pacs.wait_until_quiet()
    assert pacs.endings == ["released", "released"]


def test_a_data_set_is_stored(scu: StoreScu) -> None:
    dataset = decode_dataset(dataset_bytes(CT_FILE), EXPLICIT)
    dataset.SOPInstanceUID = UID("1.2.3.4")
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), dataset)
    assert (result.sop_instance_uid, result.status) == ("1.2.3.4", 0)
    assert pacs.stored[0].digest == hashlib.sha256(encode_dataset(dataset, EXPLICIT)).hexdigest()
    assert pacs.stored[0].transfer_syntax_uid == ExplicitVRLittleEndian


def test_store_a_file_that_should_not_be_sent(scu: StoreScu, tmp_path: Path) -> None:
    path = tmp_path / "text.dcm"
    path.write_text("not DICOM")
    with FakePacs() as pacs, pytest.raises(Part10Error):
        scu.store(pacs.remote(), path)
    assert pacs.associations == 0


def test_store_many_on_one_association(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(2, Respond(0xA700))
        results = list(scu.store_many(pacs.remote(), [CT_FILE, MR_FILE, CT_FILE]))
    assert [result.status for result in results] == [0, 0xA700, 0]
    assert pacs.associations == 1


def test_store_many_needs_several_associations_past_128_contexts(
    scu: StoreScu, monkeypatch: pytest.MonkeyPatch, make_requests: MakeRequests
) -> None:
    requests = {one.path: one for n in range(130) for one in make_requests(1, sop_class_uid=f"1.2.840.10008.5.1.{n}")}
    monkeypatch.setattr("gurney.pacs.store.sources.request_for_file", lambda path, policy: requests[path])
    with FakePacs() as pacs:
        results = list(scu.store_many(pacs.remote(), requests))
    assert len(results) == 130
    assert all(result.is_stored for result in results)
    assert pacs.associations == 2


def test_verify_echoes_and_releases(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        echo = scu.verify(pacs.remote())
        assert (echo.is_success, echo.status) == (True, 0)
        assert 0 < echo.seconds < 5
        pacs.wait_until_quiet()
    assert pacs.endings == ["released"]


def test_a_calling_ae_title_is_checked() -> None:
    with pytest.raises(ValueError, match="16"):
        StoreScu("X" * 17)


# --- Events -----------------------------------------------------------------------------------------------------------


def test_the_events_of_a_good_association(scu: StoreScu, make_requests: MakeRequests) -> None:
    seen: list[object] = []
    for hook in vars(scu.events).values():
        hook(seen.append)
    with FakePacs() as pacs:
        remote = pacs.remote()
        with scu.associate(remote, [*CT_ONLY, ContextProposal("1.2.840.10008.1.1", "1.2.840.10008.1.2")]) as assoc:
            assoc.verify()
            list(assoc.store(make_requests(1)))
    assert [type(event) for event in seen] == [
        BeforeConnect,
        AfterResolve,
        AfterConnect,
        BeforeAssociateRequest,
        AfterAssociateRequest,
        BeforeCEcho,
        AfterCEcho,
        BeforeCStore,
        AfterCStore,
        BeforeRelease,
        BeforeClose,
        AfterRelease,
        AfterClose,
    ]
    assert all(getattr(event, "remote") is remote for event in seen)  # noqa: B009  (each type has it)


def test_the_events_of_a_bad_association(scu: StoreScu, make_requests: MakeRequests) -> None:
    seen: list[object] = []
    scu.events.aborted(seen.append)
    scu.events.after_c_store(seen.append)
    with FakePacs(instance=Break()) as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        with pytest.raises(Exception, match="aborted"):
            list(association.store(make_requests(2)))
        association.abort()
    assert [type(event) for event in seen] == [Aborted, AfterCStore, AfterCStore]


def test_after_associate_request_tells_of_a_rejection(scu: StoreScu) -> None:
    seen: list[AfterAssociateRequest] = []
    scu.events.after_associate_request(seen.append)
    with FakePacs(association=Reject(1, 1, 3)) as pacs, pytest.raises(AssociationRejected):
        scu.associate(pacs.remote(), CT_ONLY)
    assert isinstance(seen[0].error, AssociationRejected)


def test_after_connect_tells_of_a_refusal(scu: StoreScu) -> None:
    seen: list[AfterConnect] = []
    scu.events.after_connect(seen.append)
    pacs = FakePacs()
    with pacs:
        remote = pacs.remote(Timeouts(connect=1))
    with pytest.raises(Exception, match="refused"):
        scu.associate(remote, CT_ONLY)
    assert seen[0].error is not None


def test_proposals_may_be_changed(scu: StoreScu) -> None:
    @scu.events.before_associate_request
    def add(event: BeforeAssociateRequest) -> AssociationTerms:
        return replace(event.terms, proposals=(*event.terms.proposals, ContextProposal(MR, EXPLICIT)))

    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        assert association.accepts(MR, EXPLICIT) == 3


def test_a_listener_may_prevent_a_connection(scu: StoreScu) -> None:
    @scu.events.before_connect
    def never(event: BeforeConnect) -> None:
        raise PermissionError(event.remote.ae_title)

    with FakePacs() as pacs, pytest.raises(PermissionError):
        scu.associate(pacs.remote(), CT_ONLY)
    assert pacs.associations == 0


def test_a_data_set_may_be_changed_and_only_then_is_decoded(scu: StoreScu) -> None:
    original = dataset_bytes(CT_FILE)

    @scu.events.before_c_store
    def coerce(event: BeforeCStore) -> StoreChange | None:
        if event.request.sop_class_uid != CT:
            return None
        dataset = event.decode()
        dataset.PatientID = "COERCED"
        dataset.SOPInstanceUID = UID("1.2.3.99")
        return StoreChange(dataset=dataset, priority=DimsePriority.HIGH)

    @scu.events.before_c_store
    def look(event: BeforeCStore) -> None:
        if event.request.sop_class_uid == CT:
            assert event.decode().PatientID == "COERCED"
            assert event.priority is DimsePriority.HIGH

    with FakePacs() as pacs:
        ct, mr = sorted(scu.store_many(pacs.remote(), [CT_FILE, MR_FILE]), key=lambda one: one.request.path)
    assert (ct.sop_instance_uid, mr.sop_instance_uid) == ("1.2.3.99", mr.request.sop_instance_uid)
    expected = decode_dataset(original, EXPLICIT)
    expected.PatientID, expected.SOPInstanceUID = "COERCED", UID("1.2.3.99")
    stored = {one.sop_class_uid: one.digest for one in pacs.stored}
    assert stored[CT] == hashlib.sha256(encode_dataset(expected, EXPLICIT)).hexdigest()
    assert stored[MR] == hashlib.sha256(dataset_bytes(MR_FILE)).hexdigest()


def test_a_listener_may_skip_one_or_all(scu: StoreScu, make_requests: MakeRequests) -> None:
    @scu.events.before_c_store
    def skip(event: BeforeCStore) -> StoreChange | None:
        return {2: StoreChange(skip=Skip.THIS), 4: StoreChange(skip=Skip.ALL)}.get(event.request.key)  # type: ignore[call-overload, no-any-return]

    taken = []
    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        results = list(association.store(taken.append(one) or one for one in make_requests(6)))  # type: ignore[func-returns-value]
        assert association.is_usable
    assert [result.event.kind for result in results] == [
        EventKind.RESPONSE,
        EventKind.VETOED,
        EventKind.RESPONSE,
        EventKind.VETOED,
    ]
    assert [result.is_skipped for result in results] == [False, True, False, True]
    assert len(taken) == 4


def test_a_listener_that_raises_fails_its_item_only_and_says_nothing_of_the_patient(
    scu: StoreScu, make_requests: MakeRequests
) -> None:
    @scu.events.before_c_store
    def fail(event: BeforeCStore) -> None:
        if event.request.key == 2:
            raise ValueError("Planted^Patient")

    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        results = list(association.store(make_requests(3)))
    assert [result.event.kind for result in results] == [EventKind.RESPONSE, EventKind.VETOED, EventKind.RESPONSE]
    assert results[1].event.detail == "before_c_store raised ValueError"
    assert not results[1].is_skipped


def test_what_is_no_change_fails_its_item_and_says_what_would_be_one(scu: StoreScu) -> None:
    scu.events.before_c_store(lambda event: event.decode())  # type: ignore[arg-type, return-value]  # the mistake
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), CT_FILE)
    assert (result.event.kind, result.is_skipped) == (EventKind.VETOED, False)
    assert result.event.detail == "a listener of before_c_store returned FileDataset: it may return StoreChange or None"


def test_a_data_set_of_another_class_is_not_sent(scu: StoreScu) -> None:
    @scu.events.before_c_store
    def swap(event: BeforeCStore) -> StoreChange:
        dataset: Dataset = event.decode()
        dataset.SOPClassUID = UID(MR)
        return StoreChange(dataset=dataset)

    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), CT_FILE)
    assert result.event.kind is EventKind.VETOED
    assert result.event.detail == (
        "before_c_store returned what can't go: the data set is of another SOP class than its request"
    )
    assert pacs.stored == []


def test_a_data_set_without_its_uids_is_not_sent(scu: StoreScu) -> None:
    scu.events.before_c_store(lambda _: StoreChange(dataset=Dataset()))
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), CT_FILE)
    assert result.event.detail == "before_c_store returned what can't go: the data set has no SOPClassUID"
    assert pacs.stored == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "Planted^Patient"}, "dataset must be a Dataset, not str"),
        ({"priority": 99}, "priority must be a DimsePriority, not int"),
        ({"skip": 5}, "skip must be a Skip, not int"),
    ],
)
def test_a_change_of_the_wrong_kind_is_told_as_what_it_is(scu: StoreScu, change: dict[str, Any], said: str) -> None:
    scu.events.before_c_store(lambda _: StoreChange(**change))
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), CT_FILE)
    assert (result.event.kind, result.is_skipped) == (EventKind.VETOED, False)
    assert result.event.detail == f"a listener of before_c_store: {said}"
    assert pacs.stored == []


def test_a_black_image_is_an_image(scu: StoreScu, tmp_path: Path) -> None:
    image = dcmread(CT_FILE)
    image.PixelData = bytes(len(image.PixelData))
    image.save_as(path := tmp_path / "black.dcm")
    with FakePacs() as pacs:
        assert scu.store(pacs.remote(), path).is_stored
        with pytest.raises(DicomFileError, match="blank_pixels"):
            scu.store(pacs.remote(), path, policy=STRICT)


def test_the_priority_goes_out(scu: StoreScu, make_requests: MakeRequests) -> None:
    seen: list[DimsePriority] = []
    scu.events.before_c_store(lambda event: seen.append(event.priority))
    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        list(association.store(make_requests(1)))
    assert seen == [DimsePriority.MEDIUM]


def test_a_peer_without_verification(scu: StoreScu) -> None:
    refused = Accept(refuse={"1.2.840.10008.1.1": 3})
    with FakePacs(association=refused) as pacs, pytest.raises(ContextRefused):
        scu.verify(pacs.remote())


def test_a_listener_that_forbids_the_release_makes_it_an_abort(scu: StoreScu) -> None:
    @scu.events.before_release_request
    def forbid(event: BeforeRelease) -> None:
        raise PermissionError(event.remote.ae_title)

    with FakePacs() as pacs:
        with pytest.raises(PermissionError), scu.associate(pacs.remote(), CT_ONLY):
            pass
        pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]


def test_skipping_all_holds_for_one_run(scu: StoreScu, make_requests: MakeRequests) -> None:
    skips = iter([StoreChange(skip=Skip.ALL)])
    scu.events.before_c_store(lambda _: next(skips, None))
    with FakePacs() as pacs, scu.associate(pacs.remote(), CT_ONLY) as association:
        held_back = list(association.store(make_requests(2)))
        assert [(one.event.kind, one.is_skipped) for one in held_back] == [(EventKind.VETOED, True)] * 2
        assert [one.status for one in association.store(make_requests(2))] == [0, 0]


def test_the_engine_ends_while_we_negotiate(scu: StoreScu) -> None:
    @scu.events.after_connect
    def shut_down(_: AfterConnect) -> None:
        DicomEngine.shutdown()

    with FakePacs() as pacs:
        with pytest.raises(EngineError):
            scu.associate(pacs.remote(), CT_ONLY)
        pacs.wait_until_quiet()
    assert pacs.endings == ["aborted"]


@pytest.mark.filterwarnings("ignore:The value length:UserWarning")
def test_a_uid_that_no_context_can_have_leaves_no_connection(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        with pytest.raises(ValueError, match="64 characters"):
            scu.associate(pacs.remote(), [ContextProposal("1." + "2" * 70, EXPLICIT)])
        pacs.wait_until_quiet()
