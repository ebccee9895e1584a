"""Patients with a past, stored at archives that we did not write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

from gurney.pacs import RemoteAE, StoreScu

__all__ = ["CHART", "Entry", "store"]

ROOT = "1.2.826.0.1.3680043.10.1561"


@dataclass(frozen=True)
class Entry:
    """One study: whose, when, what."""

    number: int
    patient_id: str
    date: str
    description: str
    modality: str = "CT"
    body_part: str = ""
    instances: int = 2
    codes: tuple[str, ...] = ()

    @property
    def uid(self) -> str:
        return f"{ROOT}.{self.number}"


CHART = (
    Entry(1, "4711", "20260301", "CT Thorax nativ"),
    Entry(2, "4711", "20250901", "CT Thorax mit KM", instances=3, codes=("CTCH1", "CTAB1")),
    Entry(3, "4711", "20240101", "MRT Kniegelenk links", "MR"),
    Entry(4, "OLD-4711", "20230601", "", "DX", "CHEST", 1),
    Entry(5, "4711", "20100101", "CT Thorax"),
    Entry(6, "47110", "20250101", "CT Thorax eines anderen"),
    Entry(7, "4711", "20250801", "Arztbrief", "SR", instances=1),
)
"""The first is the current study; 6 is somebody else's, whose ID begins alike."""


def store(remote: RemoteAE, folder: Path, entries: Iterable[Entry]) -> None:
    """Store the studies of a chart."""
    dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
    paths = []
    for entry in entries:
        for instance in range(1, entry.instances + 1):
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = entry.uid, f"{entry.uid}.1"
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{entry.uid}.1.{instance}"
            dataset.PatientID, dataset.PatientName = entry.patient_id, "Planted^Name"
            dataset.StudyDate, dataset.StudyDescription = entry.date, entry.description
            dataset.AccessionNumber = f"A{entry.number}"
            dataset.Modality, dataset.BodyPartExamined = entry.modality, entry.body_part
            dataset.ProcedureCodeSequence = [_item(code) for code in entry.codes]
            dataset.InstanceNumber = instance
            paths.append(folder / f"{entry.number}-{instance}.dcm")
            dataset.save_as(paths[-1])
    assert all(result.is_stored for result in StoreScu("GURNEY").store_many(remote, paths))


def _item(code: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "99LOCAL", "of a procedure"
    return item
