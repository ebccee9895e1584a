"""An answer that comes in pieces, and can be left before its end."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Generic, Self, TypeVar

__all__ = ["Stream"]

T = TypeVar("T")


class Stream(Generic[T]):
    """What a peer sends, piece by piece; closing it, or leaving its ``with`` block, cancels the rest.

    Whoever iterates over it and stops early should close it: the garbage collector does so only some day.
    """

    def __init__(self, pieces: Generator[T]) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[T]:
        return self._pieces

    def __next__(self) -> T:
        return next(self._pieces)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it: what the peer has yet to send is cancelled."""
        self._pieces.close()
