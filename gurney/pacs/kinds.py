"""Arguments of the kind that is wanted, refused where they are given and not where they are first used."""

from __future__ import annotations

from typing import TypeVar

__all__ = ["WrongKind", "of_kind"]

T = TypeVar("T")


class WrongKind(TypeError):
    """Report an argument of the wrong kind. The words carry its type only: a value may name a patient."""


def of_kind(given: object, kind: type[T], name: str) -> T:
    """Return what was given for ``name``. Raises WrongKind."""
    if not isinstance(given, kind):
        raise WrongKind(f"{name} must be a {kind.__name__}, not {type(given).__name__}")
    return given
