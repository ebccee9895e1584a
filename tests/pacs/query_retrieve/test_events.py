"""When a Query/Retrieve SCU tells its listeners, and what they can still keep from happening; both ways on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gurney.dicom.status import Service
from gurney.pacs import Listener, Moving, Query, QueryRetrieveScu, Retrieval, Retrieving, Search
from gurney.pacs.events import InstanceReceived, MatchFound
from gurney.pacs.testing import Answer, FakePacs, Operation, Respond
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


@pytest.mark.parametrize("kind", ["find", "move", "get"])
def test_keys_that_a_peer_ignores_are_told_of_once_for_each_operation(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, kind: str
) -> None:
    told: list[Service] = []
    scu.events.optional_keys_ignored(lambda event: told.append(event.service))
    match = STUDIES[0] if kind == "find" else None
    ignoring = Answer([*[Respond(0xFF01, dataset=match, comment="for P1")] * 3, Respond()])
    operation = {"find": Operation.C_FIND, "move": Operation.C_MOVE, "get": Operation.C_GET}[kind]
    pacs.on_request(operation, ignoring, ignoring)
    what = Retrieval(study_instance_uid=FIRST)
    for number in (1, 2):
        stream: Search[Query] | Moving | Retrieving
        if kind == "find":
            stream = scu.find(pacs.remote(), Query())
        elif kind == "move":
            stream = scu.move(pacs.remote(), what, "ELSEWHERE")
        else:
            stream = scu.get(pacs.remote(), what, tmp_path, [CT])
        assert not stream.ignores_optional_keys
        list(stream)
        assert stream.ignores_optional_keys
        assert [service.name for service in told] == [operation.name] * number


def test_a_peer_that_heeds_all_keys_is_not_accused(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    told: list[object] = []
    scu.events.optional_keys_ignored(told.append)
    with scu.find(pacs.remote(), Query()) as search:
        assert len(list(search)) == 3
    assert (search.ignores_optional_keys, told) == (False, [])


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
