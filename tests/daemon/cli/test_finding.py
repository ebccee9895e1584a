"""Find: what a real archive holds, as a table and as a document; and what a peer may do in between."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import DicomEngine
from gurney.pacs.testing import Answer as Script
from gurney.pacs.testing import FakePacs, Operation, Respond
from tests.daemon.cli.desk import Answer, Desk
from tests.pacs.archives import Archive, filled
from tests.services import require
from tests.services.dcmtk import WlmScpFs

pytestmark = pytest.mark.peer


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    with DicomEngine(), filled("dcmqrscp", tmp_path_factory.mktemp("archive"), {}) as archive:
        yield archive


@pytest.fixture
def asked(desk: Desk, archive: Archive) -> Desk:
    remote = archive.remote
    desk.configure(
        f'[[remote]]\nname = "pacs"\nae_title = "{remote.ae_title}"\nhost = "127.0.0.1"\nport = {remote.port}\n'
    )
    return desk


@pytest.fixture
def fake(desk: Desk) -> Iterator[FakePacs]:
    with FakePacs(ae_title="ARCHIVE") as pacs:
        desk.configure(port=pacs.port)
        yield pacs


def said(answer: Answer, path: str) -> list[str]:
    assert answer.code == 0, answer.err
    return sorted(match[path] for match in answer.json["matches"])


def match(number: int) -> Dataset:
    dataset = Dataset()
    dataset.QueryRetrieveLevel = "STUDY"
    dataset.StudyInstanceUID, dataset.PatientID = f"1.2.{number}", f"PLANTED-{number}"
    return dataset


class TestAnArchive:
    def test_a_table_of_its_studies(self, asked: Desk, archive: Archive) -> None:
        answer = asked("find", "--from", "pacs")
        assert answer.code == 0
        head, *rows = answer.out.splitlines()
        assert head.split()[:3] == ["DATE", "TIME", "PATIENT"]
        assert sorted(row.split()[-1] for row in rows) == sorted(archive.studies)
        assert "Müller^Jürgen" in answer.out
        assert answer.err == "4 matches\n"

    def test_a_document_of_its_studies(self, asked: Desk, archive: Archive) -> None:
        answer = asked("find", "--from", "pacs", "PatientID=P1", "--json")
        document = answer.json
        matches = document.pop("matches")
        assert document == {
            "remote": "pacs",
            "model": "Study Root",
            "level": "STUDY",
            "ok": True,
            "error": "",
            "count": 2,
            "filtered": 0,
            "complete": True,
            "status": 0,
        }
        assert {found["PatientName"] for found in matches} == {"Müller^Jürgen"}
        assert {found["StudyDate"] for found in matches} == {"20240102", "20240104"}

    def test_nothing_is_found(self, asked: Desk) -> None:
        answer = asked("find", "pacs", "--patient-id", "NOBODY", "--json")
        assert answer.code == 0
        assert answer.json["matches"] == []
        assert answer.json["complete"]
        answer = asked("find", "pacs", "--patient-id", "NOBODY")
        assert (answer.out, answer.err) == ("", "0 matches\n")

    @pytest.mark.parametrize(
        ("words", "numbers"),
        [
            (["--patient-id", "P0"], "02"),
            (["--patient-name", "Doe*"], "02"),
            (["--accession", "A3"], "3"),
            (["--date", "20240102-20240103"], "12"),
            (["--date", "20240103-"], "23"),
            (["--date", "20240101"], "0"),
            (["--modality", "SR"], "0123"),
            (["StudyID=2"], "2"),
            (["--key", "StudyID=2", "--key", "AccessionNumber=A2"], "2"),
            (["StudyID=2", "AccessionNumber=A1"], ""),
            (["StudyDate=-20240101"], "0"),
        ],
        ids=" ".join,
    )
    def test_options_and_words_narrow(self, asked: Desk, words: list[str], numbers: str) -> None:
        assert said(asked("find", "pacs", *words, "--json"), "AccessionNumber") == [f"A{number}" for number in numbers]

    def test_a_key_without_a_value_is_asked_for(self, asked: Desk) -> None:
        assert said(asked("find", "pacs", "StudyID=", "--json"), "StudyID") == ["0", "1", "2", "3"]

    def test_deeper_levels(self, asked: Desk, archive: Archive) -> None:
        study = archive.studies[0]
        series = asked("find", "pacs", "--level", "series", "--study", study, "--json")
        assert said(series, "Modality") == ["CT", "SR"]
        uid = next(found["SeriesInstanceUID"] for found in series.json["matches"] if found["Modality"] == "CT")
        images = asked("find", "pacs", "--level", "instance", "--study", study, "--series", uid, "--json")
        assert said(images, "InstanceNumber") == ["1", "2"]
        assert set(said(images, "SOPInstanceUID")) <= archive.instances[study]

    def test_an_archive_that_is_not_configured(self, desk: Desk, archive: Archive) -> None:
        word = f"{archive.remote.ae_title}@127.0.0.1:{archive.remote.port}"
        answer = desk("find", word, "PatientID=P1", "--json")
        assert said(answer, "AccessionNumber") == ["A1", "A3"]
        assert answer.json["remote"] == word
        assert said(desk("find", "--from", word, "--json"), "AccessionNumber") == ["A0", "A1", "A2", "A3"]

    def test_several_studies_by_their_uids(self, asked: Desk, archive: Archive) -> None:
        answer = asked("find", "pacs", "--study", ",".join(archive.studies[:2]), "--json")
        assert said(answer, "StudyInstanceUID") == sorted(archive.studies[:2])

    def test_patients(self, asked: Desk) -> None:
        answer = asked("find", "pacs", "--level", "patient", "--json")
        assert answer.json["model"] == "Patient Root"
        assert said(answer, "PatientID") == ["P0", "P1"]

    def test_enough_is_enough(self, asked: Desk) -> None:
        answer = asked("find", "pacs", "--limit", 2)
        assert answer.code == 0
        assert len(answer.out.splitlines()) == 3
        assert answer.err == "2 matches; there may be more than --limit\n"
        assert asked("find", "pacs", "--limit", 2, "--json").json["complete"] is False

    def test_a_worklist_that_it_does_not_have(self, asked: Desk) -> None:
        answer = asked("find", "pacs", "--level", "worklist", "--date", "20240101", "--modality", "CT")
        assert answer.code == 1
        assert "Modality Worklist" in answer.err
        assert "match" not in answer.err, "a search that was refused has found neither something nor nothing"

    def test_nothing_of_it_is_logged(self, asked: Desk, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            asked("find", "pacs", "--patient-name", "Doe*")
        assert "Doe" not in caplog.text


def test_a_worklist(desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> None:
    require("wlmscpfs")
    with WlmScpFs(tmp_path_factory.mktemp("worklist")) as peer:
        for number, modality in enumerate(("CT", "MR")):
            peer.schedule(modality, scheduled(f"A{number}", modality))
        address = f'ae_title = "{peer.ae_title}"\nhost = "127.0.0.1"\nport = {peer.port}\n'
        desk.configure(f'[[remote]]\nname = "ris"\n{address}')
        answer = desk("find", "ris", "--level", "worklist", "--date", "20300101", "--modality", "MR", "--json")
        assert said(answer, "AccessionNumber") == ["A1"]
        assert answer.json["level"] is None
        assert said(answer, "ScheduledProcedureStepSequence.Modality") == ["MR"]
        assert desk("find", "ris", "--level", "worklist").err == "2 matches\n"


def scheduled(accession: str, modality: str) -> Dataset:
    step = Dataset()
    step.ScheduledStationAETitle, step.Modality = "STATION", modality
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = "20300101", "0800"
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "S", "Head"
    step.ScheduledPerformingPhysicianName = "Someone"
    entry = Dataset()
    entry.SpecificCharacterSet = "ISO_IR 100"
    entry.AccessionNumber, entry.PatientName, entry.PatientID = accession, "Doe^Jane", "P1"
    entry.PatientBirthDate, entry.PatientSex, entry.StudyInstanceUID = "19700101", "F", f"1.2.{accession[1:]}"
    entry.RequestedProcedureDescription, entry.RequestedProcedureID = "Head", "R"
    entry.ScheduledProcedureStepSequence = [step]
    return entry


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["archive", "--date", "20241301"], "StudyDate"),
        (["archive", "--date", "20240131-20240101"], "ends before it begins"),
        (["archive", "PatientNam=X"], "no keyword of the DICOM dictionary"),
        (["archive", "--study", "1.2.x"], "StudyInstanceUID"),
        (["archive", "--level", "image", "--study", "1.2"], "--series is not given: name it"),
        (["archive", "--level", "image"], "--study and --series are not given: name them"),
        (["archive", "--level", "organ"], "use patient, study, series, image, worklist"),
        (["archive", "--model", "monkey"], "use study, patient"),
        (["archive", "--level", "patient", "--model", "study"], "levels are"),
        (["archive", "elsewhere"], "'elsewhere' is no KEY=VALUE"),
        (["127.0.0.1:104", "ARCHIVE"], "whom to call stands before its address: ARCHIVE@127.0.0.1:104"),
        (["127.0.0.1:104"], "write AE_TITLE@127.0.0.1:104"),
        (["ARCHIVE@127.0.0.1"], "no AE_TITLE@HOST:PORT"),
        (["PatientID=4711"], "whom to ask is missing"),
        (["archive", "--limit", "0"], "greater than or equal to 1"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_can_not_be_asked_is_wrong_usage(desk: Desk, words: list[str], reason: str) -> None:
    answer = desk("find", *words)
    assert answer.code == 2, answer
    assert reason in " ".join(answer.err.replace("│", " ").split())
    assert "4711" not in answer.err
    assert not re.search(r"datetime|Range", answer.err), "advice for whoever writes Python"


def test_an_unknown_remote(desk: Desk) -> None:
    answer = desk("find", "--from", "archvie")
    assert answer.code == 1
    assert "did you mean 'archive'? There are: archive, research" in answer.err


@pytest.mark.parametrize(
    ("words", "code", "reason"),
    [
        (["archvie"], 1, "did you mean 'archive'"),
        (["archive"], 1, "Connection refused"),
        (["archive", "--date", "20241301"], 2, "is no date"),
        (["PatientID=4711"], 2, "whom to ask is missing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_failure_is_a_document_too(desk: Desk, words: list[str], code: int, reason: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and never listens
        desk.configure(port=taken.getsockname()[1])
        answer = desk("find", *words, "--json")
    assert answer.code == code
    assert sorted(answer.json) == ["error", "ok"]
    assert answer.json["ok"] is False
    assert reason in answer.json["error"]
    assert "4711" not in answer.out


def test_a_model_that_a_peer_refuses_is_a_document_too(asked: Desk) -> None:
    answer = asked("find", "pacs", "--level", "worklist", "--json")
    assert answer.code == 1
    assert "Modality Worklist" in answer.json["error"]


def test_what_was_not_asked_for_is_left_out_and_said(desk: Desk, fake: FakePacs) -> None:
    steps = [*(Respond(0xFF00, dataset=match(number)) for number in range(3)), Respond()]
    fake.on_request(Operation.C_FIND, Script(steps))
    answer = desk("find", "archive", "--patient-id", "PLANTED-1")
    assert answer.code == 0
    assert answer.err == "1 match; left out 2 answers that did not match what was asked\n"


def test_what_came_before_a_failure_is_shown(desk: Desk, fake: FakePacs) -> None:
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF00, dataset=match(1)), Respond(0xA700)]))
    answer = desk("find", "archive", "--json")
    assert answer.code == 1
    assert said_all(answer) == ["PLANTED-1"]
    assert answer.json["complete"] is False
    assert answer.json["status"] == 0xA700
    assert answer.json["ok"] is False
    assert "A700 out of resources" in answer.json["error"]
    assert "A700 out of resources" in answer.err
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF00, dataset=match(1)), Respond(0xA700)]))
    answer = desk("find", "archive")
    assert "PLANTED-1" in answer.out
    assert "1 match; A700 out of resources" in answer.err


def said_all(answer: Answer) -> list[str]:
    return [found["PatientID"] for found in answer.json["matches"]]


def test_a_peers_own_limit_is_said(desk: Desk, fake: FakePacs) -> None:
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF00, dataset=match(1)), Respond(0xB001)]))
    answer = desk("find", "archive")
    assert answer.code == 0
    assert "limit of matches is reached" in answer.err


def test_keys_that_the_peer_ignores_are_said(desk: Desk, fake: FakePacs) -> None:
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF01, dataset=match(1)), Respond()]))
    answer = desk("find", "archive")
    assert answer.code == 0
    assert answer.err == "1 match; the peer ignores some optional keys of what was asked\n"


def test_several_values_are_told_apart_by_commas(desk: Desk, fake: FakePacs) -> None:
    several = match(1)
    several.ModalitiesInStudy = ["CT", "SR"]
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF00, dataset=several), Respond()]))
    assert "CT, SR" in desk("find", "archive").out


def test_hostile_words_take_over_no_terminal(desk: Desk, fake: FakePacs) -> None:
    hostile = match(1)
    hostile.StudyDescription = "\x1b[2J\r\nfaked"
    fake.on_request(Operation.C_FIND, Script([Respond(0xFF00, dataset=hostile), Respond()]))
    answer = desk("find", "archive")
    assert "\x1b" not in answer.out
    assert len(answer.out.splitlines()) == 2


@pytest.mark.parametrize("as_json", [False, True], ids=["table", "json"])
def test_ctrl_c_cancels_and_shows_what_came(desk: Desk, fake: FakePacs, *, as_json: bool) -> None:
    """In a process of its own: a signal goes to whoever holds the terminal."""
    reached = threading.Event()

    def matches() -> Iterator[Respond]:
        for number in range(1_000_000):
            if number == 50:
                reached.set()
            yield Respond(0xFF00, dataset=match(number))

    fake.on_request(Operation.C_FIND, Script(matches()))
    words = ["find", "archive", *(["--json"] if as_json else [])]
    command = [sys.executable, "-m", "gurney_daemon", "--config", str(desk.folder / "gurney.toml"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert reached.wait(30)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    if as_json:
        document = json.loads(out)
        assert document["status"] == 0xFE00
        assert document["ok"] is False
        assert len(document["matches"]) == document["count"] > 0
        assert document["complete"] is False
    else:
        assert len(out.splitlines()) > 1
        assert err.endswith("cancelled, there may be more\n")
    assert "PLANTED" not in err
