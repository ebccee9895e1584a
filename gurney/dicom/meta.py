"""Find and read the File Meta Information, the group 0002 that precedes a data set in a file (PS3.10 7.1)."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

from gurney.dicom import uids
from gurney.dicom.encodings import EXPLICIT_LE, recognise
from gurney.dicom.errors import Part10Error, Reason, TruncatedError
from gurney.dicom.policy import ReadPolicy
from gurney.dicom.sources import is_unwritten

__all__ = ["FileMeta", "read_meta"]

_PREAMBLE: Final = 128
_START: Final = _PREAMBLE + 4
# Holds the whole header of most instances; a larger read costs them more than the second one costs the others.
_FIRST_BLOCK: Final = 8 * 1024
# The one element that may be long is private (0002,0102); a group longer than this is no header any more.
_LIMIT: Final = 1024 * 1024

# Keys as little endian gives them: element, then group.
_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x00020002, 0x00030002, 0x00100002

# MZ; ELF; Mach-O, both ways round and fat; a script. That of a TIFF is legitimate (PS3.10 7.1).
_PROGRAMS: Final = (
    b"MZ",
    b"\x7fELF",
    b"\xfe\xed\xfa\xce",
    b"\xfe\xed\xfa\xcf",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"\xca\xfe\xba\xbe",
    b"#!",
)


class FileMeta(NamedTuple):
    """What the meta header says, where the data set starts, and the block that was read.

    A Media Storage UID is None where it is missing or none; an absent transfer syntax, where forgiven, is "".
    """

    sop_class_uid: str | None
    sop_instance_uid: str | None
    transfer_syntax_uid: str
    dataset_offset: int
    block: bytes
    executable_preamble: bool


def read_meta(fd: int, size: int, policy: ReadPolicy) -> FileMeta:
    """Read the file's first block, and the meta header in it.

    The group length (0002,0000) is optional here and never believed: writers get it wrong. The Media Storage UIDs are
    for the caller to compare with the data set's own; a meta header without Transfer Syntax UID is none.

    Raises TruncatedError, and Part10Error with EMPTY, NOT_DICOM, NO_META, EXECUTABLE_PREAMBLE, MEDIA_DIRECTORY, BAD_UID
    or BAD_LENGTH.
    """
    block = os.pread(fd, _FIRST_BLOCK, 0)
    start = _find(block)
    executable = start == _START and block.startswith(_PROGRAMS)
    if executable:
        policy.refuse(Part10Error(Reason.EXECUTABLE_PREAMBLE, "the preamble is that of a program"))
    found = _scan(block, start)
    if found is None and size > len(block):
        block = os.pread(fd, _LIMIT, 0)
        found = _scan(block, start)
        if found is None and size > len(block):
            raise Part10Error(Reason.BAD_LENGTH, f"the file meta information does not end within {_LIMIT} bytes")
    if found is None:
        raise TruncatedError("the file ends inside its file meta information or behind it")
    values, offset = found
    sop_class_uid, sop_instance_uid = uids.uid_of(values[_SOP_CLASS]), uids.uid_of(values[_SOP_INSTANCE])
    if sop_class_uid == uids.MEDIA_STORAGE_DIRECTORY:
        raise Part10Error(Reason.MEDIA_DIRECTORY, "a DICOMDIR: an index of other files")
    transfer_syntax_uid = uids.uid_of(values[_TRANSFER_SYNTAX])
    if transfer_syntax_uid is None and start == _START and is_unwritten(block[offset:]):
        raise TruncatedError("zeros in the file meta information: reserved, not yet written")
    if start != _START or not values[_TRANSFER_SYNTAX]:
        what = "has no Transfer Syntax UID (0002,0010)" if start == _START else "starts without preamble and DICM"
        policy.refuse(Part10Error(Reason.NO_META, f"the file {what}"))
    elif transfer_syntax_uid is None:
        raise Part10Error(Reason.BAD_UID, "the Transfer Syntax UID (0002,0010) is not a UID")
    return FileMeta(sop_class_uid, sop_instance_uid, transfer_syntax_uid or "", offset, block, executable)


def _find(block: bytes) -> int:
    """Give the offset of group 0002; 0 for what may be a data set without preamble."""
    if block[_PREAMBLE:_START] == b"DICM":
        return _START
    if not block:
        raise Part10Error(Reason.EMPTY, "there is no byte in it")
    if len(block) > _START and not block.strip(b"\0"):
        raise TruncatedError("zeros where the preamble should be: reserved, not yet written")
    if len(block) < _START or recognise(block, 0) is None:
        raise Part10Error(Reason.NOT_DICOM, "neither DICM at byte 128 nor a data set at byte 0")
    return 0


def _scan(block: bytes, at: int) -> tuple[dict[int, bytes], int] | None:
    """Collect the UIDs of group 0002, always explicit VR little endian, and its end; None if the block ends first."""
    read, long_vrs, limit = EXPLICIT_LE.read_header, EXPLICIT_LE.long_vrs, len(block) - 12
    values = {_SOP_CLASS: b"", _SOP_INSTANCE: b"", _TRANSFER_SYNTAX: b""}
    while at <= limit:
        key, vr, length = read(block, at)
        if key & 0xFFFF != 2:
            return values, at
        at += 8
        if vr in long_vrs:
            length = EXPLICIT_LE.read_long(block, at)[0]
            at += 4
        if key in values:
            values[key] = block[at : at + length]
        at += length
    return None
