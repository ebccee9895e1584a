"""Instances that come in over an association of ours: to files, never whole through memory (PS3.10 7, PS3.4 B.2)."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID
from pynetdicom.dimse_primitives import C_STORE, DimseServiceType

from gurney.dicom.uids import is_valid_uid
from gurney.pacs.contexts import NegotiatedContexts
from gurney.pacs.dimse import Dimse

__all__ = ["Inbox", "IncomingDataset", "Keeping", "Received"]

_IN_MEMORY = 1 << 16
_PREAMBLE = b"\0" * 128 + b"DICM"


@dataclass(frozen=True, slots=True)
class Received:
    """An instance that has arrived, whole and on disk."""

    path: Path = field(repr=False)
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str


class IncomingDataset(BytesIO):
    """The data set of a message on its way: in memory while it is short, then in a file of the folder.

    pynetdicom writes each fragment into it, in its upper-layer thread. What goes wrong with the disk is remembered for
    whoever answers the message.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._file: BinaryIO | None = None
        self.error: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Take the next fragment."""
        length = memoryview(data).nbytes
        if self.error is not None:
            return length
        if self._file is None and self.tell() + length <= _IN_MEMORY:
            return super().write(data)
        try:
            self._spilled().write(data)
        except OSError as error:
            self.error = error
        return length

    def save(self, path: Path, meta: FileMetaDataset) -> None:
        """Write a Part 10 file, fsynced, under its name only when it is whole. Raises OSError."""
        head = DicomBytesIO()
        head.is_implicit_VR, head.is_little_endian = False, True
        head.write(_PREAMBLE)
        write_file_meta_info(head, meta, enforce_standard=False)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix=".incoming-", delete=False) as whole:
            try:
                whole.write(head.getvalue())
                if self._file is None:
                    whole.write(self.getbuffer())
                whole.flush()
                self._copy_to(whole.fileno())
                os.fsync(whole.fileno())
                Path(whole.name).replace(path)
            except BaseException:  # whatever it was goes on: half an instance must not stay
                with suppress(OSError):
                    Path(whole.name).unlink()
                raise

    def discard(self) -> None:
        """Let go of what was written."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _spilled(self) -> BinaryIO:
        if self._file is None:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - for as long as the message lasts
            self._file.write(self.getbuffer())
            self.seek(0)
            self.truncate()
        return self._file

    def _copy_to(self, fd: int) -> None:
        """Let the system copy what went to a file. Raises OSError, also one of before."""
        if self.error is not None:
            raise self.error
        if self._file is None:
            return
        self._file.flush()
        source, at = self._file.fileno(), 0
        while copied := os.copy_file_range(source, fd, 1 << 30, at):
            at += copied


class Inbox:
    """A folder that takes what a peer stores. ``on_received`` hears of each instance once it is safe."""

    def __init__(self, folder: Path, on_received: Callable[[Received], object]) -> None:
        self.folder = folder
        self._on_received = on_received

    def take(
        self, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, dataset: IncomingDataset
    ) -> int:
        """Keep an instance as ``<SOP Instance UID>.dcm`` and return the status to answer (PS3.4 B.2.3)."""
        if not is_valid_uid(sop_instance_uid):
            dataset.discard()
            return 0xA900
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = UID(sop_class_uid)
        meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
        meta.TransferSyntaxUID = UID(transfer_syntax_uid)
        path = self.folder / f"{sop_instance_uid}.dcm"
        try:
            dataset.save(path, meta)
        except OSError:
            return 0xA700
        finally:
            dataset.discard()
        self._on_received(Received(path, sop_class_uid, sop_instance_uid, transfer_syntax_uid))
        return 0x0000


def answer_to(request: C_STORE, status: int) -> C_STORE:
    """Make the response to a C-STORE-RQ (PS3.7 9.1.1)."""
    response = C_STORE()
    response.MessageIDBeingRespondedTo = request.MessageID
    response.AffectedSOPClassUID = request.AffectedSOPClassUID
    response.AffectedSOPInstanceUID = request.AffectedSOPInstanceUID
    response.Status = status
    return response


class Keeping:
    """Answer the C-STOREs that a peer makes on an association of ours, by what an inbox says of each."""

    def __init__(self, inbox: Inbox, contexts: NegotiatedContexts, dimse: Dimse) -> None:
        self._inbox, self._dimse = inbox, dimse
        self._syntaxes = {context.context_id: context.transfer_syntax_uid for context in contexts.all}

    def __call__(self, message: DimseServiceType, context_id: int) -> bool:
        """Keep an instance and answer; False for any other message."""
        if not isinstance(message, C_STORE) or not isinstance(message.DataSet, IncomingDataset):
            return False
        status = self._inbox.take(
            str(message.AffectedSOPClassUID),
            str(message.AffectedSOPInstanceUID),
            self._syntaxes[context_id],
            message.DataSet,
        )
        self._dimse.send(answer_to(message, status), context_id)
        return True
