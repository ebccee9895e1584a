"""Arguments of the kind that is wanted, refused where they are given and not where they are first used."""

from __future__ import annotations

from types import UnionType
from typing import TypeVar, get_args

__all__ = ["WrongKind", "check_one_of", "of_kind"]

T = TypeVar("T")


class WrongKind(TypeError):
    """Report an argument of the wrong kind. The words carry its type only: a value may name a patient."""


def of_kind(given: object, kind: type[T], name: str) -> T:
    """Return what was given for ``name``. Raises WrongKind."""
    if not isinstance(given, kind):
        raise WrongKind(f"{name} must be a {kind.__name__}, not {type(given).__name__}")
    return given


def check_one_of(given: object, kinds: UnionType, name: str) -> None:
    """Refuse what is of none of several kinds. Raises WrongKind."""
    if not isinstance(given, kinds):
        wanted = ", ".join(kind.__name__ for kind in get_args(kinds))
        raise WrongKind(f"{name} must be one of {wanted}, not {type(given).__name__}")
