"""What tells whether a file is still the one that was looked at: device, inode, size and time of modification."""

from __future__ import annotations

import os
from typing import NamedTuple

from gurney.ledger.arrivals import KnownFile

__all__ = ["Signature"]

_HALF, _WHOLE = 1 << 63, 1 << 64


class Signature(NamedTuple):
    """A file's identity and state as the ledger can store it: signed 64-bit numbers."""

    dev: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Signature:
        """Take the signature from what ``stat`` said."""
        return cls(_signed(status.st_dev), _signed(status.st_ino), status.st_size, _signed(status.st_mtime_ns))

    def is_of(self, known: KnownFile) -> bool:
        """Tell whether the ledger's file at this path is unchanged.

        The device does not count: shares and disks get another number at each mount, and what is read again for that
        reason alone is read in vain.
        """
        return (self.inode, self.size, self.mtime_ns) == (known.inode, known.size, known.mtime_ns)


def _signed(number: int) -> int:
    """Fold what the system gives as unsigned 64 bits (or a time past the year 2262) into what a database holds."""
    number %= _WHOLE
    return number - _WHOLE if number >= _HALF else number
