"""Retrieve jobs of a running Gurney from archives that we did not write: to us, on to others, to a third party."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gurney.pacs import DicomEngine
from tests.faults.harness import Gurney, Site
from tests.pacs.archives import Archive, filled
from tests.services.dcmtk import StoreScp
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Running:
    """A Gurney with an archive to retrieve from, a node to send to, and a third one that the archive knows."""

    site: Site
    up: Gurney
    archive: Archive
    workstation: StoreScp
    third: Orthanc

    def retrieve(self, *options: str, check: bool = True) -> dict[str, Any]:
        done = self.site.run("retrieve", "--wait", "--json", *options, check=check)
        report: dict[str, Any] = json.loads(done.stdout)
        return report


@pytest.fixture(scope="module", params=["orthanc move", "orthanc get", "dcmqrscp move", "dcmqrscp get"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    kind, way = request.param.split()
    folder = tmp_path_factory.mktemp("retrieving")
    ours = free_port()
    for name in ("workstation", "third"):
        (folder / name).mkdir()
    with StoreScp(folder / "workstation") as workstation, Orthanc(folder / "third") as third:
        known = {"GURNEY_QR": ours, "ORTHANC": third.port}
        with DicomEngine(), filled(kind, folder, known) as archive:
            remotes = [
                {
                    "name": "archive",
                    "ae_title": archive.remote.ae_title,
                    "host": "127.0.0.1",
                    "port": archive.remote.port,
                    "retrieve": way,
                },
                {"name": "workstation", "ae_title": "STORESCP", "host": "127.0.0.1", "port": workstation.port},
                {"name": "third", "ae_title": "ORTHANC", "host": "127.0.0.1", "port": third.port},
            ]
            site = Site(
                folder / "site",
                remotes,
                retrieve={"port": ours, "move_grace": "3s"},
                watch={"send_to": ["workstation"]},
            )
            try:
                up = site.start()
                up.wait_until_ready()
                yield Running(site, up, archive, workstation, third)
            finally:
                site.close()


def test_a_study_comes_whole_and_meets_no_route(running: Running) -> None:
    study = running.archive.studies[0]
    report = running.retrieve("--from", "archive", "--study", study)
    assert report["state"] == "done", report
    assert (report["listing"], report["expected"], report["arrived"]) == ("trusted", 4, 4)
    assert report["missing"] == 0
    stand = json.loads(running.site.run("study", study, "--json").stdout)
    assert stand["destinations"] == {}, "what was retrieved is sent nowhere unless it was asked for"
    assert [(one["state"], one["arrived"]) for one in stand["retrievals"]] == [("done", 4)]
    assert json.loads(running.site.run("status", "--json").stdout)["ok"]


def test_it_is_sent_on_and_put_into_a_folder(running: Running, tmp_path: Path) -> None:
    study = running.archive.studies[1]
    before = len(running.workstation.files())
    report = running.retrieve(
        "--from", "archive", "--study", study, "--to", "workstation", "--folder", str(tmp_path / "out")
    )
    assert report["state"] == "done", report
    assert report["sent"] == {"workstation": {"done": 4}}
    assert len(running.workstation.files()) - before == 4
    assert {path.stem for path in (tmp_path / "out" / study).rglob("*.dcm")} == running.archive.instances[study]
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_series_and_an_instance_can_be_asked_for_alone(running: Running, tmp_path: Path) -> None:
    study = running.archive.studies[2]
    whole = running.retrieve("--from", "archive", "--study", study, "--folder", str(tmp_path))
    assert whole["state"] == "done", whole
    path = min((tmp_path / study).rglob("*.dcm"))
    series, uid = path.parent.name, path.stem
    one = running.retrieve("--from", "archive", "--study", study, "--series", series)
    assert (one["state"], one["expected"], one["arrived"]) == ("done", 2, 2)
    one = running.retrieve("--from", "archive", "--study", study, "--series", series, "--instance", uid)
    assert (one["state"], one["expected"], one["arrived"]) == ("done", 1, 1)


def test_what_the_archive_does_not_have_is_said(running: Running) -> None:
    report = running.retrieve("--from", "archive", "--study", "1.2.3.4.5", check=False)
    assert report["state"] == "failed"
    assert report["words"] == "the source has no instance of it"


def test_a_third_party_is_asked_what_it_got(running: Running) -> None:
    study = running.archive.studies[3]
    report = running.retrieve("--from", "archive", "--study", study, "--to", "third", "--direct")
    assert report["state"] == "done", report
    assert (report["expected"], report["arrived"]) == (4, 4)
    wait_until(
        lambda: running.archive.instances[study] <= running.third.sop_instance_uids(), 20, "the third party has it"
    )
