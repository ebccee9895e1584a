"""The UIDs at the head of a data set, for whoever sees it only as it streams by (PS3.5 7.1, PS3.4 B.2.3)."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple

from gurney.dicom.encodings import encoding_of, is_deflated
from gurney.dicom.uids import uid_of

__all__ = ["HEAD", "Leading", "read_leading"]

HEAD: Final = 1024
"""As many bytes of a data set as are worth looking at: the two UIDs are among its first elements."""

_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_UNDEFINED = 0xFFFFFFFF


class Leading(NamedTuple):
    """What the head of a data set tells: its UIDs, each None where it does not.

    ``is_instance`` is False of what can't be an instance: it is no data set, or its UIDs are not in their place.
    """

    sop_class_uid: str | None
    sop_instance_uid: str | None
    is_instance: bool


def read_leading(head: bytes, transfer_syntax_uid: str) -> Leading:
    """Read how a data set begins: :data:`HEAD` bytes, or all that there are. It may be anything."""
    is_whole = len(head) < HEAD
    if is_deflated(transfer_syntax_uid):
        try:
            head = zlib.decompressobj(-zlib.MAX_WBITS).decompress(head, HEAD)
        except zlib.error:
            return Leading(None, None, is_instance=False)
        is_whole = len(head) < HEAD
    encoding = encoding_of(transfer_syntax_uid)
    found: dict[int, str | None] = {}
    at = 0
    while at + 12 <= len(head):
        header = encoding.read_header(head, at)
        tag, length, at = encoding.key(header[0]), header[-1], at + 8
        if encoding.explicit:
            if header[1] in encoding.long_vrs:
                (length,), at = encoding.read_long(head, at), at + 4
            elif header[1] not in encoding.short_vrs:
                return Leading(None, None, is_instance=False)
        if tag > _SOP_INSTANCE:
            # Elements come in the order of their tags (PS3.5 7.1).
            is_whole = True
            break
        if length == _UNDEFINED or at + length > len(head):
            # A sequence before them, of whatever length: what lies behind it is not here.
            is_whole = is_whole and length != _UNDEFINED
            break
        if tag in (_SOP_CLASS, _SOP_INSTANCE):
            found[tag] = uid_of(head[at : at + length])
        at += length
    sop_class_uid, sop_instance_uid = found.get(_SOP_CLASS), found.get(_SOP_INSTANCE)
    has_both = sop_class_uid is not None and sop_instance_uid is not None
    return Leading(sop_class_uid, sop_instance_uid, is_instance=has_both or not is_whole)
