"""Peers that misbehave in every way there is, all at once at one site, each with the same study.

One Gurney sends to all of them, so that each case also shows that a bad peer harms no other. Nothing is lost, the
fault is charged to whom it belongs, and every study ends by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gurney.pacs.testing import (
    Accept,
    Break,
    FakePacs,
    Garbage,
    Gate,
    How,
    InPlaceOfAccept,
    Reject,
    Respond,
    Stall,
    When,
)
from gurney.transfer.states import ItemState, Outcome
from tests.faults.books import Entry, account_of, check
from tests.faults.harness import Site, remote
from tests.faults.instances import CT, Instance, make_study

pytestmark = [pytest.mark.fault, pytest.mark.slow]

OK, WARN, TRANSIENT, PERMANENT, DEST_DOWN = (
    Outcome.OK,
    Outcome.WARN,
    Outcome.TRANSIENT,
    Outcome.PERMANENT,
    Outcome.DEST_DOWN,
)
Study = Sequence[Instance]
Arrange = Callable[[FakePacs, str], None]


def instance(*acts: Any) -> Arrange:
    """Let the peer do these with one instance in the middle, one each time that it comes."""
    return lambda pacs, uid: pacs.on_uid(uid, *acts)


def association(*acts: Any) -> Arrange:
    """Let the peer do these with its first associations."""

    def arrange(pacs: FakePacs, _: str) -> None:
        for number, act in enumerate(acts, 1):
            pacs.on_association(number, act)

    return arrange


def always(act: Any) -> Arrange:
    """Let the peer do this with whatever comes."""
    return lambda pacs, _: pacs.always(act)


def late_then_duplicate(pacs: FakePacs, uid: str) -> None:
    """Store one instance and answer too late; say afterwards that it is there."""
    gate = Gate()
    pacs.on_uid(uid, Respond(gate=gate), Respond(0x0111))
    LATE.append(gate)


LATE: list[Gate] = []


@dataclass(frozen=True)
class Case:
    """What a peer does, and what must come of the instance that it does it to.

    ``outcomes`` are its attempts, in order; ``charged`` how many of them it was charged for; ``words`` are in the
    words of the first. ``others`` are the attempts of each of the other instances; None where it is a matter of luck
    whether the next one is on the wire already.
    """

    name: str
    arrange: Arrange
    outcomes: Sequence[Outcome] = (OK,)
    words: str = ""
    charged: int | None = None
    others: Sequence[Outcome] | None = (OK,)
    all_fail: bool = False
    timeouts: Mapping[str, float] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


def _status(status: int, *outcomes: Outcome, words: str = "") -> Case:
    return Case(f"status-{status:04X}", instance(Respond(status)), outcomes, words or f"{status:04X}")


CASES = [
    # The association ends in the middle: the instance on the wire is tried again, its neighbours are not charged.
    *(
        Case(f"{how.name}-{when.name}".lower(), instance(Break(how, when)), (TRANSIENT, OK), charged=1)
        for how in (How.ABORT, How.RESET, How.CLOSE)
        for when in (When.BEFORE, When.MIDDLE, When.AFTER)
    ),
    Case("abort-and-stay", instance(Break(How.ABORT_AND_STAY)), (TRANSIENT, OK), charged=1),
    Case("release", instance(Break(How.RELEASE)), (TRANSIENT, OK), charged=1, timeouts={"store": 1}),
    # What was answered before the association went is stored, once.
    Case("reset-after-the-answer", instance(Break(How.RESET, When.ANSWERED)), others=None),
    Case("abort-after-the-answer", instance(Break(How.ABORT, When.ANSWERED)), others=None),
    # Silence, and things that are no answer.
    Case("stall", instance(Stall()), (TRANSIENT, OK), "no response in time", 1, timeouts={"store": 1}),
    Case("stall-midway", instance(Stall(When.MIDDLE)), (TRANSIENT, OK), charged=1, timeouts={"store": 1}),
    Case("garbage", instance(Garbage(b"HTTP/1.1 200 OK\r\n\r\n")), (TRANSIENT, OK), charged=1, timeouts={"store": 1}),
    Case("wrong-message-id", instance(Respond(wrong_message_id=True)), (TRANSIENT, OK), "wrong message ID", 1),
    Case("wrong-context-id", instance(Respond(wrong_context_id=True)), (TRANSIENT, OK), "wrong message ID", 1),
    Case("no-status", instance(Respond(None)), (TRANSIENT, OK), "without a status", 1),
    Case("late", late_then_duplicate, (TRANSIENT, WARN), "no response in time", 1, timeouts={"store": 1}),
    # One instance that always ends the association is failed in the end; nobody else suffers.
    Case("poison", instance(*[Break()] * 9), (TRANSIENT,) * 3 + (PERMANENT,), charged=4),
    # Each class of status (PS3.4 B.2.3, PS3.7 annex C).
    _status(0x0001, WARN),
    _status(0x0107, WARN),
    _status(0x0116, WARN),
    _status(0xB000, WARN),
    _status(0xB006, WARN),
    _status(0xB007, WARN),
    _status(0xA700, TRANSIENT, OK),
    _status(0xA771, TRANSIENT, OK),
    _status(0xC000, TRANSIENT, OK),
    _status(0xC123, TRANSIENT, OK),
    _status(0x0110, TRANSIENT, OK),
    _status(0x0213, TRANSIENT, OK),
    _status(0x0210, DEST_DOWN, OK),
    _status(0x7777, TRANSIENT, OK),
    _status(0x01FF, TRANSIENT, OK),
    _status(0xA900, PERMANENT),
    _status(0x0106, PERMANENT),
    _status(0x0117, PERMANENT),
    _status(0x0211, PERMANENT),
    Case("status-0111-not-allowed", instance(Respond(0x0111)), (PERMANENT,), "0111", more={"duplicate": "fail"}),
    Case("status-0124", lambda pacs, _: pacs.on_instance(1, Respond(0x0124)), words="allow our AE title", charged=0),
    Case("status-0122", always(Respond(0x0122)), (PERMANENT,), "0122", all_fail=True),
    # The peer will not associate: the destination's fault, no instance is charged.
    Case("rejects-2-3-1", association(Reject(2, 3, 1)), words="temporary congestion", charged=0),
    Case("rejects-2-3-2", association(Reject(2, 3, 2)), words="limit of associations", charged=0),
    Case("rejects-1-1-1", association(Reject(1, 1, 1)), words="no reason", charged=0),
    Case("rejects-1-1-3", association(Reject(1, 1, 3)), words="our calling AE title 'GURNEY'", charged=0),
    Case("rejects-1-1-7", association(Reject(1, 1, 7)), words="called AE title 'FAKEPACS'", charged=0),
    *(
        Case(f"{act.name}-for-accept".lower(), association(*[act] * 3), charged=0, timeouts={"acse": 1})
        for act in InPlaceOfAccept
    ),
    # The peer refuses what we propose (PS3.8 9.3.3.2).
    Case("refuses-once", association(Accept(refuse={CT: 1})), (TRANSIENT, OK), charged=1, others=(TRANSIENT, OK)),
    Case("refuses-twice", always(Accept(refuse={CT: 2})), (TRANSIENT, PERMANENT), "refused", all_fail=True),
    Case("refuses-class", always(Accept(refuse={CT: 3})), (PERMANENT,), "SOP class", all_fail=True),
    Case("refuses-syntax", always(Accept(refuse={CT: 4})), (PERMANENT,), "transfer syntax", all_fail=True),
]


@dataclass
class Afterwards:
    """What is left to look at when everything has come to its end."""

    site: Site
    peers: dict[str, FakePacs]
    study: list[Instance]
    victim: str


@pytest.fixture(scope="module")
def afterwards(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Afterwards]:
    """Send one study to every peer, let time pass while there is something to do, and end in good order."""
    study = make_study(6)
    victim = study[3].sop_instance_uid
    with ExitStack() as stack:
        peers = {case.name: stack.enter_context(FakePacs()) for case in CASES}
        for case in CASES:
            case.arrange(peers[case.name], victim)
        remotes = [
            remote(peers[case.name], case.name, timeouts=case.timeouts, max_associations=1, **case.more)
            for case in CASES
        ]
        site = Site(Path(tmp_path_factory.mktemp("peers")) / "site", remotes, workers={"processes": 4})
        stack.callback(site.close)
        site.start()
        site.drop(*study)
        site.books.wait_until(lambda: len(site.books.items()) == len(study) * len(CASES), "every item to be there")
        site.books.wait_until_idle()
        for gate in LATE:
            gate.open()
        site.books.let_pass_until_settled()
        site.books.wait_until_complete()
        yield Afterwards(site, peers, study, victim)
    site.check_logs()


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_peer_that(case: Case, afterwards: Afterwards) -> None:
    books, pacs, study = afterwards.site.books, afterwards.peers[case.name], afterwards.study
    uids = [one.sop_instance_uid for one in study]
    stored = case.outcomes[-1] in {OK, WARN}
    failed = uids if case.all_fail else [] if stored else [afterwards.victim]
    check(books, study, account_of(pacs), destination=case.name, failed=failed)
    trails = {uid: books.attempts(uid, case.name) for uid in uids}
    if case.all_fail:
        assert {tuple(_outcomes(trail)) for trail in trails.values()} <= {tuple(case.outcomes), ()}
        assert all(case.words in line.words for line in books.items(case.name))
        return
    trail = trails.pop(afterwards.victim)
    if case.charged == 0:
        # The destination's faults are told once each, by whichever instance came first.
        everything = [entry for one in (trail, *trails.values()) for entry in one]
        assert {entry.outcome for entry in everything} == {OK, DEST_DOWN}
        assert any(case.words in entry.words for entry in everything)
        assert {line.attempts for line in books.items(case.name)} == {0}
        return
    assert _outcomes(trail) == list(case.outcomes)
    assert case.words in trail[0].words
    (line,) = [line for line in books.items(case.name) if line.sop_instance_uid == afterwards.victim]
    assert line.attempts == (case.charged or sum(one in {TRANSIENT, PERMANENT} for one in case.outcomes))
    if case.others is not None:
        assert {tuple(_outcomes(other)) for other in trails.values()} == {tuple(case.others)}
    if stored:
        assert pacs.stored_uids().count(afterwards.victim) == 1


def test_nothing_was_lost_on_the_way(afterwards: Afterwards) -> None:
    assert afterwards.site.books.leases("lost") == []
    assert not set(afterwards.site.books.states()) & {ItemState.DEAD, ItemState.HELD, ItemState.CANCELLED}


def _outcomes(trail: Sequence[Entry]) -> list[Outcome]:
    return [entry.outcome for entry in trail]
