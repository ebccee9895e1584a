"""What is seen of a folder, and what never is."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from gurney.pacs.wire.leftovers import incoming_name
from gurney_daemon.ingest.scan import Folder
from gurney_daemon.ingest.signature import Signature
from tests.daemon.ingest.instances import drop


def seen(folder: Folder, at_once: int = 500) -> set[bytes]:
    return {sight.path for chunk in folder.look_through(at_once) for sight in chunk}


def test_files_are_seen_with_their_signatures_at_every_depth(tmp_path: Path) -> None:
    paths = [drop(tmp_path, name, b"x") for name in ("1", "a/2", "a/b/c/3")]
    sights = {sight.path: sight.signature for chunk in Folder(str(tmp_path)).look_through() for sight in chunk}
    assert sights == {os.fsencode(path): Signature.of(path.lstat()) for path in paths}


def test_without_recursion_only_the_top_is_seen(tmp_path: Path) -> None:
    top = drop(tmp_path, "1", b"x")
    inner = drop(tmp_path, "a/2", b"x")
    folder = Folder(str(tmp_path), recursive=False)
    assert seen(folder) == {os.fsencode(top)}
    assert folder.look_at([os.fsencode(inner)]) == []


def test_links_pipes_sockets_and_linked_folders_are_never_seen(tmp_path: Path) -> None:
    outside = drop(tmp_path, "outside/secret", b"x")
    watched = tmp_path / "watched"
    watched.mkdir()
    os.symlink(outside, watched / "link")
    os.symlink(outside.parent, watched / "folder")
    os.mkfifo(watched / "pipe")
    folder = Folder(str(watched))
    assert seen(folder) == set()
    names = [b"link", b"pipe", b"folder/secret", b"../outside/secret"]
    assert folder.look_at([os.fsencode(watched) + b"/" + name for name in names]) == []
    assert folder.look_at([os.fsencode(outside)]) == []


def test_a_folder_swapped_for_a_link_while_we_look_is_not_followed(tmp_path: Path) -> None:
    secret = drop(tmp_path, "outside/secret", b"x")
    watched = tmp_path / "watched"
    top, inner = drop(watched, "top", b"x"), drop(watched, "inner/1", b"x")
    scan = Folder(str(watched)).look_through()
    assert [sight.path for sight in next(scan)] == [os.fsencode(top)]
    inner.unlink()
    inner.parent.rmdir()
    inner.parent.symlink_to(secret.parent)
    assert list(scan) == []


def test_ignored_names_are_not_seen_by_scan_or_hint(tmp_path: Path) -> None:
    ignore = ("*.tmp", "~*", "DICOMDIR")
    unwanted = [drop(tmp_path, name, b"x") for name in ("a.tmp", "~x", "DICOMDIR", "study.tmp/1", ".gurney-trash/9/1")]
    unwanted.append(drop(tmp_path, incoming_name(), b"x"))
    wanted = drop(tmp_path, "a.tmp.dcm", b"x")
    folder = Folder(str(tmp_path), ignore=ignore)
    assert seen(folder) == {os.fsencode(wanted)}
    assert folder.look_at([os.fsencode(path) for path in unwanted]) == []


@pytest.mark.parametrize(
    "name", [b"new\nline", b"\xff\xfe not utf-8", "\U0001f4a9".encode(), b"n" * 255, b"$(rm -rf) '\";&|*", b" "]
)
def test_any_name_is_a_name(tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(tmp_path) + b"/" + name
    with open(path, "wb") as file:
        file.write(b"x")
    folder = Folder(str(tmp_path))
    assert seen(folder) == {path}
    assert [sight.path for sight in folder.look_at([path])] == [path]


def test_chunks_are_as_long_as_asked_for(tmp_path: Path) -> None:
    for number in range(25):
        drop(tmp_path, f"{number}", b"")
    chunks = list(Folder(str(tmp_path)).look_through(10))
    assert [len(chunk) for chunk in chunks] == [10, 10, 5]


def test_with_a_marker_each_folder_waits_for_its_own(tmp_path: Path) -> None:
    drop(tmp_path, "one/1", b"x")
    ready = drop(tmp_path, "two/2", b"x")
    drop(tmp_path, "two/DONE", b"")
    folder = Folder(str(tmp_path), marker="DONE")
    assert seen(folder) == {os.fsencode(ready)}
    assert folder.look_at([os.fsencode(tmp_path / "one/1")]) == []
    assert [sight.path for sight in folder.look_at([os.fsencode(ready)])] == [os.fsencode(ready)]


def test_a_folder_that_is_not_there_is_an_error_and_not_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        seen(Folder(str(tmp_path / "nowhere")))


def test_what_could_not_be_looked_at_is_told_and_the_rest_is_seen(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(70):
        deep = deep / "d"
        deep.mkdir()
    drop(deep, "unreachable", b"x")
    top = drop(tmp_path, "top", b"x")
    folder = Folder(str(tmp_path))
    assert seen(folder) == {os.fsencode(top)}
    assert [problem.errno for problem in folder.problems] == [errno.ELOOP]


def test_no_descriptor_is_left_when_a_scan_is_broken_off(tmp_path: Path) -> None:
    for number in range(30):
        drop(tmp_path, f"a/b/{number}", b"x")
    before = os.listdir("/proc/self/fd")
    scan = Folder(str(tmp_path)).look_through(10)
    next(scan)
    scan.close()
    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_empty_is_without_what_we_put_there_ourselves(tmp_path: Path) -> None:
    drop(tmp_path, ".gurney-trash/2026/1", b"x")
    folder = Folder(str(tmp_path))
    assert folder.is_empty()
    drop(tmp_path, "a/b", b"")
    assert not folder.is_empty()
