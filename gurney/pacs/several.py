"""Guard arguments that take several things: a single path is iterable too, and would pass for a list of letters."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TypeVar

from pydicom.dataset import Dataset

__all__ = ["several"]

M = TypeVar("M", bound=Iterable[object])


def several(given: M, name: str, advice: str = "") -> M:
    """Return what was given for ``name``. Raises TypeError for one text, path, data set or named tuple."""
    if isinstance(given, str | bytes | bytearray | os.PathLike | Dataset) or hasattr(given, "_fields"):
        # Not the thing itself, which may name a patient.
        one = f"{name} takes several, and got one {type(given).__name__}"
        raise TypeError(f"{one}: put it into a list{', or ' * bool(advice)}{advice}")
    return given
