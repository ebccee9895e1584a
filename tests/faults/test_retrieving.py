"""A retrieve goes on after kill -9 with what is missing, and a peer that counts what it never sent is not believed."""

from __future__ import annotations

import io
import json
from typing import Any

import psutil
import pytest
from pydicom import dcmread

from gurney.pacs.testing import FakePacs, Operation, Retrieve, Send
from tests.faults.conftest import MakeSite
from tests.faults.harness import Site, remote
from tests.faults.instances import Instance, make_study
from tests.services import wait_until
from tests.services.ports import free_port

pytestmark = [pytest.mark.fault, pytest.mark.slow]


def prepared(make_site: MakeSite, pacs: FakePacs, study: list[Instance], **keys: Any) -> Site:
    """Make a site that retrieves, and have the PACS hold a study and know us."""
    port = free_port()
    pacs.know("GURNEY_QR", port)
    for instance in study:
        pacs.hold(dcmread(io.BytesIO(instance.part10)))
    site = make_site(remote(pacs, **keys), retrieve={"port": port, "move_grace": "1s"})
    site.start().wait_until_ready()
    return site


def reported(site: Site, retrieval_id: int = 1) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(site.run("retrieval", str(retrieval_id), "--json").stdout)
    return report


@pytest.mark.parametrize("way", ["move", "get"])
def test_only_what_never_came_is_asked_for_again(make_site: MakeSite, pacs: FakePacs, way: str) -> None:
    study = make_study(6)
    lost = {study[1].sop_instance_uid, study[4].sop_instance_uid}
    operation = Operation.C_MOVE if way == "move" else Operation.C_GET
    pacs.on_request(operation, Retrieve(omit=lost))
    site = prepared(make_site, pacs, study, retrieve=way)
    uid = study[0].study_instance_uid
    report = json.loads(site.run("retrieve", "--from", "pacs", "--study", uid, "--wait", "--json").stdout)
    assert (report["state"], report["arrived"], report["rounds"]) == ("done", 6, 2), report
    asked = [one for one in pacs.requests if one.operation is operation]
    assert len(asked) == 2
    assert asked[1].dataset is not None
    assert set(asked[1].dataset.SOPInstanceUID) == lost


def test_kill_9_costs_a_round_and_no_instance(make_site: MakeSite, pacs: FakePacs) -> None:
    study = make_study(20)
    pacs.on_request(Operation.C_MOVE, Retrieve(each=Send(delay=0.3)))
    site = prepared(make_site, pacs, study)
    site.run("retrieve", "--from", "pacs", "--study", study[0].study_instance_uid)
    wait_until(lambda: reported(site)["arrived"] >= 3, 30, "some have come")
    family = [one for one in site.processes() if "gurney_workers" in one.cmdline() and "retrieve" in one.cmdline()]
    assert family, "a worker of its own retrieves"
    for one in family:
        one.kill()
    psutil.wait_procs(family, 20)
    wait_until(lambda: reported(site)["state"] == "done", 60, "another worker goes on")
    report = reported(site)
    assert (report["arrived"], report["missing"]) == (20, 0)


def test_a_workstation_that_nobody_knows_stops_nothing_else(make_site: MakeSite, pacs: FakePacs) -> None:
    study, other = make_study(2), make_study(2)
    with FakePacs(ae_title="STATION") as station:
        port = free_port()
        pacs.know("GURNEY_QR", port)
        for instance in [*study, *other]:
            pacs.hold(dcmread(io.BytesIO(instance.part10)))
        site = make_site(remote(pacs), remote(station, "station"), retrieve={"port": port, "move_grace": "1s"})
        site.start().wait_until_ready()
        site.run("retrieve", "--from", "pacs", "--study", study[0].study_instance_uid, "--to", "station", "--direct")
        wait_until(lambda: "'STATION'" in reported(site)["words"], 30, "the archive has said that it does not know it")
        report = json.loads(
            site.run("retrieve", "--from", "pacs", "--study", other[0].study_instance_uid, "--wait", "--json").stdout
        )
        assert report["state"] == "done"
        gates = json.loads(site.run("retrievals", "--json").stdout)["sources"]
        assert gates["pacs"]["station"]["state"] == "held"
        pacs.know("STATION", station.port)
        site.run("retry", "--retrieval", "1")
