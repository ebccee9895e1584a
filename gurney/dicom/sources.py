"""Where a walk gets its bytes: a file as it lies there, or the inflated stream of a deflated one.

Both answer ``read_at`` with at most the bytes asked for and never hold more than a window, so that the memory of a walk
does not grow with the file.
"""

from __future__ import annotations

import os
import sys
import zlib
from typing import Final, Protocol

from gurney.dicom.errors import Part10Error, Reason, TruncatedError

__all__ = ["FileSource", "InflateSource", "Source", "is_unwritten"]

_CHUNK: Final = 64 * 1024


class Source(Protocol):
    """Bytes by position. ``end`` is where they stop, ``sys.maxsize`` while nobody can know."""

    @property
    def end(self) -> int: ...

    def read_at(self, position: int, count: int) -> bytes:
        """Give up to ``count`` bytes; fewer only at the end. Raises TruncatedError for a position behind it."""


class FileSource:
    """The bytes of a file, by ``pread``: the descriptor's own offset stays untouched."""

    __slots__ = ("_fd", "end")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self.end = size

    def read_at(self, position: int, count: int) -> bytes:
        """Read; a file that has shrunk since its size was taken is truncated."""
        wanted = min(count, self.end - position)
        if wanted < 0:
            raise TruncatedError(f"a value ends at byte {position} of a file of {self.end}")
        if not wanted:
            return b""
        data = os.pread(self._fd, wanted, position)
        if len(data) < wanted:
            raise TruncatedError(f"the file shrank below {self.end} bytes while it was read")
        return data


class InflateSource:
    """The data set inside a deflate stream (PS3.5 A.5), forward only.

    A 2 MB file can inflate to 2 GB: what is passed over is thrown away block by block, and the total may not exceed
    ``limit`` bytes. The stream has no length of its own, so ``end`` is known only once it was reached, and only then
    ``rest``: how many bytes of the file follow the stream.
    """

    __slots__ = ("_buffer", "_compressed", "_inflater", "_limit", "_next", "_start", "end", "rest")

    def __init__(self, fd: int, offset: int, size: int, limit: int) -> None:
        self._compressed = FileSource(fd, size)
        self._next = offset
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._limit = limit
        self._buffer = b""
        self._start = 0
        self.end = sys.maxsize
        self.rest = 0

    def read_at(self, position: int, count: int) -> bytes:
        """Inflate up to ``position + count``; never further back than the last position asked for.

        Raises Part10Error: DEFLATE_BOMB past the limit, CORRUPT for what is no deflate stream; TruncatedError for one
        that the file cuts short.
        """
        while self._start + len(self._buffer) < position + count and self.end == sys.maxsize:
            self._forget(position)
            self._inflate()
        self._forget(position)
        if position > self.end:
            raise TruncatedError(f"a value ends at byte {position} of an inflated data set of {self.end}")
        return self._buffer[:count]

    def _forget(self, position: int) -> None:
        drop = min(position - self._start, len(self._buffer))
        if drop:
            self._buffer = self._buffer[drop:]
            self._start += drop

    def _inflate(self) -> None:
        packed = self._inflater.unconsumed_tail
        if not packed:
            packed = self._compressed.read_at(self._next, _CHUNK)
            self._next += len(packed)
        try:
            data = self._inflater.decompress(packed, _CHUNK)
        except zlib.error:
            raise Part10Error(Reason.CORRUPT, f"no deflate stream before byte {self._next}") from None
        self._buffer += data
        inflated = self._start + len(self._buffer)
        if inflated > self._limit:
            raise Part10Error(Reason.DEFLATE_BOMB, f"the data set inflates to more than {self._limit} bytes")
        if self._inflater.eof:
            self.end = inflated
            self.rest = len(self._inflater.unused_data) + self._compressed.end - self._next
        elif not data and not packed:
            raise TruncatedError("the file ends inside its deflate stream")


def is_unwritten(rest: bytes) -> bool:
    """Tell whether space that was reserved but not yet written starts here, or within one element's header."""
    return not rest[:8].strip(b"\0") or (len(rest) > 12 and not rest[12:].strip(b"\0"))
