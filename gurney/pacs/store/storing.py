"""The results of many stores as they come, and how far they are."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass

from gurney.dicom.status import Category, categorise
from gurney.pacs.stream import Stream
from gurney.pacs.wire.instance import StoreResult

__all__ = ["StoreTally", "Storing"]


@dataclass(slots=True)
class StoreTally:
    """How a run goes: each result counts once, in ``stored``, ``failed`` or ``skipped``.

    ``skipped`` are those that ``is_skipped``: nothing to send, or held back by a listener. ``warnings`` are those of
    the stored ones that the peer holds with a warning; ``transcoded`` went out in another transfer syntax than they
    were in. ``bytes_sent`` are those of answered instances.
    """

    stored: int = 0
    failed: int = 0
    skipped: int = 0
    warnings: int = 0
    transcoded: int = 0
    bytes_sent: int = 0

    @property
    def done(self) -> int:
        """How many results there were so far."""
        return self.stored + self.failed + self.skipped

    def count(self, result: StoreResult) -> None:
        """Count one."""
        if result.is_skipped:
            self.skipped += 1
            return
        self.bytes_sent += result.bytes_sent
        if not result.is_stored:
            self.failed += 1
            return
        self.stored += 1
        self.transcoded += result.is_transcoded
        self.warnings += result.status is not None and categorise(result.status) is Category.WARNING


class Storing(Stream[StoreResult]):
    """The result of each instance as it comes; leaving early ends the association behind the instance in flight.

    ``tally`` counts what was yielded so far, for whoever shows progress.
    """

    def __init__(self, results: Generator[StoreResult]) -> None:
        self.tally = StoreTally()
        super().__init__(self._counted(results))

    def _counted(self, results: Generator[StoreResult]) -> Generator[StoreResult]:
        with closing(results):
            for result in results:
                self.tally.count(result)
                yield result
