"""What a source says that it has of what is to be retrieved, and how far that can be believed (PS3.4 C.4.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.dataset import Dataset

from gurney.ledger.retrieving.claims import ClaimedRetrieval
from gurney.ledger.retrieving.expectations import Named
from gurney.pacs import Level, Query
from gurney.pacs.errors import OperationFailed
from gurney.pacs.query.models import STUDY_ROOT
from gurney.pacs.query_retrieve.association import QueryAssociation
from gurney.pacs.retrieve.inventory import Holding, take_inventory
from gurney.transfer.retrieving import Listing, SeriesListing, judge_listing
from gurney_workers.asking import whole

__all__ = ["UNKNOWN", "Stock", "take_stock"]

_ON_TAPE: Final = frozenset({"NEARLINE", "OFFLINE"})


@dataclass(frozen=True, slots=True)
class Stock:
    """The instances that a source names, what its list is worth and why, and how many it says there are."""

    instances: tuple[Named, ...]
    listing: Listing
    words: str
    said: int | None = None
    is_nearline: bool = False


UNKNOWN: Final = Stock((), *judge_listing(None, None))
"""That of a source that can't be queried."""


def take_stock(association: QueryAssociation, claimed: ClaimedRetrieval) -> Stock:
    """Ask for each instance, and for the counts that such a list is held against.

    Raises OperationFailed where the source fails to find the study itself, and a refinement of AssociationFailure.
    """
    inventory = take_inventory(association, whole(claimed), STUDY_ROOT)
    said_of_study, is_nearline = _study(association, claimed.study_instance_uid)
    said_of_series = _series(association, claimed.study_instance_uid)
    holdings = inventory.holdings
    said = _said(claimed, said_of_study, said_of_series)
    listing, words = judge_listing(None if holdings is None else _lists(holdings, said_of_series, claimed), said)
    named = tuple(Named(one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid) for one in holdings or ())
    return Stock(named, listing, words, said, is_nearline)


def _study(association: QueryAssociation, uid: str) -> tuple[int | None, bool]:
    """Ask how many instances the study has (0020,1208), and whether they lie on tape (0008,0056)."""
    wanted = Dataset()
    wanted.NumberOfStudyRelatedInstances = ""
    wanted.InstanceAvailability = ""
    matches = list(association.find(Query(level=Level.STUDY, study_instance_uid=uid), template=wanted))
    said = _number(matches[0].dataset, "NumberOfStudyRelatedInstances") if matches else None
    return said, any(match.availability in _ON_TAPE for match in matches)


def _series(association: QueryAssociation, study: str) -> dict[str, int]:
    """Ask how many instances each series has (0020,1209); what the source does not say is left out."""
    wanted = Dataset()
    wanted.NumberOfSeriesRelatedInstances = ""
    said: dict[str, int] = {}
    try:
        for match in association.find(Query(level=Level.SERIES, study_instance_uid=study), template=wanted):
            n = _number(match.dataset, "NumberOfSeriesRelatedInstances")
            if n is not None:
                said[str(match.value.series_instance_uid)] = n
    except OperationFailed:
        pass  # what it does not say can't be counted on
    return said


def _said(claimed: ClaimedRetrieval, of_study: int | None, of_series: Mapping[str, int]) -> int | None:
    """Return how many instances there are of just what was asked for, as the source says."""
    if claimed.sop_instance_uid:
        return None
    return of_series.get(claimed.series_instance_uid) if claimed.series_instance_uid else of_study


def _lists(holdings: tuple[Holding, ...], said: Mapping[str, int], claimed: ClaimedRetrieval) -> list[SeriesListing]:
    listed = Counter(one.series_instance_uid for one in holdings)
    if claimed.sop_instance_uid:
        return [SeriesListing(n) for n in listed.values()]
    series = {claimed.series_instance_uid} if claimed.series_instance_uid else {*listed, *said}
    return [SeriesListing(listed[uid], said.get(uid)) for uid in sorted(series) if listed[uid] or uid in said]


def _number(dataset: Dataset, keyword: str) -> int | None:
    try:
        return int(str(dataset.get(keyword, "") or ""))
    except ValueError:  # left out, or not a number: it is not said
        return None
