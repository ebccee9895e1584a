"""An order comes in by HL7, and the prior is at the workstation, under whichever ID the archive knows its patient."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gurney.pacs import DicomEngine
from tests.daemon.test_hl7_listener import Line
from tests.faults.harness import Site
from tests.pacs.archives import Archive, filled
from tests.prefetch.hl7.messages import adt, orm
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Ward:
    """A Gurney that hears messages, an archive, a workstation."""

    site: Site
    archive: Archive
    workstation: Orthanc
    line: Line

    def priors(self, *numbers: int) -> set[str]:
        return {uid for number in numbers for uid in self.archive.instances[self.archive.studies[number]]}

    def retrievals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.site.run("retrievals", "--json").stdout)["retrievals"]
        return found


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder: Path = tmp_path_factory.mktemp("messages")
    (folder / "workstation").mkdir()
    ours, hl7 = free_port(), free_port()
    with (
        Orthanc(folder / "workstation", settings={"DicomAet": "STATION"}) as workstation,
        DicomEngine(),
        filled("orthanc", folder, {"GURNEY_QR": ours}) as archive,
    ):
        remotes = [
            {"name": name, "ae_title": ae_title, "host": "127.0.0.1", "port": port}
            for name, ae_title, port in (
                ("archive", archive.remote.ae_title, archive.remote.port),
                ("workstation", "STATION", workstation.port),
            )
        ]
        site = Site(
            folder / "site",
            remotes,
            retrieve={"port": ours, "move_grace": "3s"},
            watch={"send_to": []},
            hl7={"port": hl7},
        )
        rule = {
            "name": "orders",
            "hl7": True,
            "from": ["archive"],
            "to": ["workstation"],
            "max_age": "50y",
            "lead": "1h",
            "horizon": "48h",
        }
        keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        site.config.write_text(f"{site.config.read_text()}\n[[prefetch]]\n{keys}")
        try:
            running = site.start()
            running.wait_until_ready()
            wait_until(lambda: running.events("hl7_listening"), 30, "it hears messages")
            line = Line(hl7)
            yield Ward(site, archive, workstation, line)
            line.socket.close()
        finally:
            site.close()
        site.check_logs()


def at(hours: float) -> str:
    return datetime.fromtimestamp(time.time() + hours * 3600, UTC).strftime("%Y%m%d%H%M%S+0000")


def test_the_priors_of_an_order_come_at_once_when_its_time_is_near(ward: Ward) -> None:
    order = orm("1", patient="P0", scheduled=at(0.5), told_at=at(0))
    assert "|AA|" in ward.line.ask(order)
    wait_until(lambda: ward.priors(0, 2) <= ward.workstation.sop_instance_uids(), 60, "the priors are there")
    retrievals = len(ward.retrievals())
    for _ in range(20):
        assert "|AA|" in ward.line.ask(order)
    assert len(ward.retrievals()) == retrievals, "what was told again costs nothing"


def test_an_order_moves_and_goes_and_what_waits_for_it_with_it(ward: Ward) -> None:
    # The archive knows this patient as P1 only.
    assert "|AA|" in ward.line.ask(adt("A40", ids="NEW-P1", prior="P1", told_at=at(0)))
    plan = ward.site.run("prefetch", "plan", "orders", "--patient", "NEW-P1", "--json")
    assert json.loads(plan.stdout)["patient_ids"] == 2

    def of_p1() -> list[str]:
        studies = {ward.archive.studies[1], ward.archive.studies[3]}
        return [one["state"] for one in ward.retrievals() if one["study_instance_uid"] in studies]

    assert "|AA|" in ward.line.ask(orm("2", patient="NEW-P1", scheduled=at(20), told_at=at(0)))
    wait_until(lambda: of_p1() == ["waiting"] * 2, 60, "the priors are asked for, and wait until it is nearly time")
    assert "|AA|" in ward.line.ask(orm("2", control="CA", patient="NEW-P1", told_at=at(0.01)))
    wait_until(lambda: of_p1() == ["cancelled"] * 2, 60, "they are withdrawn")
    assert not ward.priors(1, 3) & ward.workstation.sop_instance_uids()
    assert "|AA|" in ward.line.ask(orm("3", patient="NEW-P1", scheduled=at(20), told_at=at(0)))
    wait_until(lambda: of_p1()[:2] == ["waiting"] * 2, 60, "another order asks for them")
    assert "|AA|" in ward.line.ask(orm("3", control="XO", patient="NEW-P1", scheduled=at(0.2), told_at=at(0.01)))
    wait_until(lambda: ward.priors(1, 3) <= ward.workstation.sop_instance_uids(), 60, "brought forward, they come")
    again = json.loads(ward.site.run("prefetch", "run", "orders", "--json").stdout)
    assert (again["ok"], again["retrievals"]) == (True, 0)
    (listed,) = json.loads(ward.site.run("schedules", "--json").stdout)["schedules"]
    assert (listed["rule"], listed["hl7"]) == ("orders", True)
    status = json.loads(ward.site.run("status", "--json").stdout)
    assert status["receivers"]["hl7"]["state"] == "receiving"
