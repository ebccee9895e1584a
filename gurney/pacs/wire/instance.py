"""What goes out, and what came of it: one instance, its file, its result."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from typing import NamedTuple, Protocol, Self

from pydicom.dataset import Dataset

from gurney.dicom.encodings import is_deflated
from gurney.dicom.status import is_stored
from gurney.pacs.wire.command import DimsePriority
from gurney.transfer.outcomes import Event, EventKind

__all__ = [
    "EncodedDataset",
    "FileSignature",
    "InstanceFile",
    "Payload",
    "StoreRequest",
    "StoreResult",
    "UnusableFileError",
]

_OPEN_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""Never through a symbolic link that someone slipped in, never waiting for a writer of a FIFO, never into a child."""
_THE_FILES_OWN = frozenset(
    {errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO}
)
"""What the system says of a file that is not there, not ours to read, or no file."""
_THE_PROCESSES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What the system says when this process, or this host, has no more of something."""


class FileSignature(NamedTuple):
    """What a file looked like when it was accepted; it must look the same when it is sent.

    What is None is not compared: ``ctime_ns`` changes when another hard link to the file goes, ``dev`` and ``inode``
    differ between hosts that share a file.
    """

    size: int
    mtime_ns: int
    ctime_ns: int | None = None
    dev: int | None = None
    inode: int | None = None

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Take the signature of a file from its status."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_dev, status.st_ino)

    def matches(self, status: os.stat_result) -> bool:
        """Tell whether a file still is the one that was signed."""
        return (
            self.size == status.st_size
            and self.mtime_ns == status.st_mtime_ns
            and self.ctime_ns in (None, status.st_ctime_ns)
            and self.dev in (None, status.st_dev)
            and self.inode in (None, status.st_ino)
        )


class StoreRequest(NamedTuple):
    """One instance to be stored: where its bytes lie and what they are.

    ``dataset_offset`` is where the data set begins in the file, behind the file meta information; its bytes are sent as
    they are. ``key`` is the caller's and comes back with the result. A ``dataset`` is encoded in
    ``transfer_syntax_uid`` and sent in place of a file.
    """

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    dataset_offset: int = 0
    signature: FileSignature | None = None
    key: object = None
    priority: DimsePriority = DimsePriority.MEDIUM
    dataset: Dataset | None = None

    def __repr__(self) -> str:
        # Neither the data set nor the path, which a modality may have named after a patient.
        return f"StoreRequest(sop_instance_uid={self.sop_instance_uid!r}, key={self.key!r})"


class StoreResult(NamedTuple):
    """What came of one request.

    ``status`` is the DIMSE status, None when there was no response; then ``event`` says what happened instead.
    ``comment`` and ``offending_elements`` are the peer's (0000,0902) and (0000,0901). ``seconds`` runs from the first
    byte sent to the response. ``sop_instance_uid`` is the one that was sent: coercion and a lossy compression change
    it. ``transfer_syntax_uid`` is what it went out in, "" where it never was on its way. ``is_skipped`` says that it
    has not failed: it was found in a folder and is nothing to send (no DICOM, a DICOMDIR, a link), or a listener held
    it back.
    """

    request: StoreRequest
    event: Event
    sop_instance_uid: str
    status: int | None = None
    comment: str = ""
    offending_elements: tuple[int, ...] = ()
    bytes_sent: int = 0
    seconds: float = 0.0
    transfer_syntax_uid: str = ""
    is_skipped: bool = False

    def __repr__(self) -> str:
        # Not the peer's words, which may name a patient.
        return f"StoreResult(request={self.request!r}, event={self.event!r}, status={self.status!r})"

    @property
    def is_stored(self) -> bool:
        """Tell whether the peer said that it holds the instance: success, or a warning (PS3.4 B.2.3)."""
        return self.status is not None and is_stored(self.status)

    @property
    def is_transcoded(self) -> bool:
        """Tell whether it went out in another transfer syntax than it was in."""
        return self.transfer_syntax_uid not in ("", self.request.transfer_syntax_uid)


class UnusableFileError(Exception):
    """Report a file that can't be sent. The words carry no path.

    ``event`` says whose fault that is: the file's own (FILE_MISSING: missing, forbidden, changed, no plain file), our
    own for want of something (LOCAL), or, not to be told apart, the file's or its disk's or share's (UNREADABLE).
    """

    def __init__(self, detail: str, kind: EventKind = EventKind.FILE_MISSING) -> None:
        super().__init__(detail)
        self.event = Event(kind, detail=detail)

    @classmethod
    def of(cls, error: OSError) -> Self:
        """Read what the system said."""
        words = error.strerror or "unreadable"
        if error.errno in _THE_FILES_OWN:
            return cls(words)
        return cls(words, EventKind.LOCAL if error.errno in _THE_PROCESSES else EventKind.UNREADABLE)


class Payload(Protocol):
    """Encoded bytes of a data set."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    def read_into(self, gaps: Sequence[memoryview], position: int) -> None:
        """Fill the gaps with the bytes from a position on; raise :class:`UnusableFileError` if they are not there."""

    def read(self) -> bytes:
        """Return all of it."""

    def close(self) -> None:
        """Let go of the source."""


