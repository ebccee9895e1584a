"""The examples of the page on retrieves run, against an archive that we did not write."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gurney.pacs import DicomEngine
from tests.pacs.archives import Archive, filled
from tests.test_documentation import ROOT, fences

RETRIEVE, STOP, RAW = fences(ROOT / "docs/how-to/find-and-retrieve.md", "python")


def of(archive: Archive, example: str) -> str:
    """Have an example ask this archive."""
    own = {'"ORTHANC"': '"DCMQRSCP"', "4242": str(archive.remote.port), '"1.2.3"': f'"{archive.studies[0]}"'}
    for shown, true in own.items():
        example = example.replace(shown, true)
    return example


@pytest.mark.peer
def test_the_example_of_a_retrieve_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with DicomEngine(), filled("dcmqrscp", tmp_path, {}) as archive:
        exec(of(archive, RETRIEVE), {})
    assert capsys.readouterr().out == "complete 4 arrived\n"
    assert {path.stem for path in (tmp_path / "here").iterdir()} == archive.instances[archive.studies[0]]


class AtOnce:
    """A timer whose time is over when it is started."""

    def __init__(self, _seconds: float, act: Callable[[], None]) -> None:
        self.start = act


@pytest.mark.peer
def test_the_example_of_stopping_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(threading, "Timer", AtOnce)
    with DicomEngine(), filled("dcmqrscp", tmp_path, {}) as archive:
        exec(of(archive, STOP), {})
    assert capsys.readouterr().out == "cancelled\nTrue unproven\n"
    assert [*(tmp_path / "here").iterdir()] == []


@pytest.mark.peer
def test_the_example_of_an_own_identifier_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DicomEngine(), filled("dcmqrscp", tmp_path, {}) as archive:
        exec(of(archive, RAW), {})
    assert capsys.readouterr().out == "STUDY P0\n" * 2
