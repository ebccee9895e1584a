"""Images of pydicom's test set, of those that come with its package."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydicom.data import get_testdata_file

from gurney.dicom.errors import FORGIVABLE
from gurney.dicom.part10 import read_part10
from gurney.dicom.policy import ReadPolicy

LENIENT = ReadPolicy(forgive=FORGIVABLE)


@dataclass(frozen=True)
class Shipped:
    """A file, its data set as it lies there, and what that is encoded in."""

    path: Path
    encoded: bytes
    transfer_syntax_uid: str
    sop_instance_uid: str


def shipped(name: str) -> Shipped:
    path = Path(str(get_testdata_file(name, download=False)))
    fd = os.open(path, os.O_RDONLY)
    try:
        header = read_part10(fd, policy=LENIENT)
    finally:
        os.close(fd)
    encoded = path.read_bytes()[header.dataset_offset :]
    return Shipped(path, encoded, header.transfer_syntax_uid, header.sop_instance_uid)
