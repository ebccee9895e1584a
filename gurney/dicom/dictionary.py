"""What the standard's data dictionary says of a tag (PS3.6), where the file itself does not."""

from __future__ import annotations

from typing import Final

# pydicom documents its dictionary as public but lists no exports.
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]

__all__ = ["SEQUENCES", "vr_of"]

SEQUENCES: Final[frozenset[int]] = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")


def vr_of(tag: int) -> str:
    """Give the VR of a public element, "" for a private one.

    Where the dictionary leaves a choice ("US or SS"), the first is given: it serves the tags that anyone routes by.
    """
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry else ""
