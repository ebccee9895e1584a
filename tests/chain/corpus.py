"""pydicom's bundled test files, as pydicom reads them: what can be stored, and what must arrive."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble

__all__ = ["FOLDER", "Sample", "read_corpus"]

FOLDER = Path(pydicom.data.__file__).parent / "test_files"


@dataclass(frozen=True, slots=True)
class Sample:
    """A Part 10 file with everything that a C-STORE needs. ``dataset`` is what must arrive, bit for bit."""

    name: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    part10: bytes
    dataset_offset: int

    @property
    def dataset(self) -> bytes:
        """The data set's bytes."""
        return self.part10[self.dataset_offset :]


def read_corpus() -> list[Sample]:
    """Read every bundled file that is a storable instance.

    Several hold one SOP Instance UID with different contents, which would be a conflict: all but the first of them
    get a UID of their own, of the same length and in the same places.
    """
    samples: list[Sample] = []
    seen: set[str] = set()
    for path in sorted(FOLDER.rglob("*")):
        sample = _read(path) if path.is_file() else None
        if sample is None:
            continue
        while sample.sop_instance_uid in seen:
            sample = _renamed(sample, seen)
        seen.add(sample.sop_instance_uid)
        samples.append(sample)
    return samples


def _read(path: Path) -> Sample | None:
    """Read a file as pydicom does; None of what lacks what a C-STORE needs, or does not end where it says."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True)
            read_preamble(file, force=False)
            meta = _read_file_meta_info(file)
            uids = str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)
            if not (dataset.StudyInstanceUID and dataset.SeriesInstanceUID):
                return None
            return Sample(
                str(path.relative_to(FOLDER)), *uids, str(meta.TransferSyntaxUID), path.read_bytes(), file.tell()
            )
        except (InvalidDicomError, AttributeError, EOFError):
            return None


def _renamed(sample: Sample, taken: set[str]) -> Sample:
    """Give a sample another SOP Instance UID, of the same length."""
    old = sample.sop_instance_uid
    stem, _, last = old.rpartition(".")
    number = int(last)
    new = old
    while new in taken or len(new) != len(old):
        number = (number + 1) % 10 ** len(last)
        new = f"{stem}.{number}"
    part10 = sample.part10.replace(old.encode(), new.encode())
    assert old.encode() in sample.dataset, f"{sample.name}: its UID can be replaced in the data set as it lies"
    return Sample(sample.name, sample.sop_class_uid, new, sample.transfer_syntax_uid, part10, sample.dataset_offset)