class InstanceFile:
    """The data set of an open file, guarded against whatever happens to the file meanwhile."""

    def __init__(self, request: StoreRequest) -> None:
        try:
            self._fd = os.open(request.path, _OPEN_FLAGS)
        except OSError as error:
            raise UnusableFileError.of(error) from error
        except ValueError as error:
            raise UnusableFileError("not a file name") from error
        try:
            self._status = self._look()
            self._offset = request.dataset_offset
            self._in_file = self._status.st_size - self._offset
            # A deflated data set must be even; fragments on the wire must be, so the missing NUL is added (PS3.5 A.5).
            self._pad = self._in_file % 2 if is_deflated(request.transfer_syntax_uid) else 0
            self.size = self._in_file + self._pad
            if not stat.S_ISREG(self._status.st_mode):
                raise UnusableFileError("not a regular file")
            if request.signature is not None and not request.signature.matches(self._status):
                raise UnusableFileError("changed since it was accepted")
            if self._in_file <= 0:
                raise UnusableFileError("it holds no data set")
        except BaseException:  # whatever it was goes on; nobody else knows the descriptor yet
            os.close(self._fd)
            raise

    def read_into(self, gaps: Sequence[memoryview], position: int) -> None:
        """Fill the gaps in one call, at most 1,024 of them."""
        wanted = sum(map(len, gaps))
        try:
            got = os.preadv(self._fd, gaps, self._offset + position)
        except OSError as error:
            raise UnusableFileError.of(error) from error
        if position + wanted == self.size:
            if self._pad:
                gaps[-1][-1] = 0
                got += 1
            self._check_unchanged()
        if got != wanted:
            raise UnusableFileError("became shorter while it was read")

    def read(self) -> bytes:
        """Return the whole data set."""
        whole = bytearray(self.size)
        view, at = memoryview(whole), 0
        while at < self.size:
            step = min(self.size - at, 1 << 30)
            self.read_into([view[at : at + step]], at)
            at += step
        return bytes(whole)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def _check_unchanged(self) -> None:
        """Compare once more behind the last byte, so that no mixture of two versions is ever completed."""
        now = self._look()
        if now.st_mtime_ns != self._status.st_mtime_ns or now.st_size != self._status.st_size:
            raise UnusableFileError("changed while it was read")

    def _look(self) -> os.stat_result:
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise UnusableFileError.of(error) from error


class EncodedDataset:
    """A data set that lies encoded in memory."""

    def __init__(self, encoded: bytes) -> None:
        self._encoded = memoryview(encoded)
        self.size = len(encoded)

    def read_into(self, gaps: Sequence[memoryview], position: int) -> None:
        """Copy into the gaps."""
        for gap in gaps:
            gap[:] = self._encoded[position : position + len(gap)]
            position += len(gap)

    def read(self) -> bytes:
        """Return all of it."""
        return bytes(self._encoded)

    def close(self) -> None:
        """Nothing is open."""
