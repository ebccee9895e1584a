"""The examples of queries and retrieves run, against archives and a worklist that we did not write."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom import dcmread

from gurney.pacs import DicomEngine, RemoteAE
from tests.pacs.archives import Archive, filled
from tests.pacs.query_retrieve.test_worklist_peers import scheduled
from tests.services.dcmtk import StoreScp, WlmScpFs
from tests.services.ports import free_port
from tests.services.presence import require

pytestmark = pytest.mark.peer

EXAMPLES = Path(__file__).parents[1] / "docs/examples"
OWN_PORT = free_port()

Run = Callable[..., list[str]]


@pytest.fixture(scope="module")
def workstation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreScp]:
    require("storescp")
    with StoreScp(tmp_path_factory.mktemp("workstation")) as workstation:
        yield workstation


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, workstation: StoreScp) -> Iterator[Archive]:
    destinations = {"WORKSTATION": workstation.port, "GURNEY_QR": OWN_PORT}
    with DicomEngine(), filled("dcmqrscp", tmp_path_factory.mktemp("archive"), destinations) as archive:
        yield archive


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(name: str, remote: RemoteAE, *arguments: str) -> list[str]:
        path = EXAMPLES / f"{name}.py"
        assert len(path.read_text().splitlines()) <= 40
        monkeypatch.setattr("sys.argv", [str(path), remote.host, str(remote.port), remote.ae_title, *arguments])
        runpy.run_path(str(path))
        return capsys.readouterr().out.splitlines()

    return run


def test_find(run: Run, archive: Archive) -> None:
    *found, count = run("find", archive.remote, "--patient-id", "P1", "--since", "2024-01-02")
    assert {line.split()[0] for line in found} == {archive.studies[1], archive.studies[3]}
    assert "Müller^Jürgen" in found[0]
    assert count == "2 studies"
    assert run("find", archive.remote, "--limit", "1")[-1] == "1 studies, and there may be more"


def test_move_to_a_third_party(run: Run, archive: Archive, workstation: StoreScp) -> None:
    assert run("move", archive.remote, archive.studies[0])[-1] == "4 sent, 0 to go"
    uids = {str(dcmread(path, stop_before_pixels=True).SOPInstanceUID) for path in workstation.files()}
    assert uids == archive.instances[archive.studies[0]]


def test_move_to_ourselves(run: Run, archive: Archive, tmp_path: Path) -> None:
    here = ["--to", "GURNEY_QR", "--here", str(tmp_path), "--own-port", str(OWN_PORT)]
    assert run("move", archive.remote, archive.studies[1], *here) == ["complete 4 here, 0 missing"]
    assert len(list(tmp_path.iterdir())) == 4


def test_get(run: Run, archive: Archive, tmp_path: Path) -> None:
    *uids, verdict = run("get", archive.remote, archive.studies[2], str(tmp_path / "got"))
    assert {*uids} == archive.instances[archive.studies[2]]
    assert verdict == "complete: 4 arrived at once, 0 are missing"


def test_worklist(run: Run, tmp_path: Path) -> None:
    require("wlmscpfs")
    with WlmScpFs(tmp_path) as peer:
        peer.schedule("today", scheduled(1, "Doe^Jane", "CT", "20240131"))
        peer.schedule("tomorrow", scheduled(2, "Roe^Rita", "CT", "20240201"))
        remote = RemoteAE(peer.ae_title, "127.0.0.1", peer.port)
        assert run("worklist", remote, "--station", "CT1", "--day", "2024-01-31") == [
            "080000 CT A1 Doe^Jane",
            "1 steps",
        ]
