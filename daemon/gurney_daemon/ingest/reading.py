"""Open a settled file and read its header: the place where untrusted bytes meet us."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from gurney.dicom.errors import Part10Error, Reason
from gurney.dicom.part10 import Part10, read_part10
from gurney.dicom.policy import ReadPolicy
from gurney.dicom.values import Value
from gurney.ledger.arrivals import InstanceFacts, SeriesFacts, StudyFacts
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.signature import Signature

__all__ = ["Facts", "check_unchanged", "opened", "read_header"]

_Raw = tuple[object, ...]

# In the order of StudyFacts and SeriesFacts, behind what tells how to read them.
_CHARACTER_SET: Final = 0x00080005
_STUDY_TAGS: Final = (
    _CHARACTER_SET,
    0x00100020,  # Patient ID
    0x00100021,  # Issuer of Patient ID
    0x00100010,  # Patient's Name
    0x00100030,  # Patient's Birth Date
    0x00100040,  # Patient's Sex
    0x00080050,  # Accession Number
    0x00080020,  # Study Date
    0x00080030,  # Study Time
    0x00081030,  # Study Description
)
_SERIES_TAGS: Final = (
    _CHARACTER_SET,
    0x00080060,  # Modality
    0x00180015,  # Body Part Examined
    0x0008103E,  # Series Description
)
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def opened(path: bytes, signature: Signature) -> Iterator[int]:
    """Open a file that must still look as it did: no link, pipe or device, and nothing that was swapped in.

    Raises FileChanged, or OSError where the system refuses.
    """
    try:
        fd = os.open(path, _FLAGS)
    except OSError as error:
        # A link, or a socket: there was a file when we looked.
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise FileChanged(None) from None
        raise
    try:
        check_unchanged(fd, signature)
        yield fd
    finally:
        os.close(fd)


def check_unchanged(fd: int, signature: Signature) -> None:
    """Raise FileChanged unless an open file still looks as it did."""
    status = os.fstat(fd)
    now = Signature.of(status)
    if now != signature:
        raise FileChanged(now if stat.S_ISREG(status.st_mode) else None)


def read_header(fd: int, wanted: frozenset[int], policy: ReadPolicy) -> Part10:
    """Read the header and walk to the end of the file. Raises Part10Error or a refinement, and nothing else."""
    try:
        return read_part10(fd, wanted=wanted, policy=policy)
    except Part10Error:
        raise
    except Exception as error:  # noqa: BLE001 - the parse boundary: whatever the bytes provoke is a reason to refuse
        raise Part10Error(Reason.CORRUPT, f"reading it ended in {type(error).__name__}") from None


class Facts:
    """Say of instances what the ledger keeps, remembering the last study's and series's: instances share them."""

    def __init__(self) -> None:
        """Start with nothing remembered."""
        self._study: tuple[_Raw, StudyFacts] | None = None
        self._series: tuple[_Raw, SeriesFacts] | None = None

    def of(self, part: Part10) -> InstanceFacts:
        """Return an instance's facts."""
        raw = (part.study_instance_uid, part.encoding, *map(part.elements.get, _STUDY_TAGS))
        if self._study is None or self._study[0] != raw:
            self._study = raw, StudyFacts(part.study_instance_uid, *(_text(part.value(tag)) for tag in _STUDY_TAGS[1:]))
        raw = (part.series_instance_uid, part.encoding, *map(part.elements.get, _SERIES_TAGS))
        if self._series is None or self._series[0] != raw:
            texts = (_text(part.value(tag)) for tag in _SERIES_TAGS[1:])
            self._series = raw, SeriesFacts(part.series_instance_uid, *texts)
        return InstanceFacts(
            sop_instance_uid=part.sop_instance_uid,
            sop_class_uid=part.sop_class_uid,
            transfer_syntax_uid=part.transfer_syntax_uid,
            size=part.size - part.dataset_offset,
            study=self._study[1],
            series=self._series[1],
        )


def _text(value: Value) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list) else str(value)
