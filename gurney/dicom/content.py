"""Tell whether two files carry the same instance: their bytes after group 2.

The same data set arrives with different meta headers, by folder and by C-STORE, so a comparison of whole files would
call it two. Equal bytes in different transfer syntaxes are different data sets: compare the syntaxes too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Final

__all__ = ["dataset_digest", "same_dataset"]

_BLOCK: Final = 1024 * 1024


def dataset_digest(fd: int, dataset_offset: int) -> bytes:
    """Give the 32-byte BLAKE2b digest of a file from ``dataset_offset`` to its end. Raises OSError."""
    digest = hashlib.blake2b(digest_size=32)
    for block in _blocks(fd, dataset_offset):
        digest.update(block)
    return digest.digest()


def same_dataset(fd: int, dataset_offset: int, other_fd: int, other_offset: int) -> bool:
    """Tell whether two files are equal from their offsets to their ends, reading no further than the first difference.

    Raises OSError.
    """
    if os.fstat(fd).st_size - dataset_offset != os.fstat(other_fd).st_size - other_offset:
        return False
    others = _blocks(other_fd, other_offset)
    return all(block == next(others, b"") for block in _blocks(fd, dataset_offset))


def _blocks(fd: int, position: int) -> Iterator[bytes]:
    while block := os.pread(fd, _BLOCK, position):
        yield block
        position += len(block)
