"""The examples of the page on retrieves run, against an archive that we did not write."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from gurney.pacs import DicomEngine, StoreScu
from gurney.pacs.testing import FakePacs
from tests.pacs.archives import Archive, filled
from tests.test_documentation import ROOT, fences

PAGE = ROOT / "docs/how-to/find-and-retrieve.md"
RETRIEVE, STOP, OWN, RAW = fences(PAGE, "python")


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
def test_the_example_of_an_own_query_class_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DicomEngine(), filled("orthanc", tmp_path, {}) as archive:
        instance = dcmread(next(tmp_path.glob("*.dcm")))
        instance.StudyInstanceUID, instance.SOPInstanceUID = archive.studies[0], generate_uid()
        instance.SeriesInstanceUID, instance.Modality, instance.ProtocolName = generate_uid(), "CT", "Head routine"
        requested = Dataset()
        requested.RequestedProcedureID = "R4711"
        instance.RequestAttributesSequence = [requested]
        StoreScu("GURNEY").store(archive.remote, instance)
        exec(of(archive, OWN), {"__name__": __name__})
    assert "Head routine R4711" in capsys.readouterr().out.splitlines()


@pytest.mark.peer
def test_the_example_of_an_own_identifier_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DicomEngine(), filled("dcmqrscp", tmp_path, {}) as archive:
        exec(of(archive, RAW), {})
    assert capsys.readouterr().out == "STUDY P0\n" * 2


def test_a_key_by_its_number_and_a_private_one_go_out() -> None:
    (private,) = re.findall(r"`(wanted\.private_block.*?)`", PAGE.read_text())
    with FakePacs(ae_title="ORTHANC") as pacs:
        exec(RAW.replace("4242", str(pacs.port)).replace("\nwith", f"\n{private}\nwith", 1), {})
        asked = pacs.requests[0].dataset
    assert asked["StudyDescription"].is_empty
    assert asked[0x00090010].value == "ACME 1.0"
    assert asked[0x00091001].is_empty
