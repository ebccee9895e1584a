"""What StoreScu takes: a file, a data set, many of both, a folder, a generator; and what it says of the rest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from gurney.dicom.errors import Part10Error, UnfitInstance
from gurney.dicom.presentation import MAX_CONTEXTS
from gurney.pacs import (
    DicomEngine,
    RemoteAE,
    Skip,
    StoreChange,
    StoreResult,
    StoreScu,
    Storing,
    Timeouts,
    request_for_file,
)
from gurney.pacs.events import AfterCStore, BeforeCStore
from gurney.pacs.store.lookahead import LookAhead
from gurney.pacs.testing import FakePacs, Respond
from gurney.pacs.wire.leftovers import incoming_name
from gurney.transfer.outcomes import EventKind
from tests.pacs.conftest import CT, MakeRequests
from tests.services.dcmtk import StoreScp
from tests.services.orthanc import Orthanc
from tests.services.presence import require

CT_FILE = str(get_testdata_file("CT_small.dcm", download=False))
MR_FILE = str(get_testdata_file("MR_small.dcm", download=False))
PRIVATE = "1.2.826.0.1.3680043.9.7433.99"


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def scu(request: pytest.FixtureRequest) -> StoreScu:
    return StoreScu("GURNEY", fast_path=request.param)


@pytest.fixture(scope="module")
def storescp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    require("storescp")
    with StoreScp(tmp_path_factory.mktemp("storescp")) as peer:
        yield peer


def remote(peer: StoreScp | Orthanc) -> RemoteAE:
    return RemoteAE(peer.ae_title, "127.0.0.1", peer.port, Timeouts(connect=5, acse=10, store=20))


def dataset(number: int = 1, sop_class_uid: str = CT) -> Dataset:
    made = dcmread(CT_FILE, stop_before_pixels=True)
    made.SOPInstanceUID, made.SOPClassUID = UID(f"1.2.3.{number}"), UID(sop_class_uid)
    return made


def instances(folder: Path, count: int, sop_class_uids: list[str]) -> list[Path]:
    """Make whole files, of SOP classes in turn."""
    paths = []
    for number in range(count):
        made = dataset(number, sop_class_uids[number % len(sop_class_uids)])
        made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
        made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
        made.pop("Rows"), made.pop("Columns")  # no image any more, so that none is missed
        paths.append(folder / f"{number:04}.dcm")
        made.save_as(paths[-1])
    return paths


# --- Many -------------------------------------------------------------------------------------------------------------


def test_files_and_data_sets_go_together_on_one_association(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        results = list(scu.store_many(pacs.remote(), [CT_FILE, dataset(7), Path(MR_FILE)]))
    assert [result.is_stored for result in results] == [True] * 3
    assert results[1].sop_instance_uid == "1.2.3.7"
    assert pacs.associations == 1


def test_what_is_no_instance_has_a_result_that_says_why_and_the_rest_goes_on(scu: StoreScu, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM" * 99)
    (tmp_path / "cut.dcm").write_bytes(Path(CT_FILE).read_bytes()[:3000])
    (tmp_path / "link.dcm").symlink_to(CT_FILE)
    os.mkfifo(tmp_path / "fifo.dcm")
    without_uid = dataset()
    del without_uid.SOPInstanceUID
    bad = [tmp_path / "text.dcm", tmp_path / "cut.dcm", tmp_path / "gone.dcm", tmp_path / "link.dcm", tmp_path]
    told: list[AfterCStore] = []
    scu.events.after_c_store(told.append)
    with FakePacs() as pacs:
        items = [*bad, tmp_path / "fifo.dcm", "nul\0.dcm", without_uid, CT_FILE, bad[0], MR_FILE]
        storing = scu.store_many(pacs.remote(), items)
        results = list(storing)
    said = {result.request.path: (result.event.kind, result.event.detail) for result in results if not result.is_stored}
    assert said[str(bad[0])] == (EventKind.UNFIT, "not_dicom: neither DICM at byte 128 nor a data set at byte 0")
    assert said[str(bad[1])][0] is EventKind.UNFIT
    assert said[str(bad[1])][1].startswith("truncated")
    assert said[str(bad[2])][0] is EventKind.FILE_MISSING
    assert said[str(bad[3])] == (EventKind.UNFIT, "a symbolic link, which is not followed: name the file itself")
    assert said[str(bad[4])] == (EventKind.UNFIT, "a folder: store_folder() sends what is in one")
    assert said[str(tmp_path / "fifo.dcm")] == (EventKind.UNFIT, "a FIFO, not a file")
    assert said["nul\0.dcm"][0] is EventKind.FILE_MISSING
    assert said[""] == (
        EventKind.UNFIT,
        "the data set has no SOP Instance UID (0008,0018): pydicom.uid.generate_uid() makes one",
    )
    assert sorted(result.request.path for result in results if result.is_stored) == sorted([CT_FILE, MR_FILE])
    assert len(results) == len(told) == len(items)
    assert (storing.tally.stored, storing.tally.failed, storing.tally.skipped) == (2, 9, 0)


def test_of_one_it_is_an_error(scu: StoreScu, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM")
    (tmp_path / "link.dcm").symlink_to(CT_FILE)
    with FakePacs() as pacs:
        for path, error in [("text.dcm", Part10Error), ("link.dcm", UnfitInstance), ("gone", FileNotFoundError)]:
            with pytest.raises(error):
                scu.store(pacs.remote(), tmp_path / path)
    assert pacs.associations == 0


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda one: one.pop("SOPClassUID"), r"no SOP Class UID \(0008,0016\)"),
        (lambda one: setattr(one, "SOPInstanceUID", ""), r"no SOP Instance UID \(0008,0018\): pydicom"),
        (lambda one: delattr(one, "file_meta"), r"no Transfer Syntax UID \(0002,0010\): set dataset.file_meta"),
        (lambda one: one.file_meta.pop("TransferSyntaxUID"), r"no Transfer Syntax UID"),
    ],
    ids=["class", "instance", "meta", "syntax"],
)
def test_a_data_set_that_lacks_what_a_c_store_needs(scu: StoreScu, spoil: object, words: str) -> None:
    spoilt = dataset()
    spoil(spoilt)  # type: ignore[operator]
    with FakePacs() as pacs, pytest.raises(UnfitInstance, match=words):
        scu.store(pacs.remote(), spoilt)


def test_a_fifo_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> int:
        raise AssertionError("opened")

    os.mkfifo(tmp_path / "fifo")
    with monkeypatch.context() as patch:
        patch.setattr("gurney.pacs.store.sources.os.open", never)
        with pytest.raises(UnfitInstance, match="a FIFO"):
            request_for_file(tmp_path / "fifo")


def test_a_link_that_was_slipped_in_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(CT_FILE)
    with monkeypatch.context() as patch:
        patch.setattr("gurney.pacs.store.sources.os.lstat", os.stat)
        with pytest.raises(UnfitInstance, match="not followed"):
            request_for_file(tmp_path / "link")


def test_what_is_neither_is_a_mistake_in_the_program(scu: StoreScu) -> None:
    with FakePacs() as pacs, pytest.raises(TypeError, match="not int"):
        list(scu.store_many(pacs.remote(), [42]))  # type: ignore[list-item]


def test_nothing_but_bad_ones_asks_for_no_association(scu: StoreScu, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM")
    with FakePacs() as pacs:
        results = list(scu.store_many(pacs.remote(), [tmp_path / "text.dcm"] * 250, look_ahead=10))
        assert list(scu.store_many(pacs.remote(), [])) == []
    assert len(results) == 250
    assert pacs.associations == 0


def test_a_generator_is_taken_as_far_ahead_as_was_said_and_no_further(scu: StoreScu) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield CT_FILE

    with FakePacs() as pacs:
        with scu.store_many(pacs.remote(), endless(), look_ahead=5) as storing:
            for _ in range(12):
                assert next(storing).is_stored
        pacs.wait_until_quiet()
    assert taken <= 12 + 1 + 5
    assert storing.tally.stored == 12
    assert pacs.endings == ["released"]


@pytest.mark.parametrize("look_ahead", [1, 2, 1000])
def test_what_a_generator_gave_before_it_raised_is_sent_first(scu: StoreScu, tmp_path: Path, look_ahead: int) -> None:
    def failing() -> Iterator[Path | str]:
        yield CT_FILE
        yield tmp_path / "gone"
        yield MR_FILE
        raise LookupError("the application's own")

    results = []
    with FakePacs() as pacs:
        storing = scu.store_many(pacs.remote(), failing(), look_ahead=look_ahead)
        with pytest.raises(LookupError, match="the application's own"):
            results.extend(storing)
        pacs.wait_until_quiet()
    assert {(result.request.path, result.is_stored) for result in results} == {
        (CT_FILE, True),
        (str(tmp_path / "gone"), False),
        (MR_FILE, True),
    }
    assert storing.tally.done == 3
    assert set(pacs.endings) == {"released"}


def test_a_generator_that_raises_at_once_asks_for_no_association(scu: StoreScu) -> None:
    def failing() -> Iterator[str]:
        raise LookupError("the application's own")
        yield

    with FakePacs() as pacs, pytest.raises(LookupError):
        list(scu.store_many(pacs.remote(), failing()))
    assert pacs.associations == 0


def test_data_sets_are_not_hoarded(scu: StoreScu) -> None:
    taken = 0

    def endless() -> Iterator[Dataset]:
        nonlocal taken
        while True:
            taken += 1
            yield dataset(taken)

    with FakePacs() as pacs, scu.store_many(pacs.remote(), endless()) as storing:
        assert next(storing).is_stored
    assert taken <= 33


def test_many_bad_ones_between_good_ones_are_told_as_they_come(scu: StoreScu, tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("not DICOM")
    items = [CT_FILE, *[tmp_path / "text.dcm"] * 350, CT_FILE]
    with FakePacs() as pacs:
        storing = scu.store_many(pacs.remote(), items, look_ahead=7)
        results = list(storing)
        pacs.wait_until_quiet()
    assert [result.is_stored for result in (results[0], results[-1])] == [True, True]
    assert (storing.tally.stored, storing.tally.failed) == (2, 350)
    assert pacs.associations == 1


def all_but_the_first(_: BeforeCStore, asked: Iterator[int]) -> StoreChange | None:
    return StoreChange(skip=Skip.ALL) if next(asked) else None


@pytest.fixture
def skipping(scu: StoreScu) -> Iterator[int]:
    """Have all held back behind the first, and count how often that is asked."""
    asked = count()
    scu.events.before_c_store(lambda event: all_but_the_first(event, asked))
    return asked


def kinds(results: Iterable[StoreResult]) -> list[tuple[EventKind, bool]]:
    return [(result.event.kind, result.is_skipped) for result in results]


SENT, HELD_BACK = (EventKind.RESPONSE, False), (EventKind.VETOED, True)


@pytest.mark.parametrize("look_ahead", [1, 3, 1000])
def test_all_that_is_left_of_a_list_is_told_as_skipped_and_none_is_opened(
    scu: StoreScu, skipping: Iterator[int], look_ahead: int
) -> None:
    told: list[AfterCStore] = []
    scu.events.after_c_store(told.append)
    items = [CT_FILE, MR_FILE, dataset(3), CT_FILE, *["gone"] * look_ahead, MR_FILE]
    with FakePacs() as pacs:
        storing = scu.store_many(pacs.remote(), items, look_ahead=look_ahead)
        results = list(storing)
        pacs.wait_until_quiet()
    (was_sent, *others) = kinds(results)
    assert was_sent == SENT
    # Those that were looked at by then are told as what they are.
    assert set(others) <= {HELD_BACK, (EventKind.FILE_MISSING, False)}
    assert sorted(result.request.path for result in results) == sorted(
        "" if isinstance(item, Dataset) else item for item in items
    )
    assert [event.result for event in told] == results
    assert (next(skipping), storing.tally.stored, storing.tally.done) == (2, 1, len(items))
    assert (set(pacs.endings), len(pacs.stored)) == ({"released"}, 1)


def test_nothing_is_looked_into_behind_skip_all(scu: StoreScu, tmp_path: Path) -> None:
    scu.events.before_c_store(lambda _: StoreChange(skip=Skip.ALL))
    with FakePacs() as pacs:
        storing = scu.store_many(pacs.remote(), [CT_FILE, tmp_path / "gone", "nul\0.dcm"], look_ahead=1)
        assert kinds(storing) == [HELD_BACK] * 3
    assert (storing.tally.skipped, storing.tally.failed) == (3, 0)


def test_what_is_no_instance_is_a_mistake_behind_skip_all_too(scu: StoreScu) -> None:
    scu.events.before_c_store(lambda _: StoreChange(skip=Skip.ALL))
    with FakePacs() as pacs, pytest.raises(TypeError, match="not int"):
        list(scu.store_many(pacs.remote(), [CT_FILE, CT_FILE, 42], look_ahead=1))  # type: ignore[list-item]


def test_of_a_generator_no_more_is_taken_behind_skip_all(scu: StoreScu, skipping: Iterator[int]) -> None:
    taken = []
    with FakePacs() as pacs:
        many = (taken.append(CT_FILE) or CT_FILE for _ in range(100))  # type: ignore[func-returns-value]
        results = list(scu.store_many(pacs.remote(), many, look_ahead=4))
    assert kinds(results) == [SENT] + [HELD_BACK] * (len(taken) - 1)
    assert len(taken) <= 2 + 4


def test_what_a_generator_raised_comes_behind_skip_all_too(scu: StoreScu, skipping: Iterator[int]) -> None:
    def failing() -> Iterator[str]:
        yield from [CT_FILE] * 3
        raise LookupError("the application's own")

    results: list[StoreResult] = []
    with FakePacs() as pacs, pytest.raises(LookupError):
        results.extend(scu.store_many(pacs.remote(), failing()))
    assert kinds(results) == [SENT, HELD_BACK, HELD_BACK]


def test_all_that_is_left_of_a_folder_is_told_as_skipped(
    scu: StoreScu, folder: Path, skipping: Iterator[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gurney.pacs.store.scu.LOOK_AHEAD", 1)
    with FakePacs() as pacs:
        storing = scu.store_folder(pacs.remote(), folder)
        results = {os.path.relpath(result.request.path, folder): result for result in storing}
    assert kinds([results["zero"], results["a/two.dcm"], results["a/cut.dcm"], results["b/deep/one"]]) == [
        SENT,
        HELD_BACK,
        (EventKind.UNFIT, False),
        HELD_BACK,
    ]
    assert results["link"].event.kind is EventKind.UNFIT
    assert (storing.tally.stored, storing.tally.failed, storing.tally.done) == (1, 1, 10)


def test_one_that_is_skipped(scu: StoreScu) -> None:
    scu.events.before_c_store(lambda _: StoreChange(skip=Skip.THIS))
    with FakePacs() as pacs:
        assert kinds([scu.store(pacs.remote(), CT_FILE)]) == [HELD_BACK]
        storing = scu.store_many(pacs.remote(), iter([CT_FILE, MR_FILE]))
        assert kinds(storing) == [HELD_BACK] * 2
    assert (storing.tally.skipped, storing.tally.failed) == (2, 0)


def test_the_tally_counts_each_result_once(scu: StoreScu) -> None:
    with FakePacs() as pacs:
        pacs.on_instance(2, Respond(0xA700))
        pacs.on_instance(3, Respond(0xB007))
        storing = scu.store_many(pacs.remote(), [CT_FILE] * 4)
        sizes = [result.bytes_sent for result in storing]
    tally = storing.tally
    assert isinstance(storing, Storing)
    assert (tally.done, tally.stored, tally.failed, tally.warnings, tally.transcoded) == (4, 3, 1, 1, 0)
    assert tally.bytes_sent == sum(sizes) > 0


# --- Contexts ---------------------------------------------------------------------------------------------------------


def test_what_an_association_does_not_cover_waits_for_the_next(scu: StoreScu, tmp_path: Path) -> None:
    """A hundred and fifty private SOP classes, in turn: two associations, whatever their order."""
    classes = [f"{PRIVATE}.{number}" for number in range(150)]
    paths = instances(tmp_path, 300, classes)
    with FakePacs() as pacs:
        results = list(scu.store_many(pacs.remote(), paths))
    assert pacs.associations == 2
    assert sorted(result.request.path for result in results) == [str(path) for path in paths]
    assert all(result.is_stored for result in results)


def test_a_class_that_comes_late_costs_one_more_association(scu: StoreScu, tmp_path: Path) -> None:
    with FakePacs() as pacs:
        results = list(scu.store_many(pacs.remote(), [CT_FILE, CT_FILE, CT_FILE, MR_FILE, CT_FILE], look_ahead=2))
    assert [result.is_stored for result in results] == [True] * 5
    assert pacs.associations == 2


def test_the_look_ahead_is_checked() -> None:
    with pytest.raises(ValueError, match="look_ahead"):
        LookAhead(iter(()), 0)


@pytest.mark.peer
def test_storescp_takes_private_and_future_sop_classes_past_128_contexts(
    scu: StoreScu, storescp: StoreScp, tmp_path: Path
) -> None:
    """DCMTK in promiscuous mode accepts what it does not know."""
    classes = [*(f"{PRIVATE}.{number}" for number in range(MAX_CONTEXTS + 2)), "1.2.840.10008.5.1.4.1.1.999.1"]
    before = set(storescp.files())
    results = list(scu.store_many(remote(storescp), instances(tmp_path, len(classes), classes)))
    assert all(result.is_stored for result in results)
    arrived = {str(dcmread(path).SOPClassUID) for path in set(storescp.files()) - before}
    assert arrived == set(classes)


@pytest.mark.peer
def test_orthanc_takes_a_private_sop_class_or_refuses_it_alone(scu: StoreScu, tmp_path: Path) -> None:
    require("Orthanc")
    (private,) = instances(tmp_path, 1, [f"{PRIVATE}.1"])
    for taken, folder in [(True, "open"), (False, "strict")]:
        (tmp_path / folder).mkdir()
        with Orthanc(tmp_path / folder, settings={"UnknownSopClassAccepted": taken}) as archive:
            results = list(scu.store_many(remote(archive), [CT_FILE, private]))
            assert archive.sop_instance_uids() == {one.sop_instance_uid for one in results if one.is_stored}
        assert [one.is_stored for one in results] == [True, taken]
    assert results[1].event.kind is EventKind.NO_CONTEXT


# --- Folders ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A disk as it comes from a modality: a DICOMDIR, a viewer, links, and instances in folders."""
    top = tmp_path / "disk"
    (top / "b" / "deep").mkdir(parents=True)
    (top / "a").mkdir()
    shutil.copy(CT_FILE, top / "b" / "deep" / "one")
    shutil.copy(MR_FILE, top / "a" / "two.dcm")
    shutil.copy(CT_FILE, top / "zero")
    dicomdir = Path(str(get_testdata_file("DICOMDIR", download=False)))
    shutil.copy(dicomdir, top / "DICOMDIR")
    (top / "README.TXT").write_text("autorun" * 100)
    (top / "empty").touch()
    (top / "a" / "cut.dcm").write_bytes(Path(CT_FILE).read_bytes()[:3000])
    (top / "link").symlink_to(CT_FILE)
    (top / "again").symlink_to(top)
    os.mkfifo(top / "fifo")
    return top


