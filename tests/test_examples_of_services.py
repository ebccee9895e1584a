"""The examples of DIMSE-N services run, against peers that we did not write."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.pacs.printing.test_image import RGB, TWELVE, image
from tests.services.dcmjs import DcmjsNormalizedScp, installed_node_modules
from tests.services.presence import require
from tests.services.printer import DcmPrScp

pytestmark = pytest.mark.peer

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs/examples"
CT = "1.2.840.10008.5.1.4.1.1.2"

Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DcmjsNormalizedScp]:
    with DcmjsNormalizedScp(tmp_path_factory.mktemp("dcmjs"), installed_node_modules()) as peer:
        yield peer


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, peer: DcmjsNormalizedScp | DcmPrScp, *arguments: str) -> list[str]:
        path = EXAMPLES / f"{name}.py"
        monkeypatch.setattr("sys.argv", [str(path), "127.0.0.1", str(peer.port), peer.ae_title, *arguments])
        runpy.run_path(str(path))
        return capsys.readouterr().out.splitlines()

    return run


def written(made: Dataset, path: Path) -> str:
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.save_as(path, enforce_file_format=True)
    return str(path)


def test_a_procedure_step(run: Run, peer: DcmjsNormalizedScp) -> None:
    begun, *rest = run("performed_procedure_step", peer)
    assert begun.startswith("IN PROGRESS: ")
    assert rest == ["0000 success (success)", "COMPLETED: 3 images"]
    final = peer.requests()[-1]
    assert final["uid"] == begun.split()[-1]
    assert len(final["elements"]["PerformedSeriesSequence"][0]["ReferencedImageSequence"]) == 3


def test_a_notification(run: Run, peer: DcmjsNormalizedScp) -> None:
    assert run("instance_availability", peer, "--archive", "MAIN") == ["0000 success (success)"]
    (series,) = peer.requests()[-1]["elements"]["ReferencedSeriesSequence"]
    assert [one["RetrieveAETitle"] for one in series["ReferencedSOPSequence"]] == ["MAIN"] * 3


def test_a_disc(run: Run, peer: DcmjsNormalizedScp) -> None:
    arguments = (f"{CT}=1.2.3.1", f"{CT}=1.2.3.2", "--copies", "2", "--every", "0.01")
    assert run("media_creation", peer, *arguments) == ["CREATING ", "DONE ", "complete"]


def test_a_film(run: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    require("dcmprscp")
    images = [written(image(), tmp_path / "8.dcm"), written(image(**TWELVE), tmp_path / "12.dcm")]
    with DcmPrScp(tmp_path_factory.mktemp("dcmprscp")) as printer:
        told = run("print_film", printer, *images, "--layout", "STANDARD\\2,2", "--medium", "BLUE FILM")
        assert len(printer.images()) == 2
    done = "0000 success (success)"
    assert told == ["printer: NORMAL NORMAL", f"1 {done}", f"2 {done}", f"film: {done}"]


def test_a_print_in_colour(run: Run, peer: DcmjsNormalizedScp, tmp_path: Path) -> None:
    told = run("print_film", peer, written(image(**RGB, PlanarConfiguration=0), tmp_path / "rgb.dcm"), "--color")
    assert told[-1] == "film: 0000 success (success)"


def test_the_page_runs(peer: DcmjsNormalizedScp, capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "docs/how-to/tell-and-print.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(example.replace("10104", str(peer.port)), {})
    assert capsys.readouterr().out == "NORMAL 0000 success (success)\n"


@pytest.mark.parametrize("name", ["instance_availability", "media_creation", "performed_procedure_step", "print_film"])
def test_an_example_is_short_and_says_what_it_does(name: str) -> None:
    text = (EXAMPLES / f"{name}.py").read_text()
    assert text.startswith('"""')
    assert len(text.splitlines()) <= 40
