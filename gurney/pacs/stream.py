"""An answer that comes in pieces, and can be left before its end."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Generic, Self, TypeVar

from gurney.pacs.cancellation import Cancellation
from gurney.pacs.errors import AssociationBusy, AssociationFailure

__all__ = ["CancellableStream", "Course", "Stream"]

T = TypeVar("T")


class Stream(Generic[T]):
    """What a peer sends, piece by piece; closing it, or leaving its ``with`` block, cancels the rest.

    Whoever iterates over it and stops early should close it: otherwise it ends whenever the garbage collector gets to
    it.
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
        """End it: what the peer has yet to send is cancelled.

        Raises AssociationBusy while another thread takes a piece: one that can be cancelled is ended by that.
        """
        if inspect.getgeneratorstate(self._pieces) == inspect.GEN_RUNNING:
            raise AssociationBusy("another thread iterates over this: cancel it, or let that thread close it")
        self._pieces.close()


@dataclass(slots=True, kw_only=True)
class Course:
    """What an operation and whoever takes its answer tell each other on the way."""

    cancellation: Cancellation = field(default_factory=Cancellation)
    ignores_optional_keys: bool = False


class CancellableStream(Stream[T]):
    """A stream that any thread may cancel, at any time, while another one iterates over it."""

    def __init__(self, pieces: Generator[T], course: Course) -> None:
        self._course = course
        self._was_cancelled: bool | None = None
        super().__init__(self._to_the_end(pieces))

    @property
    def ignores_optional_keys(self) -> bool:
        """Whether the peer said that it does not support some optional key of what was asked (FF01, PS3.4 C.4.1.1.4).

        What it does not support is missing in its matches, or was not matched by.
        """
        return self._course.ignores_optional_keys

    @property
    def is_cancelled(self) -> bool:
        """Whether it was cancelled before it was over: what came is not known to be all."""
        return self._course.cancellation.is_wanted if self._was_cancelled is None else self._was_cancelled

    def cancel(self) -> None:
        """End the stream soon and without an error, from any thread. A second call, or one after its end, does nothing.

        Before the association is established, nothing is asked on it. After that the peer gets a C-CANCEL at once
        (PS3.7 9.3.2.3). A peer that goes on all the same for the remote's ``acse`` timeout is stopped by an A-ABORT;
        one that ends the association in place of an answer has cancelled as well. Whoever iterates waits for that, and
        still gets the instances that arrived.
        """
        self._course.cancellation.cancel()

    def close(self) -> None:
        """End it: what the peer has yet to send is cancelled."""
        super().close()
        self._settle()

    def _to_the_end(self, pieces: Generator[T]) -> Generator[T]:
        cancellation = self._course.cancellation
        try:
            with closing(pieces):
                if not cancellation.is_wanted:
                    yield from pieces
        except AssociationFailure:
            # Nobody waits any more for what the association was for.
            if not cancellation.is_wanted:
                raise
        finally:
            self._settle()

    def _settle(self) -> None:
        """Keep what became of it: a wish that comes later changes nothing."""
        if self._was_cancelled is None:
            self._was_cancelled = self._course.cancellation.is_wanted
