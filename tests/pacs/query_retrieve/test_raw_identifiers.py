"""Identifiers that the caller makes: what goes out, and what is refused before anything does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    MODALITY_WORKLIST,
    PATIENT_ROOT,
    FindChange,
    InvalidQuery,
    Level,
    Listener,
    Query,
    QueryRetrieveScu,
    RawIdentifier,
    Retrieval,
    RetrieveChange,
)
from gurney.pacs.events import BeforeCFind
from gurney.pacs.testing import FakePacs, Operation
from tests.pacs.conftest import CT, study_of

STUDIES = [study_of(number) for number in range(1, 4)]


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=STUDIES) as pacs:
        yield pacs


@pytest.fixture
def scu() -> QueryRetrieveScu:
    return QueryRetrieveScu("GURNEY")


def asking(**keys: str) -> Dataset:
    made = Dataset()
    for keyword, value in keys.items():
        setattr(made, keyword, value)
    return made


def test_it_goes_out_as_it_is_and_stays_as_it_is(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    raw = asking(QueryRetrieveLevel="STUDY", PatientID="", StudyInstanceUID="1.2.3.2")
    before = raw.to_json()

    @scu.events.before_c_find
    def look_and_touch(event: BeforeCFind) -> None:
        assert event.identifier.to_json() == before
        event.identifier.PatientID = "P2"

    with scu.find(pacs.remote(), raw, model=PATIENT_ROOT) as search:
        (match,) = search
    assert raw.to_json() == before
    assert match.level is Level.STUDY
    assert match.dataset.StudyInstanceUID == "1.2.3.2"
    assert isinstance(match.value, RawIdentifier)
    assert match.value.dataset is match.dataset
    (asked,) = pacs.requests
    assert asked.sop_class_uid == PATIENT_ROOT.find
    raw.PatientID = "P2"
    assert asked.dataset.to_json() == raw.to_json()


def test_no_match_of_it_is_left_out(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    @scu.events.before_c_find
    def ask_for_all(_: BeforeCFind) -> FindChange:
        return FindChange(identifier=asking(QueryRetrieveLevel="STUDY", StudyInstanceUID=""))

    with scu.find(pacs.remote(), asking(QueryRetrieveLevel="STUDY", StudyInstanceUID="1.2.3.2")) as search:
        assert len(list(search)) == len(STUDIES)
    assert search.filtered == 0


def test_it_may_ask_without_a_level(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    with scu.associate_for(pacs.remote(), MODALITY_WORKLIST) as association:
        for match in association.find(asking(PatientID="P1"), model=MODALITY_WORKLIST):
            assert (match.level, match.info) == (None, None)
    (asked,) = pacs.requests
    assert [element.keyword for element in asked.dataset] == ["PatientID"]


@pytest.mark.parametrize("what", [None, "1.2.3", 5, {}, Retrieval(study_instance_uid="1.2.3")])
def test_what_is_neither_a_query_nor_a_data_set_is_refused(scu: QueryRetrieveScu, pacs: FakePacs, what: Any) -> None:
    with pytest.raises(InvalidQuery, match="'query' is no query"):
        scu.find(pacs.remote(), what)
    with scu.associate_for(pacs.remote()) as association, pytest.raises(InvalidQuery, match="'query' is no query"):
        association.find(what)


@pytest.mark.parametrize("what", [None, "1.2.3", Query()])
def test_what_is_neither_a_retrieval_nor_a_data_set_is_refused(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, what: Any
) -> None:
    for ask in (
        lambda: scu.move(pacs.remote(), what, "THERE"),
        lambda: scu.get(pacs.remote(), what, tmp_path, [CT]),
        lambda: scu.retrieve(pacs.remote(), what, tmp_path),
        lambda: scu.take_inventory(pacs.remote(), what),
    ):
        with pytest.raises(InvalidQuery, match="'what' is no retrieval"):
            ask()


def test_what_has_no_place_beside_it_is_refused(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    raw: Any = asking(StudyInstanceUID="1.2.3")
    query: Any = Query()
    refused: list[tuple[str, Callable[[], object]]] = [
        ("template", lambda: scu.find(pacs.remote(), raw, template=Dataset())),
        ("model", lambda: scu.find(pacs.remote(), query, model=PATIENT_ROOT)),
        ("sop_class_uids", lambda: scu.get(pacs.remote(), raw, tmp_path)),
        ("what", lambda: scu.retrieve(pacs.remote(), raw, tmp_path)),
        ("what", lambda: scu.move_to_self(pacs.remote(), raw, Listener("GURNEY", tmp_path))),
    ]
    for field, ask in refused:
        with pytest.raises(InvalidQuery, match=f"'{field}'"):
            ask()
    assert pacs.associations == 0


NOTHING = [Dataset(), asking(QueryRetrieveLevel="STUDY"), asking(QueryRetrieveLevel="STUDY", StudyInstanceUID="")]


@pytest.mark.parametrize("nothing", NOTHING, ids=["empty", "level only", "empty key"])
def test_one_that_names_nothing_to_retrieve_never_goes_out(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, nothing: Dataset
) -> None:
    with pytest.raises(InvalidQuery, match="'what'"):
        scu.move(pacs.remote(), nothing, "THERE")
    with pytest.raises(InvalidQuery, match="'what'"):
        scu.get(pacs.remote(), nothing, tmp_path, [CT])
    scu.events.before_c_move(lambda _: RetrieveChange(identifier=nothing))
    scu.events.before_c_get(lambda _: RetrieveChange(identifier=nothing))
    what = Retrieval(study_instance_uid="1.2.3.1")
    with pytest.raises(InvalidQuery, match="'identifier'"):
        list(scu.move(pacs.remote(), what, "THERE"))
    with pytest.raises(InvalidQuery, match="'identifier'"):
        list(scu.get(pacs.remote(), what, tmp_path, [CT]))
    assert pacs.requests == []


def test_an_empty_one_is_never_asked(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    with pytest.raises(InvalidQuery, match="'query' is an empty identifier"):
        scu.find(pacs.remote(), Dataset())
    scu.events.before_c_find(lambda _: FindChange(identifier=Dataset()))
    with pytest.raises(InvalidQuery, match="'identifier' is an empty identifier"):
        list(scu.find(pacs.remote(), Query()))
    assert [request.operation for request in pacs.requests if request.operation is Operation.C_FIND] == []
