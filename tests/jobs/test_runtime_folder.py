"""The folder of the broker's socket: short, private, and not to be taken by another."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.jobs.errors import RuntimeFolderError
from gurney.jobs.runtime_folder import MOST_PATH_BYTES, open_runtime_folder

NAME = "broker.sock"


@pytest.fixture
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    base = tmp_path_factory.mktemp("run")
    yield base
    shutil.rmtree(base)


def test_it_is_ours_alone_and_found_again(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    folder = open_runtime_folder("/srv/gurney", NAME)
    assert os.path.dirname(folder) == str(base)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert open_runtime_folder("/srv/../srv/gurney", NAME) == folder
    assert open_runtime_folder("/srv/other", NAME) != folder


def test_systemd_says_first(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/tmp")
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{base}:/run/another")
    assert os.path.dirname(open_runtime_folder("/srv/gurney", NAME)) == str(base)


@pytest.mark.parametrize("useless", ["", "relative", "/nowhere/at/all"])
def test_a_useless_hint_is_passed_over(useless: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", useless)
    folder = open_runtime_folder(str(tmp_path), NAME)
    try:
        assert os.path.dirname(folder) == "/tmp"
    finally:
        os.rmdir(folder)


def test_a_hint_that_is_too_long_for_a_socket_is_passed_over(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = base / ("é" * 40)  # characters that are two bytes each: bytes are what counts
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    folder = open_runtime_folder(str(base), NAME)
    try:
        assert len(os.fsencode(os.path.join(folder, NAME))) <= MOST_PATH_BYTES
    finally:
        os.rmdir(folder)


@pytest.fixture
def taken(base: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The name that would be used, free again."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base))
    folder = Path(open_runtime_folder("/srv/gurney", NAME))
    folder.rmdir()
    return folder


def test_a_folder_open_to_others_is_refused(taken: Path) -> None:
    taken.mkdir()
    taken.chmod(0o710)
    with pytest.raises(RuntimeFolderError, match="open to others"):
        open_runtime_folder("/srv/gurney", NAME)


def test_a_link_is_refused_wherever_it_leads(taken: Path, base: Path) -> None:
    target = base / "target"
    target.mkdir(mode=0o700)
    taken.symlink_to(target)
    with pytest.raises(RuntimeFolderError, match="not a folder"):
        open_runtime_folder("/srv/gurney", NAME)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
def test_a_folder_of_another_user_is_refused_with_a_remedy(taken: Path) -> None:
    taken.mkdir(mode=0o700)
    os.chown(taken, 65534, 65534)
    with pytest.raises(RuntimeFolderError, match=r"belongs to user 65534.*XDG_RUNTIME_DIR"):
        open_runtime_folder("/srv/gurney", NAME)
