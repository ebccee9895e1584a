"""What archives that we did not write do with a C-CANCEL, both ways on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gurney.pacs import (
    PATIENT_ROOT,
    DicomEngine,
    Listener,
    PatientRootQuery,
    QueryRetrieveScu,
    Retrieval,
    SubOperations,
)
from gurney.pacs.events import AfterCGet, AfterCMove
from tests.pacs.archives import Archive, filled
from tests.pacs.conftest import CT
from tests.services.ports import free_port

pytestmark = [
    pytest.mark.peer,
    # pydicom's words on what tiny-pacs calls a character set.
    pytest.mark.filterwarnings("ignore:Incorrect value for Specific Character Set:UserWarning"),
    pytest.mark.filterwarnings("ignore:Invalid value for VR CS:UserWarning"),
]

TITLE = "GURNEY_QR"
CANCELLED = 0xFE00
DONE_ALREADY = "all matches that a test has are on their way before it can hear of it; the association goes on"
DEAF = "sends the rest all the same"
CLOSES = "closes the connection in place of an answer"


@pytest.fixture(scope="module")
def own_port() -> int:
    return free_port()


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp", "tiny-pacs"])
def archive(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, own_port: int
) -> Iterator[Archive]:
    with (
        DicomEngine(),
        filled(request.param, tmp_path_factory.mktemp(request.param), {TITLE: own_port}) as archive,
    ):
        yield archive


@pytest.fixture
def scu(fast_path: bool) -> QueryRetrieveScu:
    return QueryRetrieveScu(TITLE, fast_path=fast_path)


@pytest.mark.seen("C-CANCEL of a C-GET")
@pytest.mark.seen("C-CANCEL of a C-GET", at="tiny-pacs", remark=CLOSES)
def test_a_get_ends_and_what_came_is_here(scu: QueryRetrieveScu, archive: Archive, tmp_path: Path) -> None:
    what, reports = Retrieval(study_instance_uid=archive.studies[0]), list[SubOperations]()
    with scu.associate_to_get(archive.remote, [CT]) as association:

        @scu.events.after_c_get
        def one_is_enough(event: AfterCGet) -> None:
            reports.append(event.progress)
            association.cancel()

        got = [received.sop_instance_uid for received in association.get(what, tmp_path)]
        goes_on = association.is_usable and association.verify().is_success
    assert 1 <= len(got) < len(archive.instances[archive.studies[0]])
    assert {*got} <= archive.instances[archive.studies[0]]
    assert {path.stem for path in tmp_path.iterdir()} == {*got}
    assert (goes_on, reports[-1].status == CANCELLED) == ((False, False) if is_tiny(archive) else (True, True))


@pytest.mark.seen("C-CANCEL of a C-MOVE")
@pytest.mark.seen("C-CANCEL of a C-MOVE", at="tiny-pacs", remark=DEAF)
def test_a_move_ends_and_what_came_is_here(
    scu: QueryRetrieveScu, archive: Archive, tmp_path: Path, own_port: int
) -> None:
    what, reports = Retrieval(study_instance_uid=archive.studies[0]), list[SubOperations]()
    with Listener(TITLE, tmp_path, port=own_port) as listener, scu.associate_for(archive.remote) as association:

        @scu.events.after_c_move
        def one_is_enough(event: AfterCMove) -> None:
            reports.append(event.progress)
            association.cancel()

        moving = association.move_to_self(what, listener)
        got = [received.sop_instance_uid for received in moving]
        assert association.verify().is_success
    held = archive.instances[archive.studies[0]]
    # It may have sent the last one, or all of them, before it heard; one of these never hears.
    if is_tiny(archive) or reports[-1].status == 0x0000:
        assert (reports[-1].status, {*got}) == (0x0000, held)
    else:
        assert reports[-1].status == CANCELLED
        assert got
        assert {*got} <= held
    assert {path.stem for path in tmp_path.iterdir()} == {*got}


@pytest.mark.seen("C-CANCEL of a C-FIND", remark=DONE_ALREADY)
def test_a_search_ends_and_the_association_goes_on(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        search = association.find(PatientRootQuery())
        next(search)
        association.cancel()
        assert len(list(search)) <= 1
        assert search.status in {0x0000, CANCELLED}
        assert association.verify().is_success


@pytest.mark.seen("C-CANCEL of a C-GET")
@pytest.mark.seen("C-CANCEL of a C-GET", at="tiny-pacs", remark=CLOSES)
def test_a_stream_s_own_cancel_ends_a_get_from_another_thread(
    scu: QueryRetrieveScu, archive: Archive, tmp_path: Path
) -> None:
    what = Retrieval(study_instance_uid=archive.studies[0])
    arrivals = scu.get(archive.remote, what, tmp_path, [CT])
    with ThreadPoolExecutor(1) as other:

        @scu.events.after_c_get
        def one_is_enough(event: AfterCGet) -> None:
            if not arrivals.is_cancelled:
                other.submit(arrivals.cancel).result()

        got = {received.sop_instance_uid for received in arrivals}
    assert arrivals.is_cancelled
    assert arrivals.progress is not None
    assert arrivals.progress.status in ({0xFF00} if is_tiny(archive) else {CANCELLED})
    assert 1 <= len(got) < len(archive.instances[archive.studies[0]])
    assert {path.stem for path in tmp_path.iterdir()} == got


def test_a_stream_s_own_cancel_ends_a_search_and_says_so(scu: QueryRetrieveScu, archive: Archive) -> None:
    with scu.associate_for(archive.remote, PATIENT_ROOT) as association:
        search = association.find(PatientRootQuery())
        next(search)
        search.cancel()
        assert list(search) == []
        assert (search.is_cancelled, search.is_complete) == (True, False)
        assert search.status in {0x0000, CANCELLED}
        assert association.verify().is_success


def is_tiny(archive: Archive) -> bool:
    return archive.remote.ae_title == "TINY_PACS"
