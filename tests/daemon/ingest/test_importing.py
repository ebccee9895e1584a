"""Files by command: the same checks, one destination, an answer for each."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import structlog

from gurney.ledger.database import Ledger
from gurney.transfer.states import FileState, Priority
from gurney_daemon.ingest import importing
from gurney_daemon.ingest.errors import NoSuchDestination, SpoolOffline
from gurney_daemon.ingest.importing import Imported, import_paths
from gurney_daemon.ingest.spool import Shelf, Spool, open_spool
from tests.daemon.ingest.instances import ct_bytes, drop
from tests.daemon.ingest.site import Site

UID = "1.2.9"


@pytest.fixture
def site(either_ledger: Ledger, tmp_path: Path) -> Iterator[Site]:
    site = Site(either_ledger, open_spool(either_ledger, "main", str(tmp_path / "spool")), tmp_path / "ct1")
    yield site
    site.close()


def send(
    site: Site, paths: Sequence[Path], to: str = "archive", priority: Priority = Priority.ROUTINE
) -> dict[bytes, Imported]:
    groups = import_paths(
        [str(path) for path in paths],
        to,
        ledger=site.ledger,
        spool=site.spool,
        ring=site.ring,
        actor="anna",
        priority=priority,
    )
    return {one.path: one for group in groups for one in group}


def test_files_and_folders_are_taken_as_they_are(site: Site) -> None:
    files = [drop(site.folder, name) for name in ("a/1", "a/b/2", "3")]
    answers = send(site, [site.folder / "a", files[2]], priority=Priority.STAT)
    assert {path: answer.outcome for path, answer in answers.items()} == {
        os.fsencode(path): "accepted" for path in files
    }
    assert [item.priority for item in site.items()] == [Priority.STAT] * 3
    assert {file.door for file in site.files()} == {"import"}
    assert {bell.lane for bell in site.bells} == {"stat"}


def test_what_is_refused_is_said_and_not_kept(site: Site) -> None:
    index = ct_bytes().replace(b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.1.3.10".ljust(26, b"\0"))
    paths = [
        drop(site.folder, "text", b"no image" * 40),
        drop(site.folder, "cut", ct_bytes()[:500]),
        drop(site.folder, "index", index),
        drop(site.folder, "good"),
        site.folder / "missing",
    ]
    answers = send(site, paths)
    assert {os.path.basename(path): (answer.outcome, answer.reason) for path, answer in answers.items()} == {
        b"text": ("refused", "not_dicom"),
        b"cut": ("refused", "truncated"),
        b"index": ("ignored", "media_directory"),
        b"good": ("accepted", ""),
        b"missing": ("refused", "unreadable"),
    }
    assert len(site.files()) == 1
    held = [path for path in (Path(site.spool.place.path) / "send").rglob("*") if path.is_file()]
    assert len(held) == 1


def test_sending_again_adds_nothing_and_another_destination_gets_its_own(site: Site) -> None:
    path = drop(site.folder, "1")
    send(site, [path])
    (answer,) = send(site, [path]).values()
    assert answer.outcome == "known"
    assert len(site.items()) == 1
    send(site, [path], to="research")
    assert len(site.items()) == 2
    assert len(site.instances()) == 1


def test_what_a_watched_folder_brought_is_known(site: Site) -> None:
    path = drop(site.folder, "1")
    site.start()
    site.wait_for_files(1, FileState.ACCEPTED)
    (answer,) = send(site, [path]).values()
    assert answer.outcome == "known"
    assert len(site.items()) == 1


def test_a_conflict_is_said_and_nothing_written(site: Site) -> None:
    send(site, [drop(site.folder, "1", ct_bytes(sop_instance_uid=UID))])
    path = drop(site.folder, "2", ct_bytes(sop_instance_uid=UID, pixels=b"\x07\x07" * 64))
    (answer,) = send(site, [path]).values()
    assert (answer.outcome, answer.reason) == ("refused", "conflict")
    assert UID in answer.detail
    assert len(site.files()) == 1


def test_one_uid_twice_in_a_folder_is_taken_once_and_known_once(site: Site) -> None:
    content = ct_bytes(sop_instance_uid=UID)
    drop(site.folder, "1", content), drop(site.folder, "2", content)
    answers = send(site, [site.folder])
    assert sorted(answer.outcome for answer in answers.values()) == ["accepted", "known"]


def test_more_than_one_group(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_AT_ONCE", 3)
    for number in range(10):
        drop(site.folder, f"{number}")
    assert len(send(site, [site.folder])) == 10
    assert len(site.items()) == 10


def test_a_destination_that_nobody_knows_is_refused_before_anything_is_done(site: Site) -> None:
    with pytest.raises(NoSuchDestination, match="'nowhere'"):
        send(site, [drop(site.folder, "1")], to="nowhere")
    assert site.files() == []


def test_a_full_spool_takes_nothing(site: Site) -> None:
    site.spool = Spool(site.spool.place, keep_bytes=1 << 60)
    with pytest.raises(SpoolOffline):
        send(site, [drop(site.folder, "1")])
    assert site.files() == []


def test_what_an_import_left_when_it_was_broken_off_is_cleared_by_the_next(site: Site) -> None:
    path = drop(site.folder, "1")
    group = Shelf(site.spool, importing.SOURCE).open_group([os.fsencode(path)])
    fd = os.open(path, os.O_RDONLY)
    held = group.hold(0, fd)
    os.close(fd)
    group.close(committed=False)
    send(site, [path])
    assert not os.path.exists(site.spool.path_of(held.spool_path))
    assert len(site.files(FileState.ACCEPTED)) == 1


def test_a_copy_whose_file_has_gone_is_kept_for_whoever_asks(site: Site) -> None:
    gone, there = drop(site.folder, "1"), drop(site.folder, "2")
    shelf = Shelf(site.spool, importing.SOURCE)
    group = shelf.open_group([os.fsencode(gone), os.fsencode(there)])
    held = []
    for number, path in enumerate((gone, there)):
        fd = os.open(path, os.O_RDONLY)
        held.append(group.hold(number, fd).spool_path)
        os.close(fd)
    group.close(committed=False)
    gone.unlink()
    for _ in range(2):
        with structlog.testing.capture_logs() as logged:
            send(site, [there])
        (line,) = [line for line in logged if line["event"] == "import_leaves_last_copies"]
        assert line["files"] == [held[0]]
    assert [os.path.exists(site.spool.path_of(name)) for name in held] == [True, False]
    (leftover,) = shelf.leftovers()
    assert [name for _, name in leftover.held()] == [held[0]]
