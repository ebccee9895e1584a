"""What comes and has no room here: on a disk that is full, and instances longer than we let a peer send."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gurney.pacs import (
    BadResponse,
    FolderFailed,
    InstanceTooLong,
    Listener,
    OperationFailed,
    QueryRetrieveScu,
    Retrieval,
    Retrieving,
    StoreScu,
    Timeouts,
    Verdict,
)
from gurney.pacs.testing import Answer, Break, FakePacs, How, Operation, Request, Respond, Retrieve, Send
from gurney.pacs.testing.answers import Step
from tests.pacs.archives import filled
from tests.pacs.conftest import CT, study_of
from tests.pacs.datasets import noise

TIMEOUTS = Timeouts(connect=5, acse=20, store=20, find=20, move=20, network=20)
NO_ROOM = 0xA700

# One study of five instances; two short ones, then three long ones.
INSTANCES = [study_of(1, size=size) for size in (100_000, 100_000, 300_000, 300_000, 300_000)]
for number, one in enumerate(INSTANCES, start=1):
    one.SOPInstanceUID = f"1.2.3.1.1.{number}"
UIDS = [str(one.SOPInstanceUID) for one in INSTANCES]
WHAT = Retrieval(study_instance_uid="1.2.3.1")


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=INSTANCES) as pacs:
        yield pacs


@contextmanager
def disk(place: Path, kilobytes: int) -> Iterator[Path]:
    """Make a folder that is a disk of its own."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    place.mkdir()
    options = f"size={kilobytes}k"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that has room for two instances, and for one on its way."""
    with disk(tmp_path / "disk", 360) as place:
        yield place


def ended(arrivals: Retrieving) -> tuple[list[str], Exception | None]:
    """Take what comes; return that, and what was raised in the end."""
    uids: list[str] = []
    try:
        for received in arrivals:
            assert received.path.is_file()
            uids.append(received.sop_instance_uid)
    except (FolderFailed, InstanceTooLong, OperationFailed, BadResponse) as error:
        return uids, error
    return uids, None


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def files(*uids: str) -> list[str]:
    return [f"{uid}.dcm" for uid in uids]


# --- A disk that fills ------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_as_ours_and_the_rest_is_cancelled(
    fast_path: bool, pacs: FakePacs, small_disk: Path
) -> None:
    heard: list[int] = []

    def sent(_: Request) -> Generator[Step, int, None]:
        for instance in INSTANCES:
            heard.append((yield Send(instance)))
            yield Respond(0xFF00)
        yield Respond(0xB000)

    pacs.on_request(Operation.C_GET, Answer(sent))
    with QueryRetrieveScu(fast_path=fast_path).associate_to_get(pacs.remote(TIMEOUTS), [CT]) as association:
        uids, error = ended(association.get(WHAT, small_disk))
        assert association.verify().is_success
    assert uids == UIDS[:2]
    assert isinstance(error, FolderFailed)
    assert isinstance(error, OSError)
    assert str(error) == (
        f"'{small_disk}' can't keep what arrives (No space left on device): make room there or name another folder, "
        "and ask again for what is missing"
    )
    assert (error.filename, error.permanent) == (str(small_disk), False)
    assert heard[:3] == [0, 0, NO_ROOM]
    assert pacs.cancels == 1
    assert names(small_disk) == files(*UIDS[:2])


@pytest.mark.parametrize("act", [Retrieve(pendings=False), None], ids=["reports nothing", "aborts"])
def test_a_full_disk_is_ours_whatever_the_peer_makes_of_it(
    fast_path: bool, pacs: FakePacs, small_disk: Path, act: Retrieve | None
) -> None:
    def indignant(_: Request) -> Generator[Step, int, None]:
        for instance in INSTANCES:
            if (yield Send(instance)):
                yield Break(How.ABORT)

    pacs.on_request(Operation.C_GET, act or Answer(indignant))
    scu = QueryRetrieveScu(fast_path=fast_path)
    uids, error = ended(scu.get(pacs.remote(TIMEOUTS), WHAT, small_disk, [CT]))
    assert isinstance(error, FolderFailed)
    assert uids == UIDS[:2]
    assert names(small_disk) == files(*UIDS[:2])


def test_a_retrieve_says_what_is_missing_on_a_full_disk(fast_path: bool, pacs: FakePacs, small_disk: Path) -> None:
    scu = QueryRetrieveScu(fast_path=fast_path)
    result = scu.retrieve(pacs.remote(TIMEOUTS), WHAT, small_disk)
    assert isinstance(result.error, FolderFailed)
    assert result.verdict is Verdict.INCOMPLETE
    assert result.reconciliation.missing == {*UIDS[2:]}


@pytest.mark.peer
@pytest.mark.parametrize("kind", ["orthanc", "dcmqrscp"])
def test_an_archive_is_not_blamed_for_a_full_disk_of_ours(fast_path: bool, tmp_path: Path, kind: str) -> None:
    scu = QueryRetrieveScu(fast_path=fast_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # Four instances of 39 kB.
    with filled(kind, tmp_path, {}) as archive, disk(tmp_path / "disk", 100) as place:
        study = archive.studies[0]
        result = scu.retrieve(archive.remote, Retrieval(study_instance_uid=study), place)
        assert isinstance(result.error, FolderFailed)
        assert {path.stem for path in place.iterdir()} == result.reconciliation.arrived
        assert 1 <= len(result.reconciliation.arrived) <= 2
        with scu.associate_to_get(archive.remote, [CT]) as association:
            _, error = ended(association.get(Retrieval(study_instance_uid=study), place))
            assert isinstance(error, FolderFailed)
            got, error = ended(association.get(Retrieval(study_instance_uid=study), elsewhere))
            assert error is None
        assert {*got} == archive.instances[study]


# --- Instances that are too long --------------------------------------------------------------------------------------


def test_what_is_too_long_is_refused_and_the_rest_comes(fast_path: bool, pacs: FakePacs, tmp_path: Path) -> None:
    scu = QueryRetrieveScu(fast_path=fast_path, max_instance_bytes=200_000)
    uids, error = ended(scu.get(pacs.remote(TIMEOUTS), WHAT, tmp_path, [CT]))
    assert isinstance(error, InstanceTooLong)
    assert str(error) == (
        "3 instances were longer than max_instance_bytes=200000 and refused: "
        "allow more and ask again for what is missing"
    )
    assert uids == UIDS[:2]
    assert names(tmp_path) == files(*uids)


def test_the_limit_is_the_last_length_that_comes(fast_path: bool, pacs: FakePacs, tmp_path: Path) -> None:
    def longest(limit: int) -> tuple[list[str], Exception | None]:
        scu = QueryRetrieveScu(fast_path=fast_path, max_instance_bytes=limit)
        return ended(scu.get(pacs.remote(TIMEOUTS), WHAT, tmp_path, [CT]))

    pacs.on_request(
        Operation.C_GET, *(Answer((Send(INSTANCES[0], dataset=noise(CT, UIDS[0], 1000)), Respond())) for _ in range(2))
    )
    uids, error = longest(999)
    assert (uids, type(error)) == ([], InstanceTooLong)
    assert longest(1000) == (UIDS[:1], None)


def test_an_instance_without_an_end_is_cut_where_there_is_a_limit(
    fast_path: bool, pacs: FakePacs, tmp_path: Path
) -> None:
    pacs.on_request(Operation.C_GET, Answer((Send(INSTANCES[0], endless=bytes(1 << 16)),)))
    scu = QueryRetrieveScu(fast_path=fast_path, max_instance_bytes=1 << 20)
    uids, error = ended(scu.get(pacs.remote(TIMEOUTS), WHAT, tmp_path, [CT]))
    assert uids == []
    assert isinstance(error, BadResponse)
    assert "without an end" in str(error)
    assert names(tmp_path) == []


def test_a_listener_refuses_what_is_too_long(tmp_path: Path) -> None:
    with Listener("SELF", tmp_path, max_instance_bytes=200_000) as listener, FakePacs(holdings=INSTANCES) as pacs:
        pacs.know("SELF", listener.port)
        moving = QueryRetrieveScu().move_to_self(pacs.remote(TIMEOUTS), WHAT, listener)
        uids, error = ended(moving)
        assert isinstance(error, InstanceTooLong)
        assert (error.count, error.limit) == (3, 200_000)
        assert moving.progress is not None
        assert (moving.progress.completed, moving.progress.failed) == (2, 3)
        here = FakePacs(ae_title="SELF", port=listener.port).remote(TIMEOUTS)
        (result,) = StoreScu().store_many(here, [INSTANCES[2]])
    assert result.status == NO_ROOM
    assert uids == UIDS[:2]
    assert names(tmp_path) == files(*uids)


def test_a_listener_whose_disk_is_full_says_so_to_whoever_moves(
    fast_path: bool, pacs: FakePacs, small_disk: Path
) -> None:
    with Listener("SELF", small_disk, fast_path=fast_path) as listener:
        pacs.know("SELF", listener.port)
        result = QueryRetrieveScu().retrieve(pacs.remote(TIMEOUTS), WHAT, listener)
    assert isinstance(result.error, FolderFailed)
    assert "No space left on device" in str(result.error)
    assert (result.verdict, result.reconciliation.arrived) == (Verdict.INCOMPLETE, frozenset(UIDS[:2]))
    assert names(small_disk) == files(*UIDS[:2])


def test_what_had_arrived_is_given_out_before_the_failure_that_the_peer_answers(tmp_path: Path) -> None:
    def two_of_five(_: Request) -> Iterator[Step]:
        yield Send(INSTANCES[0])
        yield Send(INSTANCES[1])
        yield Respond(0xC000)

    with Listener("SELF", tmp_path) as listener, FakePacs(holdings=INSTANCES) as pacs:
        pacs.know("SELF", listener.port)
        pacs.on_request(Operation.C_MOVE, Answer(two_of_five))
        uids, error = ended(QueryRetrieveScu().move_to_self(pacs.remote(TIMEOUTS), WHAT, listener))
    assert isinstance(error, OperationFailed)
    assert uids == UIDS[:2]


def test_a_listener_cuts_an_instance_without_an_end(tmp_path: Path) -> None:
    with Listener("SELF", tmp_path, max_instance_bytes=1 << 20) as listener, FakePacs(holdings=INSTANCES) as pacs:
        pacs.know("SELF", listener.port)
        pacs.on_request(Operation.C_MOVE, Retrieve(each=Send(endless=bytes(1 << 16))))
        moving = QueryRetrieveScu().move_to_self(pacs.remote(TIMEOUTS), WHAT, listener)
        with pytest.raises(OperationFailed):
            list(moving)
        assert moving.progress is not None
        assert moving.progress.failed == len(INSTANCES)
    assert names(tmp_path) == []


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "1"])
def test_a_limit_is_a_number_of_bytes(limit: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="max_instance_bytes must be"):
        QueryRetrieveScu(max_instance_bytes=limit)
    with pytest.raises(ValueError, match="max_instance_bytes must be"):
        Listener("SELF", tmp_path, max_instance_bytes=limit)
