"""Open a settled file and read its header: the place where untrusted bytes meet us."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from gurney.dicom.errors import Part10Error, Reason
from gurney.dicom.part10 import Part10, read_part10
from gurney.dicom.policy import ReadPolicy
from gurney.dicom.values import Value
from gurney.ledger.arrivals import InstanceFacts, SeriesFacts, StudyFacts
from gurney_daemon.ingest.errors import FileChanged
from gurney_daemon.ingest.signature import Signature

__all__ = ["check_unchanged", "instance_facts", "opened", "read_header"]

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


def instance_facts(part: Part10) -> InstanceFacts:
    """Say of an instance what the ledger keeps."""
    text = _texts(part)
    return InstanceFacts(
        sop_instance_uid=part.sop_instance_uid,
        sop_class_uid=part.sop_class_uid,
        transfer_syntax_uid=part.transfer_syntax_uid,
        size=part.size - part.dataset_offset,
        study=StudyFacts(
            study_instance_uid=part.study_instance_uid,
            patient_id=text(0x00100020),
            issuer_of_patient_id=text(0x00100021),
            patient_name=text(0x00100010),
            patient_birth_date=text(0x00100030),
            patient_sex=text(0x00100040),
            accession_number=text(0x00080050),
            study_date=text(0x00080020),
            study_time=text(0x00080030),
            study_description=text(0x00081030),
        ),
        series=SeriesFacts(
            series_instance_uid=part.series_instance_uid,
            modality=text(0x00080060),
            body_part_examined=text(0x00180015),
            series_description=text(0x0008103E),
        ),
    )


def _texts(part: Part10) -> Callable[[int], str]:
    def text(tag: int) -> str:
        return _text(part.value(tag))

    return text


def _text(value: Value) -> str:
    if value is None:
        return ""
    return "\\".join(map(str, value)) if isinstance(value, list) else str(value)
