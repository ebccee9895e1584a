"""The demo's own view of Part 10, apart from Gurney's, so that one mistake can't hide another (PS3.10 7.1)."""

from __future__ import annotations

import struct
from typing import Final

__all__ = ["dataset_of"]

_PREAMBLE: Final = 128
_GROUP_LENGTH: Final = struct.Struct("<4sHH2sHI")  # DICM, then (0002,0000) UL with its length of 4 and its value


def dataset_of(content: bytes) -> bytes:
    """Give the data set's bytes: all that follows group 2. Raises ValueError where no group length is found."""
    magic, group, element, vr, _, length = _GROUP_LENGTH.unpack_from(content, _PREAMBLE)
    if (magic, group, element, vr) != (b"DICM", 0x0002, 0x0000, b"UL"):
        raise ValueError("the file does not begin with a preamble and (0002,0000)")
    return content[_PREAMBLE + _GROUP_LENGTH.size + length :]
