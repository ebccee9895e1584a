"""``route again``, as it is typed: counted, asked, done, and said."""

from __future__ import annotations

from pathlib import Path

import pytest

from gurney.ledger.database import Ledger
from gurney.settings import load
from gurney.transfer.routing import compile_routes
from gurney_daemon.configured import door_routes, spool_of
from gurney_daemon.ingest.admission import Admission
from gurney_daemon.ingest.inspection import Source
from gurney_daemon.ingest.settling import SettledFile
from gurney_daemon.ingest.signature import Signature
from gurney_daemon.ingest.spool import Shelf
from tests.daemon.cli.desk import Desk
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop

BROKEN = "int(t.PatientName) == 1"
MENDED = 't.Modality == "CT"'


def configure(desk: Desk, folder: Path, when: str) -> None:
    desk.configure(
        f'[[watch]]\nname = "ct1"\npath = "{folder}"\n'
        f'[[route]]\nname = "scans"\nwhen = \'{when}\'\nsend_to = ["research"]\n'
    )


def take_in(desk: Desk, *files: Path) -> None:
    """Let files come in by the watched folder, as the daemon would take them."""
    settings = load(str(desk.folder / "gurney.toml"))
    ledger: Ledger = desk.ledger
    routes = door_routes(settings.watch[0], compile_routes(settings.route_rules))
    shelf = Shelf(spool_of(settings, ledger), "ct1")
    admission = Admission(Source("ct1"), ledger, shelf, routes, actor="watch:ct1")
    admission.admit([SettledFile(bytes(file), Signature.of(file.lstat())) for file in files])


@pytest.fixture
def folder(desk: Desk, tmp_path: Path) -> Path:
    """A folder that has brought two instances while its rule was broken."""
    folder = tmp_path / "ct1"
    folder.mkdir()
    desk.introduce_remotes()
    configure(desk, folder, BROKEN)
    take_in(desk, *(drop(folder, name, ct_bytes(sop_instance_uid=f"1.2.{name}", study="1.2.3")) for name in "89"))
    return folder


def test_it_says_how_many_asks_and_routes(desk: Desk, folder: Path) -> None:
    configure(desk, folder, MENDED)
    refused = desk("route", "again", "--study", "1.2.3")
    assert refused.code == 2
    assert "2 instances concerned" in refused.err
    assert desk("route", "again", "--all", typed="n\n").code == 1
    answer = desk("route", "again", "--study", "1.2.3", typed="y\n")
    assert (answer.code, answer.out.lstrip()) == (0, "2 instances routed, 2 items added\n")
    assert "ct1: 2 error" in answer.err
    assert desk("study", "1.2.3", "--json").json["not_routed"] == []
    assert desk("study", "1.2.3", "--json").json["destinations"]["research"]["ready"] == 2
    assert "nothing was done" in desk("route", "again", "--all", "--yes").out


def test_the_studies_are_listed_and_status_counts_them_until_they_are_routed(desk: Desk, folder: Path) -> None:
    assert desk("status", "--json").json["sources"]["ct1"]["in_error"] == 2
    document = desk("route", "list", "--state", "error", "--source", "ct1", "--json").json
    (study,) = document["studies"]
    assert study.pop("age_seconds") >= 0
    assert study.pop("why").startswith("scans: ")
    assert study == {"study_instance_uid": "1.2.3", "source": "ct1", "routing": "error", "instances": 2}
    assert document["more"] is False
    shown = desk("route", "list").out
    assert "1.2.3" in shown
    assert PATIENT.split("^")[0] not in shown

    configure(desk, folder, MENDED)
    assert desk("route", "again", "--all", "--yes").code == 0
    assert desk("route", "list", "--json").json == {"studies": [], "more": False}
    source = desk("status", "--json").json["sources"]["ct1"]
    assert (source["error"], source.get("in_error", 0)) == (2, 0)


def test_the_list_is_of_the_states_that_were_asked_for(desk: Desk, folder: Path) -> None:
    for number, action in enumerate(("hold", "drop")):
        desk.configure(
            f'[[watch]]\nname = "ct1"\npath = "{folder}"\n[[route]]\nname = "scans"\nwhen = "true"\n'
            f'action = "{action}"\n' + ('send_to = ["archive"]\n' if action == "hold" else "")
        )
        take_in(desk, drop(folder, action, ct_bytes(sop_instance_uid=f"1.9.{number}", study=f"1.2.4{number}")))

    def listed(*asked: str) -> list[str]:
        return [one["routing"] for one in desk("route", "list", "--json", *asked).json["studies"]]

    assert listed() == ["error", "held"]
    assert listed("--state", "filtered") == ["filtered"]
    assert desk("route", "list", "--json", "--state", "filtered").json["studies"][0]["why"] == "scans"
    assert desk("release", "--all", "--yes").code == 0
    assert listed("--state", "held") == []
    assert desk("route", "list", "--limit", "1", "--state", "error").err == ""
    assert desk("route", "list", "--state", "routed").code == 2
    assert "There are: ct1" in desk("route", "list", "--source", "mr7").err


def test_what_still_fails_is_told_with_the_rule_and_without_values(desk: Desk, folder: Path) -> None:
    answer = desk("route", "again", "--source", "ct1", "--yes", "--json")
    assert answer.code == 1
    (why,) = answer.json.pop("why")
    assert (why["routing"], why["instances"]) == ("error", 2)
    assert why["why"].startswith("scans: ")
    assert answer.json | {"why": []} == {
        "found": {"ct1": {"error": 2}},
        "items": 0,
        **dict.fromkeys(("routed", "held", "filtered", "no_route", "gone", "unreadable", "no_door", "changed"), 0),
        "error": 2,
        "why": [],
    }
    table = desk("route", "again", "--source", "ct1", "--yes")
    assert "2 instances whose rule still fails" in table.out
    assert PATIENT.split("^")[0] not in table.out + table.err + answer.out + answer.err


@pytest.mark.parametrize("asked", [[], ["--all", "--study", "1.2.3"], ["--all", "--state", "held"]])
def test_wrong_usage(desk: Desk, asked: list[str]) -> None:
    assert desk("route", "again", *asked).code == 2


def test_unknown_names(desk: Desk, folder: Path) -> None:
    assert "knows no study 9" in desk("route", "again", "--study", "9").err
    assert "did you mean 'ct1'" in desk("route", "again", "--source", "ct2").err
