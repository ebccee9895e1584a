"""Generate the corpora that the benchmarks send: python benchmarks/corpus.py FOLDER [ct] [tiny] [large] [mix].

ct: 2,000 CT images of 0.5 MB. tiny: 5,000 images of 10 KB. large: 4 multi-frame images of 250 MB. mix: every instance
among pydicom's test files, in all their transfer syntaxes. Sizes can be scaled down: ``ct=200`` makes 200 of them.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pydicom
from pydicom.data import get_testdata_files
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    generate_uid,
)

COUNTS = {"ct": 2000, "tiny": 5000, "large": 4, "mix": 1}
SHAPES = {"ct": (512, 512, 1), "tiny": (64, 72, 1), "large": (512, 512, 477)}


def instance(study_instance_uid: str, series_instance_uid: str, number: int, shape: tuple[int, int, int]) -> Dataset:
    """Make up one image whose pixels do not repeat."""
    rows, columns, frames = shape
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = MultiFrameGrayscaleWordSecondaryCaptureImageStorage if frames > 1 else CTImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.StudyDate, dataset.StudyTime = "20240229", "081500"
    dataset.AccessionNumber = f"A{number:06d}"
    dataset.Modality = "CT"
    dataset.Manufacturer = "Benchmark"
    dataset.PatientName, dataset.PatientID = "Load^Test", "BENCH-1"
    dataset.PatientBirthDate, dataset.PatientSex = "19600606", "F"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study_instance_uid, series_instance_uid
    dataset.StudyID, dataset.SeriesNumber, dataset.InstanceNumber = "1", 1, number
    dataset.ImagePositionPatient = [-120, -120, number]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    if frames > 1:
        dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns, dataset.PixelSpacing = rows, columns, [0.48, 0.48]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.RescaleIntercept, dataset.RescaleSlope = -1024, 1
    dataset.WindowCenter, dataset.WindowWidth = 50, 350
    pixels = np.random.default_rng(number).integers(0, 4096, rows * columns * frames, dtype=np.uint16)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def generate(folder: Path, name: str, count: int) -> None:
    """Write so many instances of one corpus, in series of 500."""
    folder.mkdir(parents=True, exist_ok=True)
    study_instance_uid = generate_uid()
    for number in range(1, count + 1):
        if number % 500 == 1:
            series_instance_uid = generate_uid()
        dataset = instance(study_instance_uid, series_instance_uid, number, SHAPES[name])
        dataset.save_as(folder / f"{number:05d}.dcm", enforce_file_format=True)


def collect(folder: Path) -> None:
    """Copy what is storable among pydicom's test files."""
    folder.mkdir(parents=True, exist_ok=True)
    for place, path in enumerate(sorted(get_testdata_files())):
        if not os.path.isfile(path):
            continue
        try:
            meta = pydicom.dcmread(path, stop_before_pixels=True).file_meta
        except (InvalidDicomError, OSError, ValueError):
            continue
        if meta.get("MediaStorageSOPClassUID") not in (None, MediaStorageDirectoryStorage):
            shutil.copy(path, folder / f"{place:03d}_{Path(path).name}")


def main() -> None:
    """Read the arguments and write the corpora."""
    folder = Path(sys.argv[1])
    for wish in sys.argv[2:] or COUNTS:
        name, _, count = wish.partition("=")
        if name == "mix":
            collect(folder / name)
        else:
            generate(folder / name, name, int(count or COUNTS[name]))


if __name__ == "__main__":
    main()
