"""Put retrieved instances into a folder, so that each is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress

__all__ = ["put"]


def put(source: str, folder: str, *parts: str) -> None:
    """Copy a file to ``folder/part/part...``, safe on disk under its name when this returns. Raises OSError.

    What has that name already is replaced: it is the same instance, by its UID.
    """
    target = os.path.join(folder, *parts)
    place = os.path.dirname(target)
    os.makedirs(place, exist_ok=True)
    begun = os.path.join(place, f".{os.path.basename(target)}.part")
    try:
        with open(source, "rb") as read, open(begun, "wb") as written:
            shutil.copyfileobj(read, written, 1 << 20)
            written.flush()
            os.fsync(written.fileno())
        os.replace(begun, target)
    except BaseException:  # whatever it was goes on; nothing half shall stay
        with suppress(FileNotFoundError):
            os.unlink(begun)
        raise
    fd = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
