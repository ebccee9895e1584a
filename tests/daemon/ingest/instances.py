"""Small DICOM files, made by pydicom, of which a test says only what matters to it."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

__all__ = ["CT_IMAGE", "PATIENT", "ct_bytes", "drop"]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
# Planted in every file, and looked for in every log.
PATIENT = "Zebrowski^Quirin"


def ct_bytes(
    *,
    sop_instance_uid: str = "",
    study: str = "1.2.3.4",
    series: str = "1.2.3.4.5",
    modality: str = "CT",
    pixels: bytes = b"\x01\x02" * 64,
    body_part: str = "CHEST",
) -> bytes:
    """Return a whole Part 10 file."""
    ds = Dataset()
    ds.SOPClassUID = CT_IMAGE
    ds.SOPInstanceUID = sop_instance_uid or generate_uid()
    ds.Modality = modality
    ds.PatientName, ds.PatientID = PATIENT, "MRN-77"
    ds.BodyPartExamined = body_part
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
    ds.Rows, ds.Columns, ds.BitsAllocated = 8, 8, 16
    ds.BitsStored, ds.HighBit, ds.PixelRepresentation, ds.SamplesPerPixel = 12, 11, 0, 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = pixels
    ds["PixelData"].VR = "OW"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def drop(folder: Path, name: str, content: bytes | None = None) -> Path:
    """Write a file into a folder, made if need be."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ct_bytes() if content is None else content)
    return path
