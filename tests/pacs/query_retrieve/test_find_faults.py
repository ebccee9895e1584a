"""What a peer may do to a C-FIND, and what is told of it; on both ways alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from gurney.pacs import (
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    BadResponse,
    DimseTimeout,
    InvalidQuery,
    OperationFailed,
    PatientRootQuery,
    Query,
    QueryRetrieveScu,
    Timeouts,
)
from gurney.pacs.events import BeforeCFind, FindChange
from gurney.pacs.testing import (
    Accept,
    Answer,
    Ask,
    Break,
    FakePacs,
    Find,
    Garbage,
    How,
    Operation,
    Respond,
    Send,
    Stall,
    When,
)
from gurney.pacs.testing.answers import RequestAct
from tests.pacs.conftest import WAYS, query_scu, study_of

SHORT = Timeouts(connect=2, acse=0.5, store=0.5, find=0.5, move=0.5, network=2)
LONG = Timeouts(connect=2, acse=5, store=5, find=5, move=5, network=5)

STUDIES = [study_of(number) for number in range(1, 4)]
MATCH, DONE = Respond(0xFF00, dataset=STUDIES[0]), Respond()


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=STUDIES) as pacs:
        yield pacs


@pytest.mark.parametrize(
    "act",
    [
        Answer((MATCH, Respond(0xFF00, dataset=STUDIES[1], wrong_message_id=True), DONE)),
        Answer((MATCH, Respond(0xFF00, dataset=STUDIES[1], wrong_context_id=True), DONE)),
        Answer((MATCH, Respond(None, dataset=STUDIES[1]), DONE)),
        Answer((MATCH, Respond(None))),
        Answer((MATCH, Respond(0xFF00), DONE)),
        Answer((MATCH, Respond(0xFF00, dataset=b""), DONE)),
        Answer((MATCH, Respond(elements={0x0100: b"\x01\x80"}))),
        Answer((MATCH, Respond(elements={0x0100: None}))),
        Answer((MATCH, Garbage(b"HTTP/1.1 500 Oops\r\n\r\n"))),
        Answer((MATCH, Garbage(b"\x04\x00\x00\x00\x00\x10" + b"\xff" * 16))),
        Answer((MATCH, Garbage(b"\x04\x00\xff\xff\xff\xf0"))),
        Answer((MATCH, Garbage(b"\x09\x00\x00\x00\x00\x04spam"))),
    ],
    ids=[
        *("other-message", "other-context", "match-without-status", "end-without-status", "match-without-identifier"),
        *("empty-identifier", "other-service", "no-service"),
        *("http", "nonsense-pdv", "endless-pdu", "unknown-pdu"),
    ],
)
def test_an_answer_to_nothing_we_asked_is_never_the_end_of_the_matches(
    scu: QueryRetrieveScu, pacs: FakePacs, act: RequestAct
) -> None:
    pacs.on_request(Operation.C_FIND, act)
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query())
        found = next(search)
        assert found.value.study_instance_uid == STUDIES[0].StudyInstanceUID
        with pytest.raises(BadResponse):
            list(search)
        assert (search.status, search.is_complete) == (None, False)
    pacs.wait_until_quiet()


@pytest.mark.parametrize(
    ("how", "error"),
    [
        (How.ABORT, AssociationAborted),
        (How.RELEASE, AssociationLost),
        (How.CLOSE, AssociationLost),
        (How.RESET, AssociationLost),
    ],
)
@pytest.mark.parametrize("when", [When.BEFORE, When.MIDDLE, When.AFTER, "between", "within"])
def test_a_peer_that_ends_the_association_fails_the_search(
    scu: QueryRetrieveScu, pacs: FakePacs, how: How, error: type[AssociationFailure], when: When | str
) -> None:
    acts: dict[str, RequestAct] = {
        "between": Answer((MATCH, Break(how))),
        "within": Answer((MATCH, Respond(0xFF00, dataset=STUDIES[1], middle=Break(how)))),
    }
    pacs.on_request(Operation.C_FIND, acts[when] if isinstance(when, str) else Break(how, when))
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query())
        with pytest.raises(error):
            list(search)
        assert search.count == (1 if isinstance(when, str) else 0)
        assert isinstance(association.failure, error)


@pytest.mark.parametrize(
    "act",
    [
        Stall(When.BEFORE),
        Stall(When.MIDDLE),
        Stall(When.AFTER),
        Answer((MATCH, Stall())),
        Answer((MATCH, Respond(0xFF00, dataset=STUDIES[1], middle=Stall()))),
        Answer((MATCH, Respond(drip=0.05))),
        Answer((MATCH, Respond(0xFF00, dataset=STUDIES[1], endless=b""))),
    ],
    ids=[
        *("before", "middle", "after", "between", "within", "drips"),
        "empty-fragments",
    ],
)
def test_a_peer_that_gets_nowhere_times_out_and_is_never_used_again(
    scu: QueryRetrieveScu, pacs: FakePacs, act: RequestAct
) -> None:
    pacs.on_request(Operation.C_FIND, act)
    with scu.associate_for(pacs.remote(SHORT)) as association:
        with pytest.raises(DimseTimeout):
            list(association.find(Query()))
        assert not association.is_usable
    pacs.wait_until_quiet()


def test_a_response_that_names_no_message_is_none_of_ours(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Answer((MATCH, Respond(elements={0x0120: None}))))
    with scu.associate_for(pacs.remote(SHORT)) as association:
        with pytest.raises(BadResponse):
            list(association.find(Query()))
        assert not association.is_usable


@pytest.mark.parametrize("fragment", [b"", bytes(1 << 16)], ids=["empty", "full"])
@pytest.mark.parametrize("dataset", [None, b""], ids=["command", "identifier"])
def test_a_message_without_an_end_is_cut_before_it_fills_the_memory(
    scu: QueryRetrieveScu, pacs: FakePacs, dataset: bytes | None, fragment: bytes
) -> None:
    pacs.on_request(Operation.C_FIND, Answer((Respond(0xFF00, dataset=dataset, endless=fragment),)))
    with scu.associate_for(pacs.remote(SHORT)) as association:
        with pytest.raises((BadResponse, DimseTimeout)):
            list(association.find(Query()))
        assert not association.is_usable


@pytest.mark.parametrize("status", [0xA700, 0xA900, 0xC001, 0x0122, 0x0124, 0x0210, 0x1234])
def test_a_failure_is_raised_and_the_association_goes_on(scu: QueryRetrieveScu, pacs: FakePacs, status: int) -> None:
    pacs.on_request(Operation.C_FIND, Answer((MATCH, Respond(status, comment="not today"))))
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query())
        with pytest.raises(OperationFailed, match="C-FIND failed") as failed:
            list(search)
        assert failed.value.comment == "not today"
        assert "not today" not in str(failed.value)
        assert (failed.value.status, search.status, search.is_complete) == (status, status, False)
        assert len(list(association.find(Query()))) == 3
        assert association.verify().is_success


@pytest.mark.parametrize(
    "act",
    [
        Find(each=Respond(0xFF00, pdvs=3)),
        Find(each=Respond(0xFF00, pdvs=4, one_pdu=True)),
        Find(each=Respond(0xFF01, comment="more keys than I know")),
        Find(each=Respond(0xFF00, ask_first=True)),
        Find(final=Respond(ask_first=True, pdvs=2)),
        Answer([Ask(), *(Respond(0xFF00, dataset=study) for study in STUDIES), Ask(wait=False), DONE]),
    ],
    ids=["pdvs", "one-pdu", "ff01", "echo-before-each", "echo-before-the-last", "echoes"],
)
def test_an_odd_but_good_answer(scu: QueryRetrieveScu, pacs: FakePacs, act: RequestAct) -> None:
    pacs.on_request(Operation.C_FIND, act)
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query())
        assert len(list(search)) == 3
        assert search.is_complete
        assert association.verify().is_success


def test_a_store_out_of_place_is_refused_and_keeps_nothing(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(str(tmp_path))
    heard: list[int] = []

    def steps(_: object) -> Iterator[Send | Respond]:
        yield MATCH
        heard.append((yield Send(STUDIES[0], context_id=1)) or 0)
        yield DONE

    pacs.on_request(Operation.C_FIND, Answer(steps))
    try:
        with scu.associate_for(pacs.remote(LONG)) as association:
            assert len(list(association.find(Query()))) <= 1
    except AssociationFailure:
        pass  # to end it is as good an answer to what was never negotiated
    else:
        assert heard
        assert heard[0] >> 12 != 0xB
        assert heard[0] != 0
    assert list(tmp_path.iterdir()) == []  # type: ignore[attr-defined]


def test_what_comes_behind_the_end_answers_nobody(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Answer((MATCH, DONE, MATCH, DONE)))
    with scu.associate_for(pacs.remote(LONG)) as association:
        assert len(list(association.find(Query()))) == 1
        with pytest.raises(BadResponse):
            association.verify()
        assert not association.is_usable


# --- Matches that lie -------------------------------------------------------------------------------------------------


def test_the_matches_of_others_are_left_out_and_counted(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Find(heedless=True), Find(heedless=True, say={"PatientID": "SOMEBODY ELSE"}))
    query = PatientRootQuery(patient_id=str(STUDIES[1].PatientID))
    with scu.associate_for(pacs.remote(LONG), query.model) as association:
        search = association.find(query)
        assert [match.value.patient_id for match in search] == [STUDIES[1].PatientID]
        assert search.filtered == 2
        search = association.find(query)
        assert list(search) == []
        assert search.filtered == 3
    template = Dataset()
    template.StudyID = "2"
    pacs.on_request(Operation.C_FIND, Find(heedless=True, say={"StudyID": "1"}), Find(heedless=True))
    with scu.find(pacs.remote(), Query(), template=template) as search:
        assert (list(search), search.filtered) == ([], 3)
    wanted = Query(study_instance_uid=str(STUDIES[1].StudyInstanceUID)).identifier()
    scu.events.before_c_find(lambda _: FindChange(identifier=wanted))
    with scu.find(pacs.remote(), Query()) as search:
        assert [match.value.study_instance_uid for match in search] == [STUDIES[1].StudyInstanceUID]
        assert search.filtered == 2


@pytest.mark.parametrize(
    "uid", ["../../x", "/etc/passwd", "1.2.3\0/../x", "1" * 65, "", "1.2.<script>", "1..2", " "], ids=repr
)
def test_a_uid_that_is_none_is_a_match_and_no_accident(scu: QueryRetrieveScu, pacs: FakePacs, uid: str) -> None:
    pacs.on_request(Operation.C_FIND, Find(say={"StudyInstanceUID": uid}))
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query())
        assert len([match.value.study_instance_uid for match in search]) + search.filtered == 3
        assert association.verify().is_success


# --- Too much, and cancels --------------------------------------------------------------------------------------------


def test_a_million_matches_end_where_it_is_enough(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Find(repeat=1_000_000))
    with scu.associate_for(pacs.remote(LONG)) as association:
        search = association.find(Query(), limit=10)
        assert len(list(search)) == 10
        assert not search.is_complete
        assert association.verify().is_success
        assert pacs.cancels == 1


@pytest.mark.parametrize(
    "on_cancel",
    [None, Stall(), Break(How.ABORT), Break(How.CLOSE), Break(How.RESET), Break(How.RELEASE)],
    ids=["goes on", "silence", "abort", "close", "reset", "release"],
)
def test_a_peer_that_takes_a_cancel_badly_has_been_cancelled(
    scu: QueryRetrieveScu, pacs: FakePacs, on_cancel: Break | Stall | None
) -> None:
    pacs.on_request(Operation.C_FIND, Find(repeat=1_000_000, on_cancel=on_cancel))
    with scu.associate_for(pacs.remote(replace(LONG, acse=0.5))) as association:
        search = association.find(Query())
        next(search)
        association.cancel()
        assert len(list(search)) >= 0  # ends, and without an error
        assert search.status is None
        assert not association.is_usable
        assert isinstance(association.failure, AssociationEnded | AssociationAborted | AssociationLost)
    pacs.wait_until_quiet()


def test_leaving_a_search_is_heard_by_the_peer(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    pacs.on_request(Operation.C_FIND, Find(repeat=1_000_000))
    with scu.associate_for(pacs.remote(LONG)) as association:
        with association.find(Query()) as search:
            next(search)
        assert association.verify().is_success
    pacs.wait_until_quiet()
    assert (pacs.cancels, pacs.endings) == (1, ["released"])


# --- Limits of the peer -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("max_pdu", [0, 128, 4096, 0xFFFFFFFF])
def test_any_usable_limit_of_the_peer_is_kept(scu: QueryRetrieveScu, max_pdu: int) -> None:
    template = Dataset()
    template.StudyDescription = "x" * 60
    with FakePacs(association=Accept(max_pdu=max_pdu), holdings=STUDIES) as pacs:
        with scu.associate_for(pacs.remote(LONG)) as association:
            assert len(list(association.find(Query(), limit=None))) == 3
        assert pacs.longest_pdu <= (max_pdu or 1 << 30)


@pytest.mark.parametrize("max_pdu", [1, 7])
def test_a_limit_that_nothing_fits_into_is_refused(scu: QueryRetrieveScu, max_pdu: int) -> None:
    with FakePacs(association=Accept(max_pdu=max_pdu)) as pacs:
        with pytest.raises(BadResponse, match="too short"):
            scu.associate_for(pacs.remote(LONG))
        pacs.wait_until_quiet()


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_of_no_match_is_refused(scu: QueryRetrieveScu, pacs: FakePacs, limit: int) -> None:
    with pytest.raises(InvalidQuery, match="'limit' is no whole number from 1"):
        scu.find(pacs.remote(LONG), Query(), limit=limit)
    assert pacs.associations == 0
    with scu.associate_for(pacs.remote(LONG)) as association, pytest.raises(InvalidQuery, match="'limit'"):
        association.find(Query(), limit=limit)


def test_what_a_listener_asks_otherwise_is_not_held_against_the_matches(scu: QueryRetrieveScu, pacs: FakePacs) -> None:
    """The archive knows the patient under another ID, which the application's listener knows."""
    known_as = str(STUDIES[1].PatientID)

    def translate(event: BeforeCFind) -> FindChange:
        event.identifier.PatientID = known_as
        return FindChange(identifier=event.identifier)

    with scu.events.before_c_find.listening(translate), scu.find(pacs.remote(LONG), Query(patient_id="OURS")) as search:
        assert [str(match.dataset.PatientID) for match in search] == [known_as]
    assert search.filtered == 0
