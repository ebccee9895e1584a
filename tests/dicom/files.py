"""Part 10 files made byte by byte, so that each can be wrong in exactly one way."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from gurney.dicom.part10 import IDENTITY_TAGS, Part10, read_part10
from gurney.dicom.policy import STRICT, ReadPolicy

CT = "1.2.840.10008.5.1.4.1.1.2"
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
IMPLICIT, EXPLICIT, BIG_ENDIAN, DEFLATED, JPEG_BASELINE = (
    "1.2.840.10008.1.2" + leaf for leaf in ("", ".1", ".2", ".1.99", ".4.50")
)
UNDEFINED = 0xFFFFFFFF
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")


@dataclass(frozen=True)
class Layout:
    """Writes elements in one encoding; ``length`` overrides the true one."""

    explicit: bool = True
    sign: str = "<"

    def element(self, tag: int, vr: str, value: bytes | str = b"", length: int | None = None) -> bytes:
        if isinstance(value, str):
            value = value.encode()
        if len(value) % 2:
            value += b"\0" if vr in ("UI", "OB") else b" "
        length = len(value) if length is None else length
        where = struct.pack(self.sign + "HH", tag >> 16, tag & 0xFFFF)
        if not self.explicit:
            return where + struct.pack(self.sign + "I", length) + value
        if vr in LONG:
            return where + vr.encode() + struct.pack(self.sign + "HI", 0, length) + value
        return where + vr.encode() + struct.pack(self.sign + "H", length) + value

    def item(self, content: bytes = b"", *, defined: bool = True) -> bytes:
        if defined:
            return struct.pack(self.sign + "HHI", 0xFFFE, 0xE000, len(content)) + content
        return struct.pack(self.sign + "HHI", 0xFFFE, 0xE000, UNDEFINED) + content + self.end(0xE00D)

    def end(self, element: int = 0xE0DD) -> bytes:
        return struct.pack(self.sign + "HHI", 0xFFFE, element, 0)

    def sequence(self, tag: int, *items: bytes, defined: bool = True, vr: str = "SQ") -> bytes:
        content = b"".join(items)
        if defined:
            return self.element(tag, vr, content)
        return self.element(tag, vr, content, UNDEFINED) + self.end()

    def nested(self, depth: int, *, defined: bool) -> bytes:
        """Sequences in sequences; those of defined length are built inside out, as their lengths need."""
        if not defined:
            start = self.element(0x0040A730, "SQ", b"", UNDEFINED) + self.item(defined=False)[:8]
            return start * depth + (self.end(0xE00D) + self.end()) * depth
        content = b""
        for _ in range(depth):
            content = self.sequence(0x0040A730, self.item(content))
        return content

    def fragments(self, *fragments: bytes) -> bytes:
        content = b"".join(self.item(fragment) for fragment in fragments)
        return self.element(0x7FE00010, "OB", content, UNDEFINED) + self.end()


LE, BE, IMPLICIT_LE = Layout(), Layout(sign=">"), Layout(explicit=False)
LAYOUTS = {IMPLICIT: IMPLICIT_LE, BIG_ENDIAN: BE}


@dataclass
class Recipe:
    """One CT image, small and whole; tests change a field or two, then :meth:`build`."""

    transfer_syntax_uid: str = EXPLICIT
    sop_class_uid: str | None = CT
    sop_instance_uid: str | None = "1.2.3.4"
    study_instance_uid: str | None = "1.2.3"
    series_instance_uid: str | None = "1.2.3.1"
    meta_sop_class_uid: str | None = None
    meta_sop_instance_uid: str | None = None
    layout: Layout | None = None
    preamble: bytes = bytes(128)
    prefix: bytes = b"DICM"
    group_length: int | None = None
    early: bytes = b""  # behind the patient's elements
    image: bool = True
    pixels: bytes | None = None  # the whole element
    late: bytes = b""
    elements: dict[int, tuple[str, bytes | str]] = field(default_factory=dict)

    @property
    def writer(self) -> Layout:
        return self.layout or LAYOUTS.get(self.transfer_syntax_uid, LE)

    def meta(self) -> bytes:
        parts = [
            LE.element(0x00020002, "UI", self.meta_sop_class_uid or self.sop_class_uid or ""),
            LE.element(0x00020003, "UI", self.meta_sop_instance_uid or self.sop_instance_uid or ""),
        ]
        if self.transfer_syntax_uid:
            parts.append(LE.element(0x00020010, "UI", self.transfer_syntax_uid))
        content = LE.element(0x00020001, "OB", b"\0\1") + b"".join(parts)
        length = len(content) if self.group_length is None else self.group_length
        return LE.element(0x00020000, "UL", struct.pack("<I", length)) + content

    def dataset(self) -> bytes:
        writer = self.writer
        elements: dict[int, tuple[str, bytes | str]] = {0x00080060: ("CS", "CT"), 0x00100020: ("LO", "ID1")}
        uids = {
            0x00080016: self.sop_class_uid,
            0x00080018: self.sop_instance_uid,
            0x0020000D: self.study_instance_uid,
            0x0020000E: self.series_instance_uid,
        }
        elements |= {tag: ("UI", text) for tag, text in uids.items() if text is not None} | self.elements
        if self.image:
            number = struct.pack(writer.sign + "H", 16)
            elements |= {0x00280010: ("US", number), 0x00280011: ("US", number)}
        head = b"".join(writer.element(tag, *elements[tag]) for tag in sorted(elements) if tag < 0x00280000)
        tail = b"".join(writer.element(tag, *elements[tag]) for tag in sorted(elements) if tag >= 0x00280000)
        pixels = self.pixels
        if pixels is None:
            pixels = writer.element(0x7FE00010, "OW", bytes(range(256)) * 2) if self.image else b""
        return head + self.early + tail + pixels + self.late

    def build(self) -> bytes:
        dataset = self.dataset()
        if self.transfer_syntax_uid == DEFLATED:
            dataset = deflate(dataset)
        return self.preamble + self.prefix + self.meta() + dataset


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = packer.compress(data) + packer.flush()
    return packed + b"\0" * (len(packed) % 2)


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    """A descriptor of a file that holds ``data``, in memory."""
    fd = os.memfd_create("part10")
    try:
        os.write(fd, data)
        yield fd
    finally:
        os.close(fd)


def read(data: bytes, *, wanted: frozenset[int] = IDENTITY_TAGS, policy: ReadPolicy = STRICT) -> Part10:
    with file_of(data) as fd:
        return read_part10(fd, wanted=wanted, policy=policy)


KINDS: dict[str, Recipe] = {
    "implicit": Recipe(transfer_syntax_uid=IMPLICIT),
    "explicit": Recipe(),
    "big endian": Recipe(transfer_syntax_uid=BIG_ENDIAN),
    "deflated": Recipe(transfer_syntax_uid=DEFLATED),
    "encapsulated": Recipe(transfer_syntax_uid=JPEG_BASELINE, pixels=LE.fragments(b"", b"\xff\xd8" * 300, b"\xff\xd9")),
    "sequences": Recipe(
        early=LE.sequence(0x00081115, LE.item(LE.element(0x00081150, "UI", CT)), LE.item())
        + LE.sequence(0x00081140, LE.item(LE.element(0x00081150, "UI", CT), defined=False), defined=False)
        + LE.sequence(0x00091010, IMPLICIT_LE.item(IMPLICIT_LE.element(0x00081150, "UI", CT)), defined=False, vr="UN")
        + LE.sequence(
            0x00091011, IMPLICIT_LE.item(IMPLICIT_LE.nested(9, defined=False), defined=False), defined=False, vr="UN"
        )
        + LE.sequence(0x00091012, LE.item(LE.element(0x00081150, "UI", CT) + LE.end(0xE00D)), LE.end())
        + LE.nested(50, defined=False)
        + LE.nested(50, defined=True),
    ),
    "implicit sequences": Recipe(
        transfer_syntax_uid=IMPLICIT,
        early=IMPLICIT_LE.sequence(0x00081140, IMPLICIT_LE.item(IMPLICIT_LE.element(0x00081150, "UI", CT)))
        + IMPLICIT_LE.sequence(0x00091010, IMPLICIT_LE.item(defined=False), defined=False)
        + IMPLICIT_LE.nested(50, defined=True),
    ),
}
