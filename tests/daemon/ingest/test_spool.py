"""Holding files so that nobody can take them away, and finding what a crash left half done."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from gurney.dicom.content import dataset_digest
from gurney.ledger.database import Ledger
from gurney.ledger.errors import SpoolMismatch
from gurney.ledger.spools import MARKER, known_spools
from gurney_daemon.ingest import cloning
from gurney_daemon.ingest import spool as spool_module
from gurney_daemon.ingest.errors import SpoolOffline
from gurney_daemon.ingest.spool import Group, Shelf, Spool, find_spool, open_spool
from tests.daemon.ingest.instances import drop


def hold(group: Group, path: Path, number: int = 0, **how: bool | int) -> spool_module.Held:
    fd = os.open(path, os.O_RDONLY)
    try:
        return group.hold(number, fd, **how)  # type: ignore[arg-type]
    finally:
        os.close(fd)


def content(spool: Spool, held: spool_module.Held) -> bytes:
    return Path(os.fsdecode(spool.path_of(held.spool_path))).read_bytes()


def test_a_spool_that_is_there_is_found_and_none_is_made(ledger: Ledger, tmp_path: Path) -> None:
    path = str(tmp_path / "spool")
    with pytest.raises(SpoolOffline, match="is not the spool 'main'"):
        find_spool(ledger, "main", path)
    assert not (tmp_path / "spool").exists()
    made = open_spool(ledger, "main", path)
    assert find_spool(ledger, "main", path).place == made.place
    with pytest.raises(SpoolOffline):
        find_spool(ledger, "other", path)
    with ledger.read() as conn:
        assert known_spools(conn) == [made.place]


def test_the_first_use_makes_a_spool_and_the_next_finds_it(either_ledger: Ledger, tmp_path: Path) -> None:
    first = open_spool(either_ledger, "main", str(tmp_path / "spool"))
    again = open_spool(either_ledger, "main", str(tmp_path / "spool"))
    assert first.place == again.place
    assert first.place.is_readable()
    with either_ledger.read() as conn:
        assert known_spools(conn) == [first.place]


def test_a_crash_between_marker_and_row_is_made_good(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / MARKER).write_text("a-marker\n")
    assert open_spool(ledger, "main", str(tmp_path / "spool")).place.marker == "a-marker"


def test_a_spool_that_was_moved_keeps_its_identity(ledger: Ledger, tmp_path: Path) -> None:
    first = open_spool(ledger, "main", str(tmp_path / "spool"))
    (tmp_path / "spool").rename(tmp_path / "other")
    moved = open_spool(ledger, "main", str(tmp_path / "other"))
    assert moved.id == first.id
    with ledger.read() as conn:
        assert known_spools(conn)[0].path == str(tmp_path / "other")


def test_a_folder_without_its_marker_is_no_spool(ledger: Ledger, tmp_path: Path) -> None:
    open_spool(ledger, "main", str(tmp_path / "spool"))
    (tmp_path / "spool" / MARKER).unlink()
    with pytest.raises(SpoolOffline, match="is its disk mounted"):
        open_spool(ledger, "main", str(tmp_path / "spool"))
    assert not (tmp_path / "spool" / MARKER).exists()


def test_another_spool_under_the_same_name_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    open_spool(ledger, "main", str(tmp_path / "spool"))
    open_spool(ledger, "second", str(tmp_path / "other"))
    with pytest.raises(SpoolMismatch, match="another name"):
        open_spool(ledger, "main", str(tmp_path / "other"))


@pytest.mark.usefixtures("no_clones")
def test_a_link_is_the_same_file_and_survives_the_original(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path)
    assert os.path.samefile(spool.path_of(held.spool_path), path)
    assert (held.mtime_ns, held.digest) == (path.stat().st_mtime_ns, None)
    path.unlink()
    assert content(spool, held) == b"content"
    group.close(committed=True)


def test_a_clone_comes_before_a_link_and_is_a_file_of_our_own(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clone(out: int, _request: int, fd: int) -> int:
        return os.write(out, os.pread(fd, 4096, 0))

    monkeypatch.setattr(fcntl, "ioctl", clone)
    path = drop(tmp_path, "1", b"content")
    os.utime(path, ns=(5, 5))
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path)
    path.write_bytes(b"written into")
    assert content(spool, held) == b"content"
    assert held.mtime_ns == os.stat(spool.path_of(held.spool_path)).st_mtime_ns != 5
    group.close(committed=True)


@pytest.mark.parametrize(("why", "asked"), [(errno.EOPNOTSUPP, 1), (errno.EXDEV, 2), (errno.EPERM, 2)])
def test_what_can_not_be_cloned_is_linked_and_a_filesystem_that_never_clones_is_asked_once(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int, asked: int
) -> None:
    calls: list[int] = []

    def refuse(_out: int, request: int, _fd: int) -> None:
        calls.append(request)
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(fcntl, "ioctl", refuse)
    path = drop(tmp_path, "1", b"content")
    shelf = Shelf(spool, "ct1")
    for _ in range(2):
        group = shelf.open_group([os.fsencode(path)])
        held = hold(group, path)
        assert os.path.samefile(spool.path_of(held.spool_path), path)
        assert not list(Path(spool.place.path).rglob("*.part"))
        group.close(committed=True)
    assert calls == [cloning.FICLONE] * asked


def test_a_disk_too_full_to_clone_leaves_nothing(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(fcntl, "ioctl", full)
    path = drop(tmp_path, "1", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    with pytest.raises(SpoolOffline, match="No space left"):
        hold(group, path)
    group.close(committed=True)
    assert not list(Path(spool.place.path).rglob("*.part"))


def test_a_real_clone_does_not_change_with_the_original(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"content" * 10_000)
    with open(path, "rb") as original, open(tmp_path / "clone", "wb") as probe:
        if not cloning.Cloner().clone(original.fileno(), probe.fileno()):
            pytest.skip("the filesystem of the tests can't clone files")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path)
    path.write_bytes(b"written into")
    assert content(spool, held) == b"content" * 10_000
    group.close(committed=True)


def test_a_copy_has_the_digest_of_its_data_set(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", os.urandom(3 * 1024 * 1024 + 17))
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path, dataset_offset=1024 * 1024 + 5, link=False)
    assert content(spool, held) == path.read_bytes()
    assert not os.path.samefile(spool.path_of(held.spool_path), path)
    fd = os.open(path, os.O_RDONLY)
    assert held.digest == dataset_digest(fd, 1024 * 1024 + 5)
    os.close(fd)
    assert held.mtime_ns == os.stat(spool.path_of(held.spool_path)).st_mtime_ns
    group.close(committed=True)


@pytest.mark.usefixtures("no_clones")
@pytest.mark.parametrize("why", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP])
def test_where_no_link_can_be_a_copy_is_made(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    path = drop(tmp_path, "1", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    monkeypatch.setattr(spool_module.os, "link", refuse)
    held = hold(group, path)
    assert held.digest is not None
    assert content(spool, held) == b"content"
    group.close(committed=True)


def test_a_file_deleted_while_it_is_open_is_held_all_the_same(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    fd = os.open(path, os.O_RDONLY)
    path.unlink()
    held = group.hold(0, fd)
    os.close(fd)
    assert content(spool, held) == b"content"
    group.close(committed=True)


def test_a_programs_preamble_is_blanked_on_a_copy(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"MZ" + b"\x90" * 126 + b"DICM" + b"data set")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path, dataset_offset=132, blank_preamble=True)
    assert content(spool, held) == bytes(128) + b"DICM" + b"data set"
    assert path.read_bytes().startswith(b"MZ")
    group.close(committed=True)


@pytest.mark.usefixtures("no_clones")
@pytest.mark.parametrize("call", ["link", "fsync", "rename"])
def test_a_full_disk_leaves_no_half_file_and_the_original_alone(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = drop(tmp_path, "1", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(spool_module.os, call, full)
    with pytest.raises(SpoolOffline, match="No space left"):
        hold(group, path, link=call == "link")
    monkeypatch.undo()
    group.close(committed=False)
    (leftover,) = list(Shelf(spool, "ct1").leftovers())
    assert list(leftover.held()) == []
    assert path.read_bytes() == b"content"
    files = [name for _, _, names in os.walk(spool.place.path) for name in names]
    assert sorted(name for name in files if name != MARKER) == [os.path.basename(leftover._note)]


def test_names_in_the_spool_say_nothing_of_the_file(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "Zebrowski_Quirin.dcm", b"content")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    held = hold(group, path)
    assert "Zebrowski" not in held.spool_path
    assert len(held.spool_path) <= 255
    group.close(committed=True)


def test_a_committed_group_leaves_no_note_and_another_leaves_what_it_held(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "\udcff.dcm".encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape"), b"x")
    raw = os.fsencode(path)
    shelf = Shelf(spool, "ct1")
    done = shelf.open_group([raw])
    hold(done, path)
    done.close(committed=True)
    assert list(shelf.leftovers()) == []
    broken = shelf.open_group([b"/never/held", raw])
    held = hold(broken, path, 1)
    broken.close(committed=False)
    (leftover,) = list(shelf.leftovers())
    assert list(leftover.held()) == [(raw, held.spool_path)]
    leftover.close()
    assert list(shelf.leftovers()) == []


def test_a_group_that_is_being_written_is_nobodys_leftover(spool: Spool, tmp_path: Path) -> None:
    path = drop(tmp_path, "1", b"x")
    group = Shelf(spool, "ct1").open_group([os.fsencode(path)])
    assert list(Shelf(spool, "ct1").leftovers()) == []
    group.close(committed=False)
    assert len(list(Shelf(spool, "ct1").leftovers())) == 1


def test_a_note_that_was_never_finished_is_dropped(spool: Spool, tmp_path: Path) -> None:
    group = Shelf(spool, "ct1").open_group([b"/a"])
    group.close(committed=False)
    notes = Path(spool.place.path) / "ct1/open"
    (note,) = notes.iterdir()
    note.write_bytes(note.read_bytes()[:5])
    assert list(Shelf(spool, "ct1").leftovers()) == []
    assert list(notes.iterdir()) == []


def test_folders_of_the_spool_stay_small(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "_PER_FOLDER", 4)
    path = drop(tmp_path, "1", b"x")
    shelf = Shelf(spool, "ct1")
    folders = set()
    for _ in range(4):
        group = shelf.open_group([os.fsencode(path)] * 2)
        folders.add(os.path.dirname(hold(group, path).spool_path))
        group.close(committed=True)
    assert len(folders) == 2


def test_nothing_is_held_in_a_spool_whose_disk_has_gone(spool: Spool, tmp_path: Path) -> None:
    (Path(spool.place.path) / MARKER).unlink()
    with pytest.raises(SpoolOffline, match="marker"):
        Shelf(spool, "ct1").open_group([b"/a"])


def test_full_is_by_share_or_by_size(ledger: Ledger, tmp_path: Path) -> None:
    path = str(tmp_path / "spool")
    assert not open_spool(ledger, "main", path).is_full()
    assert open_spool(ledger, "main", path, keep_share=0.9999).is_full()
    assert open_spool(ledger, "main", path, keep_bytes=1 << 60).is_full()
