"""What the rules say of one file, and by which door it would come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.daemon.cli.desk import Desk
from tests.daemon.ingest.instances import PATIENT, ct_bytes, drop

RULES = """
[[route]]
name = "mr only"
when = 't.Modality == "MR"'
send_to = ["research"]
[[route]]
name = "by name"
when = 't.PatientName == "Nobody"'
send_to = ["research"]
[[route]]
name = "ct"
when = 't.Modality == "CT"'
send_to = ["research"]
priority = "stat"
stop = true
[[route]]
name = "never asked"
action = "drop"
"""


@pytest.fixture
def folder(desk: Desk, tmp_path: Path) -> Path:
    folder = tmp_path / "ct1"
    folder.mkdir()
    watch = f'[[watch]]\nname = "ct1"\npath = "{folder}"\npriority = "high"\nsend_to = ["archive"]\n'
    desk.configure(watch + RULES)
    return folder


def test_each_rule_with_its_reason_and_where_the_file_would_go(desk: Desk, folder: Path) -> None:
    file = drop(folder, "a/1.dcm", ct_bytes(sop_instance_uid="1.2.9", study="1.2.3"))
    answer = desk("route", "explain", file, "--json")
    assert answer.code == 0
    assert answer.json == {
        "state": "routed",
        "source": "ct1",
        "overlooked": False,
        "study_instance_uid": "1.2.3",
        "sop_instance_uid": "1.2.9",
        "destinations": [
            {"destination": "archive", "rule": None, "when": "immediately", "priority": "high"},
            {"destination": "research", "rule": "ct", "when": "immediately", "priority": "stat"},
        ],
        "rules": [
            {
                "rule": "mr only",
                "verdict": "not_matched",
                "why": 't.Modality == "MR" is false (Modality has a value)',
            },
            {
                "rule": "by name",
                "verdict": "not_matched",
                "why": 't.PatientName == "Nobody" is false (PatientName has a value)',
            },
            {"rule": "ct", "verdict": "matched", "why": ""},
            {"rule": "never asked", "verdict": "skipped", "why": "rule 'ct' has stop"},
        ],
    }
    with desk.ledger.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM file").scalar() == 0


def test_values_are_shown_only_when_asked_for(desk: Desk, folder: Path) -> None:
    file = drop(folder, "1.dcm")
    for quiet in (desk("route", "explain", file), desk("route", "explain", file, "--json")):
        assert PATIENT not in quiet.out + quiet.err
    assert PATIENT in desk("route", "explain", file, "--show-values").out


def test_a_file_that_the_watcher_leaves_alone(desk: Desk, folder: Path) -> None:
    file = drop(folder, "1.tmp")
    assert desk("route", "explain", file, "--json").json["overlooked"] is True
    assert "leaves this file alone" in desk("route", "explain", file).out


def test_a_file_from_elsewhere_can_be_asked_about_as_if_it_came_by_a_folder(desk: Desk, folder: Path) -> None:
    file = drop(folder.parent, "elsewhere.dcm")
    alone = desk("route", "explain", file, "--json").json
    assert (alone["source"], [send["destination"] for send in alone["destinations"]]) == (None, ["research"])
    as_if = desk("route", "explain", file, "--source", "ct1", "--json").json
    assert (as_if["source"], [send["destination"] for send in as_if["destinations"]]) == (
        "ct1",
        ["archive", "research"],
    )


@pytest.mark.usefixtures("folder")
def test_what_the_study_has_matched_before_counts(desk: Desk, tmp_path: Path) -> None:
    desk.configure('[[route]]\nname = "ct"\nwhen = \'t.Modality == "CT"\'\nsend_to = ["archive"]\n')
    report = drop(tmp_path, "sr.dcm", ct_bytes(modality="SR", study="1.2.3"))
    assert desk("route", "explain", report, "--json").json["state"] == "no_route"
    desk.world.items(1, study="1.2.3")
    with desk.ledger.write() as tx:
        tx.conn.exec_driver_sql("INSERT INTO study_route VALUES (1, 'ct', 1.0)")
    assert desk("route", "explain", report, "--json").json["rules"][0]["verdict"] == "followed"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("letter\n.txt", b"no image" * 40, r"letter\n.txt would not be taken in, and no rule be asked: not_dicom"),
        ("short.dcm", ct_bytes()[:-9], "truncated"),
        ("missing.dcm", None, "missing.dcm: No such file"),
    ],
)
def test_what_cannot_be_routed(desk: Desk, folder: Path, name: str, content: bytes | None, words: str) -> None:
    file = folder / name if content is None else drop(folder, name, content)
    answer = desk("route", "explain", file, "--json")
    assert (answer.code, answer.out) == (1, "")
    assert words in answer.err


def test_an_unknown_source(desk: Desk, folder: Path) -> None:
    answer = desk("route", "explain", drop(folder, "1.dcm"), "--source", "ct2")
    assert answer.code == 1
    assert "did you mean 'ct1'? There are: ct1" in answer.err


def test_a_name_that_is_not_text(desk: Desk, folder: Path) -> None:
    assert desk("route", "explain", bytes(drop(folder, "bild\udce9.dcm")), "--json").code == 0


def test_asks_as_if_a_modality_had_pushed_it(desk: Desk, tmp_path: Path) -> None:
    desk.configure(
        '[[receiver]]\nname = "main"\nsend_to = ["archive"]\n'
        '[[route]]\nname = "ct1"\nwhen = \'door == "receive" && source == "main" && calling_ae_title == "CT1" '
        '&& called_ae_title == "RESEARCH" && peer_address == "10.1.2.3"\'\nsend_to = ["research"]\n'
    )
    file = str(drop(tmp_path, "a.dcm", ct_bytes()))
    asked = ("route", "explain", file, "--source", "main", "--from", "CT1", "--called", "RESEARCH", "--json")
    assert [one["destination"] for one in desk(*asked).json["destinations"]] == ["archive"]
    pushed = desk(*asked, "--address", "10.1.2.3").json
    assert {one["destination"] for one in pushed["destinations"]} == {"archive", "research"}
