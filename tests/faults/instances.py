"""Small CT studies, made for each test, so that no test can live on another's bytes."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

__all__ = ["CT", "Instance", "digest_of", "drop", "make_study"]

_WRITTEN_AT = 1_700_000_000

CT = "1.2.840.10008.5.1.4.1.1.2"


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as a Part 10 file. ``digest`` is the SHA-256 of its data set, which is what must arrive."""

    sop_instance_uid: str
    study_instance_uid: str
    part10: bytes
    digest: str

    @property
    def file_name(self) -> str:
        """The name under which a modality drops it."""
        return f"{self.sop_instance_uid}.dcm"


def make_study(
    count: int, *, study_instance_uid: str = "", sop_class_uid: str = CT, pixels: int = 32
) -> list[Instance]:
    """Make a study of one series; each instance has ``pixels`` by ``pixels`` of two bytes."""
    study, series, frame = study_instance_uid or generate_uid(), generate_uid(), generate_uid()
    return [_instance(number, str(study), str(series), str(frame), sop_class_uid, pixels) for number in range(count)]


def drop(folder: Path, *instances: Instance) -> None:
    """Put instances into a watched folder: whole and all at once, so that they are taken in as one group."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as export:
        for instance in instances:
            path = Path(export, instance.file_name)
            path.write_bytes(instance.part10)
            os.utime(path, (_WRITTEN_AT, _WRITTEN_AT))
        os.rename(export, folder / Path(export).name)
        os.mkdir(export)


def _instance(number: int, study: str, series: str, frame: str, sop_class_uid: str, pixels: int) -> Instance:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop_class_uid, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = "Planted^Name", "PLANTED-ID", "19700101"
    dataset.StudyDate, dataset.StudyID, dataset.AccessionNumber = "20250102", "1", "PLANTED-NUMBER"
    dataset.Modality, dataset.SeriesNumber, dataset.InstanceNumber = "CT", 1, number + 1
    dataset.Rows = dataset.Columns = pixels
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation, dataset.SamplesPerPixel = 15, 0, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PixelData = hashlib.sha256(dataset.SOPInstanceUID.encode()).digest() * (pixels * pixels // 16)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = io.BytesIO()
    pydicom.dcmwrite(file, dataset, enforce_file_format=True)
    part10 = file.getvalue()
    return Instance(str(dataset.SOPInstanceUID), study, part10, digest_of(part10))


def digest_of(part10: bytes) -> str:
    """Return the SHA-256 of the data set in a Part 10 file.

    It lies behind preamble, "DICM" and a meta header whose first element says how long the rest of it is (PS3.10 7.1).
    """
    return hashlib.sha256(part10[132 + 12 + int.from_bytes(part10[140:144], "little") :]).hexdigest()
