"""Patients are planted in everything that comes in; then everything that was written is searched for them."""

from __future__ import annotations

import base64
import binascii
import os
import re
import socket
import sys
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import psutil
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from sqlalchemy import select

from gurney.jobs import embedded_url
from gurney.ledger.database import Ledger
from gurney.ledger.models import Base, Conflict, File, Instance, Item
from gurney.pacs.testing import Break, FakePacs, Respond
from gurney.transfer.states import FileState, ItemState, Routing
from tests.services import Service, wait_until

NAME, PATIENT_ID, ACCESSION, BIRTH_DATE = "Qvxzor^Plantnym", "PLANTID7731", "PLANTACC55", "19070523"
PLANTED = re.compile(
    rb"qvxzor|plantnym|plantid7731|plantacc55|19070523|plantdoctor|plantwords|plantclinic", re.IGNORECASE
)
PEER_SAYS = f"no room for {NAME} {PATIENT_ID}"
# Where people look patients up, and what the modality called its files.
ALLOWED = {
    ("attempt", "comment"),  # what the peer said, for whoever looks at one item's trail
    ("file", "path"),
    ("series", "series_description"),
    ("study", "accession_number"),
    ("study", "patient_birth_date"),
    ("study", "patient_id"),
    ("study", "patient_name"),
    ("study", "study_description"),
}

CONFIGURATION = """\
[node]
data_dir = "data"

[spool]
keep_free = "1MB"

[log]
format = "json"
level = "debug"

[[remote]]
name = "archive"
ae_title = "FAKEPACS"
host = "127.0.0.1"
port = {port}

[[watch]]
name = "ct1"
path = "incoming"
settle_seconds = 0.2
scan_seconds = 1

[[route]]
name = "thin slices"
when = "t.SliceThickness < 2.0"
scope = "instance"
send_to = ["archive"]
"""


class GurneyUp(Service):
    """`gurney up`, with its log on disk."""

    name = "gurney-up"

    def command(self) -> list[str]:
        return [sys.executable, "-m", "gurney_daemon", "--config", str(self.folder / "gurney.toml"), "up"]

    def is_ready(self) -> bool:
        return b"daemon_started" in self.log.read_bytes()


class Wiretap:
    """Everything that is sent to the broker, from the moment of listening."""

    def __init__(self, path: str) -> None:
        self._heard = bytearray()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._socket.sendall(b"MONITOR\r\n")
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while heard := self._socket.recv(65536):
            self._heard += heard

    def close(self) -> bytes:
        """Return what was heard, and the bodies of messages without their base64."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()
        return bytes(self._heard) + b"".join(unwrapped(bytes(self._heard)))


def unwrapped(text: bytes) -> Iterator[bytes]:
    for run in re.findall(rb"[A-Za-z0-9+/]{16,}={0,2}", text):
        try:
            yield base64.b64decode(run, validate=True)
        except binascii.Error:
            continue


def planted_file(thickness: str = "1.25000", sop_instance_uid: str = "", window: int = 40) -> tuple[str, bytes]:
    """Make an image whose header names a patient wherever a header can."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, sop_instance_uid or generate_uid()
    dataset.StudyDate, dataset.AccessionNumber = "20240229", ACCESSION
    dataset.Modality, dataset.InstitutionName, dataset.ReferringPhysicianName = "CT", "Plantclinic", "Plantdoctor"
    dataset.StudyDescription, dataset.SeriesDescription = "Plantwords of a study", "Plantwords of a series"
    dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate = NAME, PATIENT_ID, BIRTH_DATE
    dataset.SliceThickness = "1.25000"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = 16, 16
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.WindowCenter = window
    dataset.PixelData = bytes(range(256)) * 2
    dataset["PixelData"].VR = "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    content = file.getvalue().replace(b"1.25000 ", thickness.encode().ljust(8))
    return str(dataset.SOPInstanceUID), content


