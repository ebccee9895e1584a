"""A day's schedule with faults: at its end the workstation has exactly the priors that the rule says, no more, no less.

``GURNEY_DAY_PATIENTS=200`` makes it the day of a hospital: a thousand priors of two hundred patients.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.faults.harness import Site
from tests.services.dcmtk import WlmScpFs
from tests.services.orthanc import Orthanc
from tests.services.ports import free_port
from tests.services.waiting import wait_until

pytestmark = pytest.mark.slow

PATIENTS = int(os.environ.get("GURNEY_DAY_PATIENTS", "12"))
INSTANCES = 2
TODAY = datetime.now(UTC).date()
TOMORROW = TODAY + timedelta(days=1)
# What each patient has had: modality, description, age in days, and whether a CT of the thorax wants it.
_EVERYBODY = [("CT", "CT Thorax", 100, True), ("CT", "CT Thorax mit KM", 500, True)]
_OTHERS = [
    [("CT", "CT Thorax", 900, True), ("CT", "CT Thorax", 1_400, False), ("MR", "MR Knie links", 30, False)],
    [("CT", "CT Thorax", 3_000, False), ("MR", "MR Kopf", 60, False), ("US", "Sono Schilddrüse", 90, False)],
    [("SR", "Befund", 99, True), ("CT", "CT Thorax", 1_000, True), ("MR", "MR Kopf", 400, False)],
    [("CT", "CT Thorax", 2_500, False), ("CT", "CT Kopf", 5, False), ("DX", "Knie rechts", 70, False)],
]


@dataclass
class Hospital:
    """What was done of whom, and what of it is to be at the workstation tomorrow."""

    studies: int = 0
    wanted: set[str] = field(default_factory=set)

    def fill(self, archive: Orthanc, patients: int) -> None:
        for number in range(patients):
            for modality, description, days, is_wanted in [*_EVERYBODY, *_OTHERS[number % len(_OTHERS)]]:
                uids = self._store(archive, number, modality, description, TODAY - timedelta(days=days))
                self.wanted |= uids if is_wanted else set()
            if number % 5 == 0:
                # What is to be done has begun to be archived: it is no prior of itself.
                self._store(archive, number, "CT", "CT Thorax", TODAY, accession=f"NEXT{number}")

    def _store(
        self, archive: Orthanc, patient: int, modality: str, description: str, day: date, accession: str = ""
    ) -> set[str]:
        self.studies += 1
        study, series = generate_uid(), generate_uid()
        uids = set()
        for _ in range(INSTANCES):
            dataset = Dataset()
            dataset.SpecificCharacterSet = "ISO_IR 192"
            dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
            dataset.SOPInstanceUID = generate_uid()
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
            dataset.PatientID, dataset.PatientName = f"DAY{patient}", "Planted^Name"
            dataset.StudyDate, dataset.AccessionNumber = f"{day:%Y%m%d}", accession or f"A{self.studies}"
            dataset.StudyDescription, dataset.Modality = description, modality
            dataset.Rows = dataset.Columns = 16
            dataset.BitsAllocated = dataset.BitsStored = 8
            dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 7, 0, 1
            dataset.PhotometricInterpretation, dataset.PixelData = "MONOCHROME2", bytes(256)
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            file = io.BytesIO()
            dcmwrite(file, dataset, enforce_file_format=True)
            archive.upload(file.getvalue())
            uids.add(str(dataset.SOPInstanceUID))
        return uids


def _entry(number: int) -> Dataset:
    """Schedule a CT of the thorax for tomorrow."""
    entry, step = Dataset(), Dataset()
    entry.PatientName, entry.PatientID = "Planted^Name", f"DAY{number}"
    entry.AccessionNumber, entry.StudyInstanceUID = f"NEXT{number}", generate_uid()
    entry.RequestedProcedureDescription, entry.RequestedProcedureID = "CT Thorax", str(number)
    step.Modality, step.ScheduledStationAETitle = "CT", "CT1"
    step.ScheduledProcedureStepStartDate = f"{TOMORROW:%Y%m%d}"
    step.ScheduledProcedureStepStartTime = f"{8 + number % 9:02}{number % 60:02}00"
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "CT Thorax", str(number)
    entry.ScheduledProcedureStepSequence = [step]
    return entry


@dataclass
class Day:
    """Everything that runs on it."""

    site: Site
    archive: Orthanc
    station: Orthanc
    hospital: Hospital

    def there(self) -> set[str]:
        return self.station.sop_instance_uids()

    def retrievals(self) -> dict[str, int]:
        told = json.loads(self.site.run("retrievals", "--limit", "10000", "--json").stdout)["retrievals"]
        states: dict[str, int] = {}
        for one in told:
            states[one["state"]] = states.get(one["state"], 0) + 1
        return states

    def wait_for_share(self, share: float) -> None:
        enough = int(len(self.hospital.wanted) * share)
        wait_until(lambda: len(self.there()) >= enough, 600, f"{enough} instances are there", interval=0.2)


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    ours = free_port()
    for name in ("archive", "station", "ris"):
        (tmp_path / name).mkdir()
    knows = {"DicomModalities": {"gurney": ["GURNEY_QR", "127.0.0.1", ours]}}
    with (
        Orthanc(tmp_path / "archive", settings=knows) as archive,
        Orthanc(tmp_path / "station", settings={"DicomAet": "STATION"}) as station,
        WlmScpFs(tmp_path / "ris") as ris,
    ):
        hospital = Hospital()
        hospital.fill(archive, PATIENTS)
        for number in range(PATIENTS):
            ris.schedule(f"entry{number}", _entry(number))
        remotes: list[dict[str, Any]] = [
            {"name": name, "ae_title": title, "host": "127.0.0.1", "port": port, "max_retrieves": 3}
            for name, title, port in (
                ("archive", "ORTHANC", archive.port),
                ("station", "STATION", station.port),
                ("ris", ris.ae_title, ris.port),
            )
        ]
        site = Site(tmp_path / "site", remotes, retrieve={"port": ours, "move_grace": "2s"}, watch={"send_to": []})
        rule = {
            "name": "tomorrow",
            "worklist": "ris",
            "every": "15s",
            "horizon": "next_day",
            "from": ["archive"],
            "to": ["station"],
            "priors": 3,
            "max_age": "5y",
        }
        keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in rule.items())
        site.config.write_text(f"{site.config.read_text()}\n[[prefetch]]\n{keys}")
        try:
            yield Day(site, archive, station, hospital)
        finally:
            site.close()
        site.check_logs()


def _kill(day: Day, word: str) -> None:
    """Kill the processes of a kind; whoever they belong to starts others."""
    doomed = [one for one in day.site.processes() if any(word in part for part in one.cmdline())]
    assert doomed, word
    for one in doomed:
        one.kill()
    psutil.wait_procs(doomed, 20)


def test_the_workstation_has_exactly_what_the_rule_says(day: Day) -> None:
    day.site.start().wait_until_ready()
    day.wait_for_share(0.1)
    _kill(day, "gurney_workers")
    day.wait_for_share(0.25)
    day.archive.stop()
    day.archive.start()
    day.wait_for_share(0.4)
    day.site.started[0].daemon().kill()
    day.wait_for_share(0.55)
    day.station.stop()
    day.station.start()
    day.site.run("retry", "--to", "station")
    day.wait_for_share(0.7)
    day.site.run("pause", "station")
    day.site.run("resume", "station")
    wait_until(lambda: day.there() >= day.hospital.wanted, 900, "all that is wanted is there", interval=0.5)
    wait_until(lambda: not {"waiting", "running"} & set(day.retrievals()), 120, "nothing is under way", interval=0.5)
    day.site.books.wait_until_complete()
    assert day.there() == day.hospital.wanted
    states = day.retrievals()
    assert set(states) == {"done"}, states
    schedule = json.loads(day.site.run("schedules", "--json").stdout)["schedules"][0]
    assert schedule["patients"] == PATIENTS
