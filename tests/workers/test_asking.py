"""Only the missing are asked for again: whole series where nothing of them came, else by their UIDs."""

from __future__ import annotations

from gurney.ledger.retrieving.claims import ClaimedRetrieval, RetrievalTicket
from gurney.ledger.retrieving.expectations import Named
from gurney.pacs import Retrieval
from gurney.transfer.retrieving import Listing
from gurney_workers.asking import what_to_ask


def claimed(rounds: int = 1, fruitless: int = 0, series: str = "", instance: str = "") -> ClaimedRetrieval:
    return ClaimedRetrieval(
        RetrievalTicket(1, 1, 1),
        "archive",
        "1.2",
        series,
        instance,
        direct_to="",
        forward_to=(),
        folder="",
        listing=Listing.TRUSTED,
        was_incomplete=False,
        rounds=rounds,
        fruitless=fruitless,
        answered=False,
        last_status=None,
        ring_on=False,
    )


MISSING = [Named("1.2.1", "1.2.1.1"), Named("1.2.1", "1.2.1.2"), Named("1.2.2", "1.2.2.1")]
SIZES = {"1.2.1": 2, "1.2.2": 5}


def test_the_first_round_asks_for_all() -> None:
    assert what_to_ask(claimed(rounds=0), Listing.TRUSTED, MISSING, SIZES) == [
        Retrieval(study_instance_uid="1.2", series_instance_uid="", sop_instance_uid="")
    ]


def test_what_a_trusted_list_names_is_not_asked_for_when_it_is_here() -> None:
    assert what_to_ask(claimed(rounds=0), Listing.TRUSTED, [], SIZES) == []
    assert len(what_to_ask(claimed(), Listing.DOUBTED, [], SIZES)) == 1


def test_a_series_is_asked_for_whole_only_where_nothing_of_it_came() -> None:
    assert what_to_ask(claimed(), Listing.TRUSTED, MISSING, SIZES) == [
        Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.1"),
        Retrieval(study_instance_uid="1.2", series_instance_uid="1.2.2", sop_instance_uid=["1.2.2.1"]),
    ]


def test_after_a_round_in_vain_each_is_asked_for_by_itself() -> None:
    asked = what_to_ask(claimed(fruitless=1), Listing.TRUSTED, MISSING, SIZES)
    assert [list(one.sop_instance_uid) for one in asked] == [["1.2.1.1"], ["1.2.1.2"], ["1.2.2.1"]]


def test_many_are_asked_for_in_lists() -> None:
    many = [Named("1.2.1", f"1.2.1.{number}") for number in range(250)]
    asked = what_to_ask(claimed(), Listing.TRUSTED, many, {"1.2.1": 300})
    assert [len(one.sop_instance_uid) for one in asked] == [100, 100, 50]
