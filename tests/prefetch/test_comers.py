"""Who comes: a list with lines that can't be used, and a real worklist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import DicomEngine
from gurney.prefetch.appointments import who_comes
from gurney.prefetch.comers import ListUnusable, on_list
from gurney.settings import Settings, load
from tests.services.dcmtk import WlmScpFs

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = date(2026, 11, 24)


def written(folder: Path, text: str) -> str:
    path = folder / "list.csv"
    path.write_text(text, encoding="utf-8-sig")
    return str(path)


def test_a_list_says_who_comes_and_for_what(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "patient_id,accession,modality,description,scheduled\n"
        '4711;OLD-4711,A1,CT,"CT Thorax, nativ",2026-11-25T08:30\n'
        "4712,,,,\n",
    )
    (first, second), mistakes = on_list(path, BERLIN, TODAY)
    assert mistakes == []
    assert first.patient_ids == ("4711", "OLD-4711")
    assert first.scheduled_at == datetime(2026, 11, 25, 8, 30, tzinfo=BERLIN).timestamp()
    assert (first.current.day, first.current.accession_number) == (date(2026, 11, 25), "A1")
    assert (first.current.description, first.current.modalities) == ("CT Thorax, nativ", ("CT",))
    assert (second.scheduled_at, second.current.day) == (None, TODAY)


def test_a_bad_line_stops_no_other_and_is_named_without_what_stands_in_it(tmp_path: Path) -> None:
    path = written(tmp_path, "patient_id,scheduled\n4711,tomorrow\n,2026-11-25\n4712,2026-11-25T09:00,more\n4713,\n")
    comers, mistakes = on_list(path, BERLIN, TODAY)
    assert [comer.patient_ids for comer in comers] == [("4713",)]
    assert [mistake.line for mistake in mistakes] == [2, 3, 4]
    assert not any("4711" in mistake.words or "tomorrow" in mistake.words for mistake in mistakes)


@pytest.mark.parametrize(
    ("text", "told"),
    [("", "line 1 must name"), ("id\n1\n", "line 1 must name"), ("patient_id,colour\n", "unknown columns colour")],
)
def test_a_list_without_its_columns_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ListUnusable, match=told):
        on_list(written(tmp_path, text), BERLIN, TODAY)


def test_a_list_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ListUnusable, match="No such file"):
        on_list(str(tmp_path / "none.csv"), BERLIN, TODAY)


@pytest.fixture(scope="module")
def worklist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WlmScpFs]:
    with WlmScpFs(tmp_path_factory.mktemp("worklist")) as ris:
        for name, patient, day, begins in (
            ("early", "P2", "20261125", "0800"),
            ("late", "P1", "20261125", "1530"),
            ("again", "P1", "20261125", "1530"),
            ("other", "P3", "20261126", "0900"),
        ):
            ris.schedule(name, entry(patient, day, begins))
        yield ris


def entry(patient: str, day: str, begins: str) -> Dataset:
    made = Dataset()
    made.PatientID, made.PatientName = patient, "Planted^Name"
    made.AccessionNumber, made.StudyInstanceUID = f"A-{patient}", f"1.2.3.{patient[1]}"
    made.RequestedProcedureID, made.RequestedProcedureDescription = "1", "CT Thorax"
    step = Dataset()
    step.ScheduledStationAETitle, step.Modality = "CT1", "CT"
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = day, begins
    step.ScheduledProcedureStepID, step.ScheduledProcedureStepDescription = "1", "Thorax"
    made.ScheduledProcedureStepSequence = [step]
    return made


def settings_of(worklist: WlmScpFs, folder: Path) -> Settings:
    path = folder / "gurney.toml"
    path.write_text(
        f'[node]\ndata_dir = "{folder}"\ntimezone = "Europe/Berlin"\n'
        + "".join(
            f'[[remote]]\nname = "{name}"\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'
            for name, title, port in (("ris", "WORKLIST", worklist.port), ("archive", "A", 104), ("station", "S", 104))
        )
        + '[[prefetch]]\nname = "a"\nworklist = "ris"\nfrom = ["archive"]\nto = ["station"]\nhorizon = "next_day"\n'
        + 'schedule = "0 20 * * *"\n',
        encoding="utf-8",
    )
    return load(str(path), {})


def test_a_worklist_says_who_comes_the_earliest_first_and_each_once(worklist: WlmScpFs, tmp_path: Path) -> None:
    settings = settings_of(worklist, tmp_path)
    with DicomEngine():
        comers, _ = who_comes(settings, settings.prefetch[0], datetime(2026, 11, 24, 20, 0, tzinfo=BERLIN).timestamp())
    assert [comer.patient_ids for comer in comers] == [("P2",), ("P1",)]
    first = comers[0]
    assert first.scheduled_at == datetime(2026, 11, 25, 8, 0, tzinfo=BERLIN).timestamp()
    assert (first.current.accession_number, first.current.description) == ("A-P2", "CT Thorax")
    assert (first.current.study_instance_uid, first.current.modalities) == ("1.2.3.2", ("CT",))
