"""Arguments of the kind that is wanted, refused where they are given and not where they are first used."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["of_kind"]

T = TypeVar("T")


def of_kind(given: object, kind: type[T], name: str) -> T:
    """Return what was given for ``name``. Raises TypeError for what is not of the kind; its value is not repeated."""
    if not isinstance(given, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, not {type(given).__name__}")
    return given
