"""Matches of a query, typed and raw, and what became of the search (PS3.4 C.4.1)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

from pydicom.dataset import Dataset

from gurney.pacs.display import text_at
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.query.entities import Entity, entity_of
from gurney.pacs.query.models import Level
from gurney.pacs.query.queries import Queryable
from gurney.pacs.stream import CancellableStream, Course

__all__ = ["Match", "Search", "Tally", "check_limit"]

Q = TypeVar("Q", bound=Queryable)


@dataclass(frozen=True)
class Match(Generic[Q]):
    """One match: ``dataset`` is what came, ``kind`` the class of the query.

    ``level`` is None for a worklist.
    """

    kind: type[Q]
    dataset: Dataset = field(repr=False)
    level: Level | None

    @cached_property
    def value(self) -> Q:
        """The query's class filled in: its values as text."""
        return self.kind.of(self.dataset, self.level)

    @property
    def info(self) -> Entity | None:
        """The patient, study, series or instance that it is about, typed; None for a worklist."""
        return entity_of(self.dataset, self.level)

    @property
    def availability(self) -> str:
        """ONLINE, NEARLINE, OFFLINE or UNAVAILABLE, "" where it is not said (0008,0056)."""
        return text_at(self.dataset, "InstanceAvailability")

    @property
    def retrieve_ae_titles(self) -> tuple[str, ...]:
        """Whom to ask for it (0008,0054)."""
        return tuple(title for title in text_at(self.dataset, "RetrieveAETitle").split("\\") if title)


def check_limit(limit: int | None) -> None:
    """Refuse a limit of less than one match: nothing would be asked, or everything. Raises InvalidQuery."""
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        raise InvalidQuery("limit", "is no whole number from 1", "leave it out for all matches")


@dataclass(slots=True)
class Tally(Course):
    """How a search goes; ``status`` is there when it is over, and stays None where the association was cut."""

    matches: int = 0
    filtered: int = 0
    status: int | None = None
    is_cut_short: bool = False


class Search(CancellableStream[Match[Q]]):
    """The matches of one query as they come."""

    def __init__(self, matches: Generator[Match[Q]], tally: Tally) -> None:
        super().__init__(matches, tally)
        self._tally = tally

    @property
    def count(self) -> int:
        """How many matches there were so far."""
        return self._tally.matches

    @property
    def filtered(self) -> int:
        """How many answers did not match what was asked, and were left out."""
        return self._tally.filtered

    @property
    def status(self) -> int | None:
        """The final status, None before the end."""
        return self._tally.status

    @property
    def is_complete(self) -> bool:
        """Whether these are all matches that the peer has: it said success, and nobody stopped it."""
        return self._tally.status == 0x0000 and not (self._tally.is_cut_short or self.is_cancelled)