def test_a_folder_and_everything_in_it_is_told(scu: StoreScu, folder: Path) -> None:
    with FakePacs() as pacs:
        storing = scu.store_folder(pacs.remote(), folder)
        results = list(storing)
    names = {os.path.relpath(result.request.path, folder): result for result in results}
    assert {name for name, result in names.items() if result.is_stored} == {"b/deep/one", "a/two.dcm", "zero"}
    skipped = {name: result.event.detail for name, result in names.items() if result.is_skipped}
    assert skipped.keys() == {"DICOMDIR", "README.TXT", "empty", "link", "again", "fifo"}
    assert skipped["DICOMDIR"].startswith("media_directory")
    assert skipped["link"] == "a symbolic link, which is not followed"
    assert skipped["fifo"] == "a FIFO, not a file"
    (failed,) = (name for name, result in names.items() if not result.is_stored and not result.is_skipped)
    assert failed == "a/cut.dcm"
    assert (storing.tally.stored, storing.tally.skipped, storing.tally.failed) == (3, 6, 1)


def test_what_is_on_its_way_into_a_folder_is_not_sent(scu: StoreScu, tmp_path: Path) -> None:
    """Not even whole: it has no name of its own yet, and its writer may yet take it back."""
    shutil.copy(CT_FILE, tmp_path / incoming_name())
    shutil.copy(CT_FILE, tmp_path / f".incoming-{'0' * 16}-of-another-host")
    shutil.copy(MR_FILE, tmp_path / "mine.incoming-1")
    with FakePacs() as pacs:
        storing = scu.store_folder(pacs.remote(), tmp_path)
        skipped = [result.event.detail for result in storing if result.is_skipped]
    assert skipped == ["an instance on its way here, not whole"] * 2
    assert (storing.tally.stored, storing.tally.skipped, len(pacs.stored)) == (1, 2, 1)


