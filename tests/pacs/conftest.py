"""An engine around every test, and instances that are quick to make: a fake PACS does not look into a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import AssociationFailure, DicomEngine, FileSignature, QueryRetrieveScu, StoreRequest, StoreResult
from tests.pacs.datasets import noise

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT = "1.2.840.10008.1.2.1"
CT_ONLY = [ContextProposal(CT, EXPLICIT)]

MakeRequests = Callable[..., list[StoreRequest]]


@pytest.fixture(autouse=True)
def engine() -> Iterator[None]:
    with DicomEngine():
        yield


@pytest.fixture
def make_requests(tmp_path: Path) -> MakeRequests:
    """Make files of noise: ``make_requests(count, size=1000, head=0)``, ``head`` bytes before the data set."""

    def make(count: int, *, size: int = 1000, head: int = 0, sop_class_uid: str = CT) -> list[StoreRequest]:
        requests = []
        for number in range(1, count + 1):
            path = tmp_path / f"{sop_class_uid}-{size}-{number}"
            uid = f"1.2.3.{number}"
            path.write_bytes(b"h" * head + noise(sop_class_uid, uid, size)[:size])
            signature = FileSignature.of(path.stat())
            requests.append(StoreRequest(str(path), sop_class_uid, uid, EXPLICIT, head, signature, key=number))
        return requests

    return make


def digest(request: StoreRequest) -> str:
    """The SHA-256 of the bytes that should arrive."""
    return hashlib.sha256(Path(request.path).read_bytes()[request.dataset_offset :]).hexdigest()


def take(running: Iterator[StoreResult]) -> tuple[list[StoreResult], AssociationFailure | None]:
    """Take all results up to the failure, if there is one."""
    results: list[StoreResult] = []
    try:
        for result in running:
            results.append(result)
    except AssociationFailure as failure:
        return results, failure
    return results, None


WAYS = ["fast", "plain"]


def query_scu(way: str) -> QueryRetrieveScu:
    """An SCU that goes this way on the wire."""
    return QueryRetrieveScu("GURNEY", fast_path=way == "fast")


@pytest.fixture(params=[True, False], ids=WAYS)
def fast_path(request: pytest.FixtureRequest) -> bool:
    """Both ways on the wire."""
    return bool(request.param)


def study_of(number: int, *, size: int = 100) -> Dataset:
    """A study of one CT instance of one patient; ``size`` bytes of pixel data."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CT, f"1.2.3.{number}.1.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    made.PatientID, made.PatientName = f"P{number}", f"Doe^Number{number}"
    made.Modality, made.StudyDate, made.AccessionNumber = "CT", "20240101", f"A{number}"
    made.add_new(0x7FE00010, "OW", bytes(size))
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = EXPLICIT
    return made
