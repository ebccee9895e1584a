"""One instance on its way into a folder: a Part 10 file that gets its name only when it is whole (PS3.10 7)."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from struct import Struct

from gurney.dicom.leading import HEAD, read_leading
from gurney.dicom.uids import is_valid_uid
from gurney.pacs.errors import BadResponse
from gurney.pacs.implementation import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from gurney.pacs.wire.leftovers import incoming_name, is_held

__all__ = [
    "CANNOT_UNDERSTAND",
    "DOES_NOT_MATCH",
    "OUT_OF_RESOURCES",
    "STORED",
    "Arrival",
    "Ration",
    "TooLong",
    "origin_elements",
    "secure_names",
]

# PS3.4 table B.2-1.
STORED, OUT_OF_RESOURCES, DOES_NOT_MATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000

_PREAMBLE = b"\0" * 128 + b"DICM"
_SHORT = Struct("<HH2sH").pack
_LONG = Struct("<HH2sHI").pack


# A peer hears only at the end that its instance is too long; this much beyond the limit, we expect no end any more.
_TO_COME_TO_AN_END = 1 << 24


class TooLong(OSError):
    """Report a data set that is longer than we take."""

    def __init__(self) -> None:
        super().__init__(errno.EFBIG, "longer than max_instance_bytes")


class Ration:
    """Count the bytes of one data set against its limit; None is no limit."""

    def __init__(self, limit: int | None) -> None:
        self._limit, self._taken = limit, 0

    def takes(self, length: int) -> bool:
        """Count a fragment and tell whether all so far is within the limit."""
        self._taken += length
        return self._limit is None or self._taken <= self._limit

    @property
    def is_endless(self) -> bool:
        """Tell whether so much has come beyond the limit that no end is to be expected."""
        return self._limit is not None and self._taken > 2 * self._limit + _TO_COME_TO_AN_END


class Arrival:
    """Take the fragments of one data set, in order, then judge and keep it.

    :meth:`close` says what to answer; :meth:`settle` makes a stored instance safe, and gives it its name. In between
    it is whole but not safe: a crash of the machine could still take it. Nothing is kept of more than ``limit`` bytes,
    nor where the ``status`` is not success from the start. Without a ``name`` it gets that of its UID. ``origin`` goes
    into its File Meta Information as :func:`origin_elements` gives it.
    """

    def __init__(
        self,
        folder: Path,
        sop_class_uid: str,
        sop_instance_uid: str,
        transfer_syntax_uid: str,
        limit: int | None = None,
        *,
        name: str = "",
        origin: bytes = b"",
        status: int = STORED,
    ) -> None:
        self.sop_class_uid = sop_class_uid
        self.sop_instance_uid = sop_instance_uid
        self.transfer_syntax_uid = transfer_syntax_uid
        self._folder = os.fspath(folder)
        self._name = name or f"{sop_instance_uid}.dcm"
        self._origin = origin
        self._incoming = ""
        self._fd = -1
        self._head = b""
        self._status = status
        self._ration = Ration(limit)
        self.failure: OSError | None = None
        """Why we could not store it, where the fault is ours: a :class:`TooLong`, or what the system said."""
        if not is_valid_uid(sop_instance_uid) or not is_valid_uid(sop_class_uid):
            # No path is ever made of such a UID.
            self._status = DOES_NOT_MATCH

    @property
    def path(self) -> Path:
        """Where it is once it is safe."""
        return Path(self._folder, self._name)

    def write(self, *fragments: bytes | memoryview) -> None:
        """Take the next fragments, 512 at most. What goes wrong is kept for the answer.

        Raises BadResponse for a data set that goes on far beyond its limit.
        """
        length = sum(map(len, fragments))
        if not self._ration.takes(length):
            if self._ration.is_endless:
                raise BadResponse("an instance without an end")
            self.refuse(TooLong())
        if self._status != STORED or not length:
            return
        for fragment in fragments:
            if len(self._head) == HEAD:
                break
            self._head += fragment[: HEAD - len(self._head)]
        try:
            if self._fd < 0:
                self._open()
                uids = self.sop_class_uid, self.sop_instance_uid, self.transfer_syntax_uid
                header = _header(*uids, self._origin)
                fragments = (header, *fragments)
            _write_all(self._fd, fragments)
        except OSError as error:
            self.refuse(error)

    def refuse(self, failure: OSError) -> None:
        """Keep nothing of it, because we have no room for it."""
        if self._status == STORED:
            self._status, self.failure = OUT_OF_RESOURCES, failure
        # Now, not at the end of the message, which may be far off or never come: others need what room there is.
        self.discard()

    def close(self) -> int:
        """Return the status to answer (PS3.4 B.2.3); an instance that is not stored is deleted now."""
        if self._status == STORED:
            self._status = self._judge()
        if self._status != STORED:
            self.discard()
        return self._status

    def hasten(self) -> None:
        """Have the system begin to write a stored instance to the disk, without waiting for it.

        Once many have begun, the filesystem's journal commits the blocks of all of them at once, not with each fsync
        anew.
        """
        # Told that its cached pages are no longer needed, the system begins to write those that the disk does not have
        # yet.
        with suppress(OSError):
            os.posix_fadvise(self._fd, 0, 0, os.POSIX_FADV_DONTNEED)

    def fileno(self) -> int:
        """Give the descriptor of what came, to read from and to wait for the disk on, until it is settled."""
        return self._fd

    def name(self) -> None:
        """Give it its name before it is safe, for who asks at the next start whether it is whole. Raises OSError."""
        try:
            os.replace(self._incoming, f"{self._folder}/{self._name}")
        except OSError:
            self.discard()
            raise
        self._incoming = f"{self._folder}/{self._name}"

    def release(self) -> None:
        """Close a file that has its name; one without is gone."""
        if self._fd >= 0 and self._incoming != f"{self._folder}/{self._name}":
            self.discard()
        elif self._fd >= 0:
            self._close_fd()

    def settle(self, *, durable: bool = True) -> None:
        """Write a stored instance through to the disk and name it. Raises OSError, and then it is gone.

        Its name outlives a crash of the machine only after :func:`secure_names`.
        """
        try:
            if durable:
                os.fsync(self._fd)
            os.replace(self._incoming, f"{self._folder}/{self._name}")
        except OSError:
            self.discard()
            raise
        self._close_fd()

    def discard(self) -> None:
        """Let go of what was written."""
        if self._fd >= 0:
            self._close_fd()
            with suppress(OSError):
                os.unlink(self._incoming)

    def _open(self) -> None:
        while self._fd < 0:
            self._incoming = f"{self._folder}/{incoming_name()}"
            self._fd = os.open(self._incoming, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
            if not is_held(self._fd):
                self._close_fd()

    def _close_fd(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _judge(self) -> int:
        """Compare its head with what the command set says of it (PS3.4 B.2.3)."""
        leading = read_leading(self._head, self.transfer_syntax_uid)
        if not leading.is_instance:
            return CANNOT_UNDERSTAND  # of a data set without a byte as well
        is_of_class = leading.sop_class_uid in (None, self.sop_class_uid)
        is_named_so = leading.sop_instance_uid in (None, self.sop_instance_uid)
        return STORED if is_of_class and is_named_so else DOES_NOT_MATCH


def secure_names(folder: str | os.PathLike[str]) -> None:
    """Write the names in a folder through to the disk: a file's own fsync says nothing of them. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write_all(fd: int, parts: Sequence[bytes | memoryview]) -> None:
    """Write in one call, or in several where the system takes only a part: on a nearly full disk, the last fails."""
    written = os.writev(fd, parts)
    for part in parts:
        rest = part[written:]
        written = max(0, written - len(part))
        while rest:
            rest = rest[os.write(fd, rest) :]


