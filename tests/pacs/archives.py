"""Archives that we did not write, filled for queries and retrieves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import generate_uid

from gurney.pacs import RemoteAE, StoreScu, Timeouts
from tests.services.dcmjs_archive import DcmjsArchive
from tests.services.dcmtk import DcmQrScp
from tests.services.orthanc import Orthanc
from tests.services.presence import require
from tests.services.tiny_pacs import TinyPacs

__all__ = ["STUDIES", "Archive", "fill", "filled"]

STUDIES = 4


@dataclass(frozen=True)
class Archive:
    """A peer that holds four studies of two patients, each of two series with two images."""

    remote: RemoteAE
    studies: list[str]
    instances: dict[str, set[str]]


@contextmanager
def filled(kind: str, folder: Path, destinations: dict[str, int]) -> Iterator[Archive]:
    """Start an archive that knows these move destinations by AE title and port on loopback, and fill it."""
    peer: Orthanc | DcmQrScp | TinyPacs | DcmjsArchive
    (folder / "peer").mkdir()
    if kind == "orthanc":
        require("Orthanc")
        known = {title: [title, "127.0.0.1", port] for title, port in destinations.items()}
        peer = Orthanc(folder / "peer", settings={"DicomModalities": known})
    elif kind == "tiny-pacs":
        peer = TinyPacs(folder / "peer", move_destinations=destinations)
    elif kind == "dcmjs-dimse":
        peer = DcmjsArchive(folder / "peer", move_destinations=destinations)
    else:
        require("dcmqrscp")
        peer = DcmQrScp(folder / "peer", move_destinations=destinations)
    with peer:
        timeouts = Timeouts(connect=5, acse=10, store=20, find=20, move=20)
        yield fill(RemoteAE(peer.ae_title, "127.0.0.1", peer.port, timeouts), folder)


def fill(remote: RemoteAE, folder: Path) -> Archive:
    """Store the four studies at an archive; ``folder`` takes their files."""
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    archive = Archive(remote, [generate_uid() for _ in range(STUDIES)], {})
    paths = []
    for number, study in enumerate(archive.studies):
        uids = archive.instances.setdefault(study, set())
        for modality in ("CT", "SR"):
            series = generate_uid()
            for image in (1, 2):
                uid = generate_uid()
                uids.add(uid)
                template.StudyInstanceUID, template.SeriesInstanceUID = study, series
                template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = uid
                template.PatientID = f"P{number % 2}"
                template.PatientName = "Müller^Jürgen" if number % 2 else "Doe^Jane"
                template.SpecificCharacterSet = "ISO_IR 100"
                template.StudyDate = f"2024010{number + 1}"
                template.AccessionNumber, template.StudyID = f"A{number}", str(number)
                template.Modality, template.InstanceNumber = modality, image
                paths.append(folder / f"{number}-{modality}-{image}.dcm")
                template.save_as(paths[-1])
    assert all(result.is_stored for result in StoreScu("GURNEY").store_many(remote, paths))
    return archive
