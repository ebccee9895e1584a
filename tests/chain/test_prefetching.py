"""Priors at the workstation: chosen at real archives, retrieved by the workers, forwarded or sent direct, no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gurney.pacs import DicomEngine
from tests.faults.harness import Site
from tests.pacs.archives import Archive, filled
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow

# The archive's four studies are of two patients by turns.
OF_P0, OF_P1 = (0, 2), (1, 3)


@dataclass(frozen=True)
class Ward:
    """A Gurney with two rules, an archive and a workstation."""

    site: Site
    archive: Archive
    workstation: Orthanc

    def run(self, *command: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.site.run("prefetch", *command, "--json").stdout)
        return answer

    def priors(self, *numbers: int) -> set[str]:
        return {uid for number in numbers for uid in self.archive.instances[self.archive.studies[number]]}

    def retrievals(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.site.run("retrievals", "--json").stdout)["retrievals"]
        return found


@pytest.fixture(scope="module", params=["orthanc", "dcmqrscp"])
def ward(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("prefetching")
    (folder / "workstation").mkdir()
    ours = free_port()
    with Orthanc(folder / "workstation", settings={"DicomAet": "STATION"}) as workstation:
        known = {"GURNEY_QR": ours, "STATION": workstation.port}
        with DicomEngine(), filled(request.param, folder, known) as archive:
            remotes = [
                {
                    "name": name,
                    "ae_title": ae_title,
                    "host": "127.0.0.1",
                    "port": port,
                }
                for name, ae_title, port in (
                    ("archive", archive.remote.ae_title, archive.remote.port),
                    ("workstation", "STATION", workstation.port),
                    ("elsewhere", "ELSEWHERE", free_port()),
                )
            ]
            rules = [
                {
                    "name": path,
                    "patients": "list.csv",
                    "schedule": "0 20 * * *",
                    "from": ["archive"],
                    "to": ["workstation"],
                    "path": path,
                    "max_age": "50y",
                }
                for path in ("through", "direct")
            ]
            rules.append(rules[0] | {"name": "often", "every": "1s"})
            later = {"name": "later", "patients": "later.csv", "every": "1s", "horizon": "72h", "lead": "1h"}
            # At a target that can't be asked nothing is taken to be there.
            rules.append(rules[0] | later | {"to": ["elsewhere"]})
            site = Site(folder / "site", remotes, retrieve={"port": ours, "move_grace": "3s"}, watch={"send_to": []})
            configured = site.config.read_text()
            tables = "".join(
                "\n[[prefetch]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
                for rule in rules
            )
            site.config.write_text(configured + tables)
            for name in ("list.csv", "later.csv"):
                (folder / "site" / name).write_text("patient_id\n")
            try:
                site.start().wait_until_ready()
                yield Ward(site, archive, workstation)
            finally:
                site.close()


def test_what_the_rule_says_is_at_the_workstation_and_nothing_else(ward: Ward) -> None:
    ward.run("run", "through", "--patient", "P0")
    expected = ward.priors(*OF_P0)
    wait_until(lambda: ward.workstation.sop_instance_uids() == expected, 60, "the priors are at the workstation")
    ward.run("run", "direct", "--patient", "P1")
    expected |= ward.priors(*OF_P1)
    wait_until(lambda: ward.workstation.sop_instance_uids() == expected, 60, "and those of the other, sent direct")
    wait_until(lambda: {one["state"] for one in ward.retrievals()} == {"done"}, 60, "each retrieval is proven")
    assert {one["origin"] for one in ward.retrievals()} == {"prefetch:through", "prefetch:direct"}
    for patient in ("P0", "P1"):
        ward.run("run", "through", "--patient", patient)
    assert len(ward.retrievals()) == 4, "what is there is not fetched again"


def test_a_rule_is_done_by_itself_for_whoever_the_list_names(ward: Ward) -> None:
    (ward.site.folder / "list.csv").write_text("patient_id\nP0\nP1\n")

    def schedule() -> dict[str, Any]:
        told = json.loads(ward.site.run("schedules", "--json").stdout)["schedules"]
        return next(one for one in told if one["rule"] == "often")

    wait_until(lambda: schedule()["patients"] == 2, 60, "the scheduler has seen to both")
    assert schedule()["words"] == ""
    at_once = ward.run("run", "often")
    assert (at_once["ok"], at_once["patients"], at_once["mistakes"]) == (True, 2, [])
    expected = ward.priors(*OF_P0, *OF_P1)
    wait_until(lambda: ward.workstation.sop_instance_uids() == expected, 60, "all priors are at the workstation")


def test_who_is_on_the_list_no_more_has_nothing_fetched(ward: Ward) -> None:
    """And who comes at another time has it fetched at that."""
    listed = ward.site.folder / "later.csv"

    def comes(hours: float) -> str:
        return (datetime.now(UTC) + timedelta(hours=hours)).isoformat(timespec="minutes")

    def due() -> list[tuple[str, bool]]:
        mine = [one for one in ward.retrievals() if one["origin"] == "prefetch:later"]
        return [(one["state"], one["study_instance_uid"] in studies) for one in mine]

    studies = {ward.archive.studies[number] for number in OF_P0}
    listed.write_text(f"patient_id,accession,scheduled\nP0,L1,{comes(30)}\n")
    wait_until(lambda: due() == [("waiting", True)] * 2, 60, "the priors are asked for, and wait")
    listed.write_text("patient_id,accession,scheduled\n")
    wait_until(lambda: due() == [("cancelled", True)] * 2, 60, "they are withdrawn")
    listed.write_text(f"patient_id,accession,scheduled\nP0,L1,{comes(40)}\n")
    wait_until(lambda: due()[:2] == [("waiting", True)] * 2, 60, "the patient is expected again")
    listed.write_text(f"patient_id,accession,scheduled\nP0,L1,{comes(50)}\n")
    wait_until(lambda: due() == [("waiting", True)] * 2 + [("cancelled", True)] * 4, 60, "and at another time")