def origin_elements(sending_ae_title: str, receiving_ae_title: str, address: str) -> bytes:
    """Encode who sent an instance, to whom and from where, as File Meta Information has it (PS3.10 table 7.1-1)."""
    elements = []
    for element, title in ((0x0017, sending_ae_title), (0x0018, receiving_ae_title)):
        text = title.encode("ascii", "replace")
        text += b" " * (len(text) % 2)
        elements.append(_SHORT(0x0002, element, b"AE", len(text)) + text)
    text = f"dicom://{f'[{address}]' if ':' in address else address}".encode("ascii", "replace")
    text += b" " * (len(text) % 2)
    elements.append(_LONG(0x0002, 0x0026, b"UR", 0, len(text)) + text)
    return b"".join(elements)


def _header(sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, origin: bytes) -> bytes:
    """Encode the preamble and the File Meta Information (PS3.10 7.1)."""
    before, behind = _repeated(sop_class_uid, transfer_syntax_uid)
    body = before + _uid(0x0003, sop_instance_uid.encode("ascii")) + behind + origin
    return _PREAMBLE + _SHORT(0x0002, 0x0000, b"UL", 4) + len(body).to_bytes(4, "little") + body


@lru_cache(maxsize=256)
def _repeated(sop_class_uid: str, transfer_syntax_uid: str) -> tuple[bytes, bytes]:
    """Encode what all instances of a kind have in common, before and behind their own UID."""
    name = IMPLEMENTATION_VERSION_NAME.encode("ascii")
    version = _LONG(0x0002, 0x0001, b"OB", 0, 2) + b"\0\1"
    return version + _uid(0x0002, sop_class_uid.encode("ascii")), b"".join(
        (
            _uid(0x0010, transfer_syntax_uid.encode("ascii")),
            _uid(0x0012, IMPLEMENTATION_CLASS_UID.encode("ascii")),
            _SHORT(0x0002, 0x0013, b"SH", len(name)),
            name,
        )
    )


def _uid(element: int, uid: bytes) -> bytes:
    padded = uid + b"\0" * (len(uid) % 2)
    return _SHORT(0x0002, element, b"UI", len(padded)) + padded
