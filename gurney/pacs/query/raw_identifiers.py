"""Identifiers that the caller makes, for whatever the queries of this package have no words for (PS3.4 C.4.1.1.3)."""

from __future__ import annotations

from copy import deepcopy
from typing import Self

from pydicom.dataset import Dataset

from gurney.pacs.display import text_at
from gurney.pacs.errors import InvalidQuery
from gurney.pacs.query.keys import Wanted
from gurney.pacs.query.models import STUDY_ROOT, InformationModel, Level
from gurney.pacs.query.queries import Queryable

__all__ = ["RawIdentifier", "check_identifier", "queryable"]


class RawIdentifier(Queryable):
    """A data set that is sent as it is: nothing is added or checked, and no match is left out.

    :meth:`~gurney.pacs.QueryRetrieveScu.find` makes it of a Dataset; the ``value`` of each match is another one. Its
    level is what (0008,0052) says, None where that is none. Its text is in the character set that it names.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.level = next((level for level in Level if level == text_at(dataset, "QueryRetrieveLevel")), None)

    def keys(self) -> dict[str, Wanted]:
        """Return nothing: there is no key that a match could be judged by."""
        return {}

    def identifier(
        self, template: Dataset | None = None, *, character_set: str = "ISO_IR 192", combined: bool = False
    ) -> Dataset:
        """Return a copy, which listeners may change. Raises InvalidQuery for one that is empty, and for a template."""
        del character_set, combined  # what they are for is the caller's own affair
        if template is not None:
            raise InvalidQuery("template", "has no place in a raw identifier", "put its keys into that")
        return deepcopy(check_identifier(self.dataset, "query"))

    @classmethod
    def of(cls, match: Dataset, level: Level | None) -> Self:
        """Take a match as it is."""
        del level
        return cls(match)


def queryable(query: Queryable | Dataset, model: InformationModel | None) -> tuple[Queryable, InformationModel]:
    """Return what is asked and in which model: a raw identifier in any, Study Root by default, a query in its own.

    Raises InvalidQuery for what is neither.
    """
    if isinstance(query, Dataset):
        query = RawIdentifier(query)
    if isinstance(query, RawIdentifier):
        return query, model or STUDY_ROOT
    if not isinstance(query, Queryable):
        raise InvalidQuery(
            "query", f"is no query but of type {type(query).__name__}", "give a Query, another Queryable or a Dataset"
        )
    if model is not None:
        raise InvalidQuery("model", "is for raw identifiers", "name it in the class of the query")
    return query, query.model


def check_identifier(identifier: Dataset, field: str) -> Dataset:
    """Return an identifier with an element in it. Raises InvalidQuery: an empty one can't be told from none at all."""
    if not isinstance(identifier, Dataset):
        raise InvalidQuery(field, f"is no data set but of type {type(identifier).__name__}", "give a Dataset")
    if not identifier:
        raise InvalidQuery(field, "is an empty identifier, for which a peer may wait for ever", "put keys into it")
    return identifier
