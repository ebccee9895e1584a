"""pydicom's own test files, read by both: same UIDs, same offset; and cut short, refused."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pydicom.data
import pytest
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import _read_file_meta_info, read_preamble

from gurney.dicom.errors import FORGIVABLE, Part10Error, Reason, TruncatedError
from gurney.dicom.part10 import Part10, read_part10
from gurney.dicom.policy import STRICT, ReadPolicy
from tests.dicom.files import read

FOLDER = Path(pydicom.data.__file__).parent / "test_files"
# These are whole for pydicom; what is missing is in their names.
CUT = {"MR_truncated.dcm", "rtplan_truncated.dcm"}
# Behind the data set: gzip's CRC and size, which are no part of it.
TRAILERS = {"image_dfl.dcm": 8}
# What strict reading refuses of the files that could be sent, and why it is right.
REFUSED = {
    "badVR.dcm": Reason.UID_MISMATCH,
    "rtdose.dcm": Reason.UID_MISMATCH,
    "rtdose_1frame.dcm": Reason.UID_MISMATCH,
    "rtdose_expb.dcm": Reason.UID_MISMATCH,
    "rtdose_expb_1frame.dcm": Reason.UID_MISMATCH,
    "rtplan.dcm": Reason.UID_MISMATCH,
    "SC_rgb_jpeg.dcm": Reason.WRONG_ENCODING,
}


@dataclass(frozen=True)
class Sample:
    path: Path
    uids: tuple[str, str, str, str]
    transfer_syntax_uid: str
    dataset_offset: int

    def __str__(self) -> str:
        return self.path.name


def _sample(path: Path) -> Sample | None:
    """What pydicom reads of a file that could be sent; None of any other."""
    with warnings.catch_warnings(), path.open("rb") as file:
        warnings.simplefilter("ignore")
        try:
            dataset: FileDataset = pydicom.dcmread(path, stop_before_pixels=True)
            file.seek(0)
            read_preamble(file, force=False)
            meta = _read_file_meta_info(file)
            uids = (
                str(dataset.SOPClassUID),
                str(dataset.SOPInstanceUID),
                str(dataset.StudyInstanceUID),
                str(dataset.SeriesInstanceUID),
            )
            return Sample(path, uids, str(meta.TransferSyntaxUID), file.tell())
        except (InvalidDicomError, AttributeError, EOFError):
            return None


SAMPLES = [
    sample
    for path in sorted(FOLDER.rglob("*"))
    if path.is_file() and path.name not in CUT and (sample := _sample(path))
]


def _read(path: Path, policy: ReadPolicy = STRICT) -> Part10:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_part10(fd, policy=policy)
    finally:
        os.close(fd)


def test_the_corpus_is_there() -> None:
    assert len(SAMPLES) > 100


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_a_file_that_could_be_sent_reads_as_pydicom_reads_it(sample: Sample) -> None:
    part10 = _read(sample.path, ReadPolicy(FORGIVABLE))
    uids = part10.sop_class_uid, part10.sop_instance_uid, part10.study_instance_uid, part10.series_instance_uid
    assert uids == sample.uids
    assert part10.transfer_syntax_uid == sample.transfer_syntax_uid
    assert part10.dataset_offset == sample.dataset_offset
    assert part10.size == sample.path.stat().st_size


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_strict_reading_refuses_only_what_is_wrong_with_a_file(sample: Sample) -> None:
    try:
        _read(sample.path)
        refused = None
    except Part10Error as error:
        refused = error.reason
    # The images of the media folder are headers alone.
    expected = Reason.NO_PIXEL_DATA if sample.path.suffix != ".dcm" else REFUSED.get(sample.path.name)
    assert refused in {expected, None} if expected is Reason.NO_PIXEL_DATA else refused == expected


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.999])
def test_a_file_cut_short_is_refused(sample: Sample, part: float) -> None:
    data = sample.path.read_bytes()
    with pytest.raises(Part10Error):
        read(data[: int((len(data) - TRAILERS.get(sample.path.name, 0)) * part)])


@pytest.mark.parametrize("name", sorted(CUT))
def test_a_file_that_arrived_truncated_is_named_so(name: str) -> None:
    with pytest.raises(TruncatedError):
        _read(FOLDER / name)
