"""What a round of a retrieval asks for: all of it at first, then only what is missing (PS3.4 C.4.2.1.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Final

from gurney.ledger.retrieving.claims import ClaimedRetrieval
from gurney.ledger.retrieving.expectations import Named
from gurney.pacs import Retrieval
from gurney.transfer.retrieving import Listing

__all__ = ["what_to_ask", "whole"]

# UIDs of one request at IMAGE level; some archives look at the first alone, so that after a round in vain each is
# asked for by itself.
_AT_ONCE: Final = 100


def whole(claimed: ClaimedRetrieval) -> Retrieval:
    """Name all of what a retrieval is for."""
    return Retrieval(
        study_instance_uid=claimed.study_instance_uid,
        series_instance_uid=claimed.series_instance_uid,
        sop_instance_uid=claimed.sop_instance_uid,
    )


def what_to_ask(
    claimed: ClaimedRetrieval, listing: Listing, missing: Sequence[Named], sizes: Mapping[str, int]
) -> list[Retrieval]:
    """Return what to ask for in this round; nothing where all that a trusted list names is here.

    ``missing`` is in the order of its series, of which ``sizes`` says how many instances the source named. A series of
    which nothing came is asked for as such, else the missing by their UIDs.
    """
    if not missing:
        return [] if listing is Listing.TRUSTED else [whole(claimed)]
    is_first = not claimed.rounds
    if is_first or not all(one.series_instance_uid for one in missing):
        return [whole(claimed)]
    asked: list[Retrieval] = []
    for series, some in groupby(missing, key=lambda one: one.series_instance_uid):
        uids = [one.sop_instance_uid for one in some]
        if len(uids) == sizes.get(series) and not claimed.sop_instance_uid and not claimed.fruitless:
            asked.append(Retrieval(study_instance_uid=claimed.study_instance_uid, series_instance_uid=series))
            continue
        step = 1 if claimed.fruitless else _AT_ONCE
        asked += [
            Retrieval(
                study_instance_uid=claimed.study_instance_uid,
                series_instance_uid=series,
                sop_instance_uid=uids[start : start + step],
            )
            for start in range(0, len(uids), step)
        ]
    return asked
