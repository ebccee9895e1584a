"""The UIDs at the head of a data set, for whoever sees it only as it streams by (PS3.5 7.1, PS3.4 B.2.3)."""

from __future__ import annotations

import zlib
from typing import Final

from gurney.dicom.encodings import encoding_of, is_deflated
from gurney.dicom.uids import uid_of

__all__ = ["HEAD", "leading_uids"]

HEAD: Final = 1024
"""As many bytes of a data set as are worth looking at: the two UIDs are among its first elements."""

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_UNDEFINED = 0xFFFFFFFF


def leading_uids(head: bytes, transfer_syntax_uid: str) -> tuple[str | None, str | None]:
    """Return the SOP Class UID and the SOP Instance UID, each None where the head does not tell it.

    ``head`` is how the data set begins, :data:`HEAD` bytes or all that there are. It may be anything: what can't be
    read tells nothing.
    """
    if is_deflated(transfer_syntax_uid):
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD)
        except zlib.error:
            return None, None
    encoding = encoding_of(transfer_syntax_uid)
    found: dict[int, str | None] = {}
    at = 0
    while at + 12 <= len(head):
        header = encoding.read_header(head, at)
        tag, length, at = encoding.key(header[0]), header[-1], at + 8
        if encoding.explicit and header[1] not in encoding.short_vrs:
            (length,), at = encoding.read_long(head, at), at + 4
        if tag > _SOP_INSTANCE or length == _UNDEFINED or at + length > len(head):
            break
        if tag in (_SOP_CLASS, _SOP_INSTANCE):
            found[tag] = uid_of(head[at : at + length])
        at += length
    return found.get(_SOP_CLASS), found.get(_SOP_INSTANCE)
