"""Make up a study: one patient, one visit, a series for each transfer syntax."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from gurney_daemon.demo.part10 import dataset_of
from gurney_daemon.demo.phantom import pixels

__all__ = ["SERIES", "Made", "SeriesPlan", "make_study"]

_IMAGE_PIXEL_GROUP, _PIXEL_DATA = 0x0028, 0x7FE00010


@dataclass(frozen=True, slots=True)
class SeriesPlan:
    """A series to make. ``donor`` names a test file of pydicom's whose frame is used as it is: no codec is needed."""

    description: str
    modality: str
    sop_class_uid: UID
    transfer_syntax_uid: UID
    instances: int
    donor: str = ""


SERIES: Final = (
    SeriesPlan("Head 1.0", "CT", CTImageStorage, ImplicitVRLittleEndian, 120),
    SeriesPlan("Head 3.0", "CT", CTImageStorage, ExplicitVRLittleEndian, 120),
    SeriesPlan("Head bone", "CT", CTImageStorage, DeflatedExplicitVRLittleEndian, 60),
    SeriesPlan("Head perfusion", "CT", CTImageStorage, RLELossless, 60),
    SeriesPlan("T1", "MR", MRImageStorage, ExplicitVRBigEndian, 60),
    SeriesPlan("T2", "MR", MRImageStorage, JPEG2000Lossless, 40, donor="MR_small_jp2klossless.dcm"),
    SeriesPlan("Screenshots", "OT", SecondaryCaptureImageStorage, JPEGBaseline8Bit, 40, donor="SC_rgb_jpeg_dcmtk.dcm"),
)

_MATRIX: Final = 160


@dataclass(frozen=True, slots=True)
class Made:
    """One instance as a Part 10 file's bytes; ``digest`` is the SHA-256 of its data set, before any disk saw it."""

    sop_instance_uid: str
    transfer_syntax_uid: str
    folder: str
    name: str
    content: bytes
    digest: str


def make_study() -> Iterator[Made]:
    """Make the instances one by one, a series after the other, under new UIDs."""
    study_instance_uid = generate_uid()
    for series_number, plan in enumerate(SERIES, 1):
        series_instance_uid = generate_uid()
        for number in range(1, plan.instances + 1):
            dataset = _identity(plan)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_instance_uid, series_instance_uid
            dataset.SeriesNumber, dataset.InstanceNumber = series_number, number
            if plan.donor:
                _add_frame(dataset, plan.donor)
            else:
                _add_phantom(dataset, plan, series_number, number)
            yield _made(dataset, f"series{series_number}", f"{plan.modality}{number:04d}.dcm")


def _identity(plan: SeriesPlan) -> Dataset:
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID, dataset.SOPInstanceUID = plan.sop_class_uid, generate_uid()
    dataset.StudyDate, dataset.StudyTime = "20240229", "081500"
    dataset.AccessionNumber = "DEMO-1"
    dataset.Modality, dataset.Manufacturer = plan.modality, "Gurney's demo"
    dataset.ReferringPhysicianName = None
    dataset.StudyDescription, dataset.SeriesDescription = "Demo", plan.description
    dataset.PatientName, dataset.PatientID = "Muster^Jörg", "DEMO"
    dataset.PatientBirthDate, dataset.PatientSex = "19600606", "O"
    dataset.StudyID = "1"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = plan.transfer_syntax_uid
    return dataset


def _add_phantom(dataset: Dataset, plan: SeriesPlan, series_number: int, number: int) -> None:
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows = dataset.Columns = _MATRIX
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    little = plan.transfer_syntax_uid.is_little_endian
    dataset.PixelData = pixels(_MATRIX, number / plan.instances, 1000 * series_number + number, little_endian=little)
    dataset["PixelData"].VR = "OW"
    if plan.transfer_syntax_uid == RLELossless:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian  # what it is until then
        dataset.compress(RLELossless, generate_instance_uid=False)


def _add_frame(dataset: Dataset, donor: str) -> None:
    for element in _donor(donor).group_dataset(_IMAGE_PIXEL_GROUP):
        dataset.add(element)
    dataset[_PIXEL_DATA] = _donor(donor)[_PIXEL_DATA]


@cache
def _donor(name: str) -> Dataset:
    path = get_testdata_file(name, download=False)
    if not isinstance(path, str):
        raise FileNotFoundError(f"{name} is not among the files that come with pydicom")
    return dcmread(path)


def _made(dataset: Dataset, folder: str, name: str) -> Made:
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    content = file.getvalue()
    return Made(
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID),
        folder=folder,
        name=name,
        content=content,
        digest=hashlib.sha256(dataset_of(content)).hexdigest(),
    )