class Site:
    """A folder with Gurney, its ledger, and files whose names carry the patient too."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.incoming = folder / "incoming" / NAME
        self.incoming.mkdir(parents=True)
        (folder / "gurney.toml").write_text(CONFIGURATION.format(port=port))
        self._files = 0
        self.ledger = Ledger(f"sqlite:///{folder / 'data' / 'ledger.sqlite3'}", create=True)

    def drop(self, content: bytes) -> None:
        self._files += 1
        path = self.incoming / f"{NAME}_{PATIENT_ID}_{BIRTH_DATE}_{self._files}.dcm"
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(content)
        unfinished.rename(path)

    def states(self) -> dict[str, tuple[int, int | None]]:
        query = select(Instance.sop_instance_uid, Instance.routing, Item.state)
        with self.ledger.read() as conn:
            rows = conn.execute(query.outerjoin(Item, Item.instance_id == Instance.id)).all()
        return {row.sop_instance_uid: (row.routing, row.state) for row in rows}

    def refused(self) -> list[str]:
        with self.ledger.read() as conn:
            return sorted(conn.scalars(select(File.reason).where(File.state == FileState.QUARANTINED)))

    def conflicts(self) -> int:
        with self.ledger.read() as conn:
            return len(conn.execute(select(Conflict.id)).all())

    def columns_with_patients(self) -> set[tuple[str, str]]:
        found = set()
        with self.ledger.read() as conn:
            for table in Base.metadata.sorted_tables:
                for row in conn.execute(select(table)).mappings():
                    for column, value in row.items():
                        content = value if isinstance(value, bytes) else str(value).encode()
                        if PLANTED.search(content):
                            found.add((table.name, str(column)))
        return found


@pytest.mark.slow
def test_patients_stay_in_their_columns(tmp_path: Path) -> None:
    with FakePacs() as pacs:
        site = Site(tmp_path, pacs.port)
        stored, good = planted_file()
        # What makes people and programs talk: errors, with the peer's own words in them.
        spoken = {
            ItemState.WARNED: Respond(0xB000, comment=PEER_SAYS),
            ItemState.FAILED: Respond(0xA900, comment=PEER_SAYS),
            ItemState.RETRY: Respond(0xC123, comment=PEER_SAYS),
        }
        expected: dict[str, tuple[int, int | None]] = {stored: (Routing.ROUTED, ItemState.DONE)}
        files = [good]
        for state, answer in spoken.items():
            uid, content = planted_file()
            pacs.on_uid(uid, answer)
            expected[uid] = (Routing.ROUTED, state)
            files.append(content)
        aborted, content = planted_file()
        pacs.on_uid(aborted, Break())
        expected[aborted] = (Routing.ROUTED, ItemState.RETRY)
        files.append(content)
        unroutable, content = planted_file(thickness="Plantnym")
        expected[unroutable] = (Routing.ERROR, None)
        files.append(content)
        # What is refused: cut short, no DICOM at all, and a patient's name in place of a UID.
        files += [planted_file()[1][:-100], f"{NAME} {PATIENT_ID} {BIRTH_DATE}".encode() * 20]
        uid, content = planted_file()
        files.append(content.replace(uid.encode(), NAME.ljust(len(uid)).encode()))

        with GurneyUp(tmp_path) as gurney:
            url = embedded_url(str(tmp_path / "data"))
            assert url is not None
            wiretap = Wiretap("/" + url.partition(":///")[2].partition("?")[0])
            for file in files:
                site.drop(file)
            wait_until(lambda: site.states() == expected, 60, "the ledger to say what happened", interval=0.2)
            site.drop(planted_file(sop_instance_uid=stored, window=41)[1])
            wait_until(site.conflicts, 30, "the conflict", interval=0.2)
            wait_until(lambda: len(site.refused()) == 4, 60, "four refused files", interval=0.2)
            processes = [psutil.Process(gurney.pid), *psutil.Process(gurney.pid).children(recursive=True)]
            command_lines = b"\n".join(" ".join(process.cmdline()).encode() for process in processes)
            messages = wiretap.close()
            gurney.stop()
        log = gurney.log.read_bytes()

        assert site.columns_with_patients() == ALLOWED
        site.ledger.dispose()
        # Each place first shows that it says something: an empty one would prove nothing.
        for place, says in ((log, b"file_quarantined"), (messages, b"archive"), (command_lines, b"gurney_workers")):
            assert says in place
            assert PLANTED.search(place) is None, PLANTED.search(place)
        names = [os.path.join(folder, name) for folder, _, names in os.walk(tmp_path / "data") for name in names]
        assert any("spool" in name for name in names)
        assert [name for name in names if PLANTED.search(os.fsencode(name))] == []
