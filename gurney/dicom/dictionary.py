"""What the standard's registries say of a tag or a UID (PS3.6), where the file itself does not."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

# pydicom documents its dictionary as public but lists no exports.
from pydicom.datadict import DicomDictionary  # type: ignore[attr-defined]  # as said
from pydicom.uid import UID

__all__ = ["SEQUENCES", "is_image_storage", "named_uid", "vr_of"]

SEQUENCES: Final[frozenset[int]] = frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")


def vr_of(tag: int) -> str:
    """Give the VR of a public element, "" for a private one.

    Where the dictionary leaves a choice ("US or SS"), the first is given: it serves the tags that anyone routes by.
    """
    entry = DicomDictionary.get(tag)
    return entry[0][:2] if entry else ""


@lru_cache(maxsize=256)
def is_image_storage(sop_class_uid: str) -> bool:
    """Tell whether this is one of the standard's "... Image Storage" classes, which all carry pixel data."""
    return "Image Storage" in UID(sop_class_uid).name


def named_uid(uid: str) -> str:
    """Give a UID behind its registered name, or alone where it has none: "CT Image Storage (1.2.840...)"."""
    name = UID(uid).name
    return f"{name} ({uid})" if name != uid else uid