def test_a_folder_alone(scu: StoreScu, folder: Path) -> None:
    with FakePacs() as pacs:
        results = list(scu.store_folder(pacs.remote(), folder, recursive=False))
    assert [os.path.basename(result.request.path) for result in results if result.is_stored] == ["zero"]
    inner = {os.path.basename(one.request.path) for one in results if one.event.detail == "a folder in the folder"}
    assert inner == {"a", "b"}


def test_a_folder_that_is_not_there(scu: StoreScu, tmp_path: Path) -> None:
    with FakePacs() as pacs, pytest.raises(FileNotFoundError):
        list(scu.store_folder(pacs.remote(), tmp_path / "gone"))


def test_names_of_any_bytes_and_any_depth(scu: StoreScu, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["d"] * 300)
    deep.mkdir(parents=True)
    shutil.copy(CT_FILE, os.path.join(os.fsencode(deep), b"M\xfcller\n.dcm"))
    with FakePacs() as pacs:
        (result,) = scu.store_folder(pacs.remote(), tmp_path)
    assert result.is_stored


def test_a_folder_that_vanishes_is_told(scu: StoreScu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "inner").mkdir()
    listed = os.listdir

    def refuse(path: str) -> list[str]:
        if path.endswith("inner"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr("gurney.pacs.store.folders.os.listdir", refuse)
    with FakePacs() as pacs:
        (result,) = scu.store_folder(pacs.remote(), tmp_path)
    assert (result.event.kind, result.event.detail) == (EventKind.FILE_MISSING, "Permission denied")


def test_bytes_of_a_data_set_that_can_not_be_encoded(scu: StoreScu) -> None:
    spoilt = dataset()
    spoilt["PatientSex"]._value = 3.5
    spoilt.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with FakePacs() as pacs:
        result = scu.store(pacs.remote(), spoilt)
    assert result.event.kind is EventKind.UNFIT


def test_the_engine_is_required(make_requests: MakeRequests) -> None:
    DicomEngine.shutdown()
    try:
        from gurney.pacs import EngineError

        with FakePacs() as pacs, pytest.raises(EngineError):
            list(StoreScu().store_many(pacs.remote(), [CT_FILE]))
    finally:
        DicomEngine.startup()
