"""When a Query/Retrieve SCU tells its listeners, and what they can still keep from happening; both ways on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.pacs import Listener, Query, QueryRetrieveScu, Retrieval
from gurney.pacs.events import InstanceReceived, MatchFound
from gurney.pacs.testing import FakePacs
from tests.pacs.conftest import CT, WAYS, query_scu, study_of

STUDIES = [study_of(number) for number in range(1, 4)]
FIRST = "1.2.3.1"


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=STUDIES) as pacs:
        yield pacs


@pytest.mark.parametrize("hook", ["match_found", "match_study"])
def test_a_match_is_told_of_before_it_is_given_out(scu: QueryRetrieveScu, pacs: FakePacs, hook: str) -> None:
    told: list[str] = []

    def note(event: MatchFound) -> None:
        told.append(event.match.value.study_instance_uid)

    getattr(scu.events, hook)(note)
    with scu.find(pacs.remote(), Query()) as search:
        for number, match in enumerate(search, start=1):
            assert len(told) == number
            assert told[-1] == match.value.study_instance_uid


def test_a_match_that_is_enough_is_given_out_as_the_last(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    @scu.events.match_found
    def two_are_enough(event: MatchFound) -> MatchFound | None:
        return event.enough() if event.match.value.study_instance_uid == "1.2.3.2" else None

    with scu.find(pacs.remote(), Query()) as search:
        assert [match.value.study_instance_uid for match in search] == [FIRST, "1.2.3.2"]
    assert not search.is_complete


def test_what_a_listener_raises_comes_in_place_of_its_match(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    @scu.events.match_found
    def never_the_second(event: MatchFound) -> None:
        if event.match.value.study_instance_uid == "1.2.3.2":
            raise LookupError("not this one")

    with scu.find(pacs.remote(), Query()) as search:
        assert next(search).value.study_instance_uid == FIRST
        with pytest.raises(LookupError):
            next(search)
        assert list(search) == []
    assert not search.is_complete


@pytest.mark.parametrize("kind", ["get", "move"])
def test_an_instance_is_told_of_before_it_is_given_out(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, kind: str
) -> None:
    told: list[str] = []

    def note(event: InstanceReceived) -> None:
        assert event.received.path.is_file()
        told.append(event.received.sop_instance_uid)

    scu.events.received(note)
    scu.events.moved(note)
    what = Retrieval(study_instance_uid=FIRST)
    with Listener("SELF", tmp_path) as listener:
        pacs.know("SELF", listener.port)
        stream = (
            scu.get(pacs.remote(), what, tmp_path, [CT])
            if kind == "get"
            else scu.move_to_self(pacs.remote(), what, listener)
        )
        for received in stream:
            assert told == [received.sop_instance_uid]
    assert told == ["1.2.3.1.1.1"]
