"""What a peer may do to a C-GET, or a C-MOVE to ourselves, and what is told of it; on both ways alike."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pytest

from gurney.pacs import (
    AssociationAborted,
    AssociationEnded,
    AssociationFailure,
    AssociationLost,
    BadResponse,
    DimseTimeout,
    Listener,
    OperationFailed,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import (
    Answer,
    Ask,
    Break,
    Counts,
    FakePacs,
    Garbage,
    Gate,
    How,
    Operation,
    Request,
    Respond,
    Retrieve,
    Send,
    Stall,
    When,
)
from gurney.pacs.testing.answers import RequestAct, Step
from tests.pacs.conftest import CT, WAYS, query_scu, study_of

SHORT = Timeouts(connect=2, acse=0.5, store=0.5, find=0.5, move=0.5, network=2)
LONG = Timeouts(connect=2, acse=5, store=5, find=5, move=5, network=5)

# One study of three instances, long enough for several fragments.
STUDY = "1.2.3.1"
INSTANCES = [study_of(1, size=50_000) for _ in range(3)]
for number, one in enumerate(INSTANCES, start=1):
    one.SOPInstanceUID = f"{STUDY}.1.{number}"
UIDS = [str(one.SOPInstanceUID) for one in INSTANCES]
WHAT = Retrieval(study_instance_uid=STUDY)

TRAVERSALS = ["../../evil", "/tmp/evil", "1.2/../../../evil", "1.2.3\0/evil", "1" * 65, "..", "", "a\\b", "1.2.3.dcm"]


@pytest.fixture(params=WAYS)
def scu(request: pytest.FixtureRequest) -> QueryRetrieveScu:
    return query_scu(request.param)


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs(holdings=INSTANCES) as pacs:
        yield pacs


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder to get into; what is written, now or at the end, is in it and has a name of ours."""
    inside = tmp_path / "outer" / "inside"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside.parent)
    yield inside
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.parent != inside] == []
    assert {path.name for path in inside.iterdir()} <= {f"{uid}.dcm" for uid in UIDS}


def got(scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, timeouts: Timeouts = LONG) -> tuple[list[str], object]:
    """C-GET the study; return what arrived, and what was raised or else the final status."""
    arrived = []
    with scu.associate_to_get(pacs.remote(timeouts), [CT]) as association:
        arrivals = association.get(WHAT, folder)
        outcome: object = None
        try:
            for received in arrivals:
                assert received.path.is_file()
                arrived.append(received.sop_instance_uid)
            outcome = arrivals.progress.status if arrivals.progress is not None else None
        except (AssociationFailure, OperationFailed) as error:
            outcome = error
        assert association.is_usable == (not isinstance(outcome, AssociationFailure))
        if association.is_usable:
            assert association.verify().is_success
    pacs.wait_until_quiet()
    return arrived, outcome


# --- C-GET: what comes ------------------------------------------------------------------------------------------------


def test_the_fake_is_honest_without_a_script(scu: QueryRetrieveScu, pacs: FakePacs, folder: Path) -> None:
    assert got(scu, pacs, folder) == (UIDS, 0)
    assert sorted(path.name for path in folder.iterdir()) == [f"{uid}.dcm" for uid in UIDS]


def sending(*sends: Send) -> tuple[Answer, list[int]]:
    """Make an answer that sends these and then says success; and the list of how each is answered."""
    heard: list[int] = []

    def steps(_: Request) -> Generator[Step, int | None, None]:
        for send in sends:
            heard.append((yield send) or 0)
        yield Respond(counts=Counts(0, len(sends), 0, 0))

    return Answer(steps), heard


@pytest.mark.parametrize("uid", TRAVERSALS, ids=repr)
def test_a_uid_never_leads_out_of_the_folder(scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, uid: str) -> None:
    answer, heard = sending(Send(INSTANCES[0], sop_instance_uid=uid or "\0"), Send(INSTANCES[1]))
    pacs.on_request(Operation.C_GET, answer)
    arrived, outcome = got(scu, pacs, folder)
    if isinstance(outcome, AssociationFailure):
        assert arrived == []
    else:
        assert (arrived, outcome) == (UIDS[1:2], 0)
        assert heard[0] != 0
        assert heard[0] >> 12 != 0xB
        assert heard[1] == 0


def test_an_instance_that_is_another_than_it_says_is_refused(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path
) -> None:
    """PS3.4 B.2.3: the data set does not match the request (A900)."""
    answer, heard = sending(Send(INSTANCES[0], sop_instance_uid=UIDS[2]), Send(INSTANCES[1]))
    pacs.on_request(Operation.C_GET, answer)
    assert got(scu, pacs, folder) == (UIDS[1:2], 0)
    assert heard == [0xA900, 0]


@pytest.mark.parametrize("context_id", [1, 251], ids=["the-query's-own", "never-proposed"])
def test_an_instance_in_a_context_that_is_none_of_its_own_is_not_kept(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, context_id: int
) -> None:
    answer, heard = sending(Send(INSTANCES[0], context_id=context_id))
    pacs.on_request(Operation.C_GET, answer)
    arrived, outcome = got(scu, pacs, folder, SHORT)
    assert arrived == []
    assert isinstance(outcome, AssociationFailure) or heard[0] != 0


# --- C-GET: what is said ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "arrived", "status"),
    [
        (Retrieve(omit=UIDS[:1]), UIDS[1:], 0x0000),
        (Retrieve(fail=UIDS[:1], final=Respond(0x0000)), UIDS[1:], 0x0000),
        (Retrieve(fail=UIDS[:1]), UIDS[1:], 0xB000),
        (Retrieve(omit=UIDS), [], 0x0000),
        (Retrieve(counts=Counts(65535, 65535, 65535, 65535)), UIDS, 0x0000),
        (Retrieve(counts=Counts()), UIDS, 0x0000),
        (Retrieve(pendings=False), UIDS, 0x0000),
        (Retrieve(each=Send(fragment=999)), UIDS, 0x0000),
        (Retrieve(each=Send(delay=0.01)), UIDS, 0x0000),
        (Retrieve(final=Respond(ask_first=True, pdvs=3)), UIDS, 0x0000),
    ],
    ids=[
        *("missing", "failed-and-success", "failed", "none", "counts-beyond-all", "no-counts", "no-pendings"),
        *("short-fragments", "slow", "asked-meanwhile"),
    ],
)
def test_what_arrives_is_told_whatever_the_peer_says(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, act: RequestAct, arrived: list[str], status: int
) -> None:
    pacs.on_request(Operation.C_GET, act)
    assert got(scu, pacs, folder) == (arrived, status)


@pytest.mark.parametrize("status", [0xA701, 0xA702, 0xA900, 0xC000, 0x0122, 0x4321])
def test_a_failure_is_raised_behind_what_arrived(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, status: int
) -> None:
    pacs.on_request(Operation.C_GET, Retrieve(final=Respond(status)))
    arrived, outcome = got(scu, pacs, folder)
    assert arrived == UIDS
    assert isinstance(outcome, OperationFailed)
    assert outcome.status == status


FIRST, CUT = Send(INSTANCES[0]), Send(INSTANCES[1], fragment=10_000)


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (Answer((FIRST, Respond(wrong_message_id=True))), BadResponse),
        (Answer((FIRST, Respond(wrong_context_id=True))), BadResponse),
        (Answer((FIRST, Respond(None))), BadResponse),
        (Answer((FIRST, Respond(elements={0x0100: b"\x20\x80"}))), BadResponse),
        (Answer((FIRST, Garbage(b"HTTP/1.1 500 Oops\r\n\r\n"))), BadResponse),
        (Answer((FIRST, Garbage(b"\x04\x00\xff\xff\xff\xf0"))), BadResponse),
        (Answer((FIRST, Break(How.ABORT))), AssociationAborted),
        (Answer((FIRST, Break(How.CLOSE))), AssociationLost),
        (Answer((FIRST, Break(How.RESET))), AssociationLost),
        (Answer((FIRST, Break(How.RELEASE))), AssociationLost),
        (Answer((FIRST, replace(CUT, middle=Break(How.ABORT)))), AssociationAborted),
        (Answer((FIRST, replace(CUT, middle=Break(How.CLOSE)))), AssociationLost),
        (Answer((FIRST, replace(CUT, middle=Break(How.RESET)))), AssociationLost),
        (Answer((FIRST, replace(CUT, middle=Break(How.RELEASE)))), AssociationLost | BadResponse),
    ],
    ids=[
        *("other-message", "other-context", "no-status", "other-service", "http", "endless-pdu"),
        *("abort", "close", "reset", "release"),
        *("abort-within", "close-within", "reset-within", "release-within"),
    ],
)
def test_an_end_in_the_middle_loses_nothing_that_came_whole(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, act: RequestAct, error: type[AssociationFailure]
) -> None:
    pacs.on_request(Operation.C_GET, act)
    arrived, outcome = got(scu, pacs, folder)
    assert isinstance(outcome, error)
    assert arrived == UIDS[:1]
    assert [path.name for path in folder.iterdir()] == [f"{UIDS[0]}.dcm"]


@pytest.mark.parametrize(
    "act",
    [
        Stall(When.AFTER),
        Answer((FIRST, Stall())),
        Answer((FIRST, replace(CUT, middle=Stall()))),
        Answer((FIRST, Send(INSTANCES[1], endless=b""))),
        Answer((FIRST, Respond(endless=b""))),
    ],
    ids=["at-once", "between", "within", "empty-fragments-of-an-instance", "empty-fragments-of-a-command"],
)
def test_a_peer_that_gets_nowhere_times_out_and_leaves_no_half_file(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, act: RequestAct
) -> None:
    pacs.on_request(Operation.C_GET, act)
    arrived, outcome = got(scu, pacs, folder, SHORT)
    assert isinstance(outcome, DimseTimeout | BadResponse)
    assert arrived == ([] if isinstance(act, Stall) else UIDS[:1])
    assert len([*folder.iterdir()]) == len(arrived)


@pytest.mark.parametrize(
    "on_cancel",
    [Respond(0xFE00), None, Stall(), Break(How.ABORT), Break(How.CLOSE)],
    ids=["heeds", "goes-on", "silence", "abort", "close"],
)
def test_a_cancelled_get_ends_without_an_error(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, on_cancel: Respond | Break | Stall | None
) -> None:
    def for_ever(_: Request) -> Iterator[Step]:
        while True:
            for instance in INSTANCES:
                yield Send(instance)
            yield Respond(0xFF00, counts=Counts(remaining=1))

    pacs.on_request(Operation.C_GET, Answer(for_ever, on_cancel=on_cancel))
    timeouts = Timeouts(connect=2, acse=0.5, move=5)
    with scu.associate_to_get(pacs.remote(timeouts), [CT]) as association:
        arrivals = association.get(WHAT, folder)
        next(arrivals)
        association.cancel()
        list(arrivals)
        assert association.is_usable == isinstance(on_cancel, Respond)
        if not association.is_usable:
            assert isinstance(association.failure, AssociationEnded | AssociationAborted | AssociationLost)
    pacs.wait_until_quiet()


# --- C-MOVE to ourselves ----------------------------------------------------------------------------------------------


def moved(scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, timeouts: Timeouts = LONG) -> tuple[list[str], object]:
    """C-MOVE the study to ourselves; return what arrived, and what was raised or else the final status."""
    arrived = []
    with Listener("SELF", folder) as listener, scu.associate_for(pacs.remote(timeouts)) as association:
        pacs.know("SELF", listener.port)
        arrivals = association.move_to_self(WHAT, listener, grace=0.2)
        outcome: object = None
        try:
            for received in arrivals:
                assert received.path.is_file()
                arrived.append(received.sop_instance_uid)
            outcome = arrivals.progress.status if arrivals.progress is not None else None
        except (AssociationFailure, OperationFailed) as error:
            outcome = error
        assert association.is_usable == (not isinstance(outcome, AssociationFailure))
    pacs.wait_until_quiet()
    return arrived, outcome


@pytest.mark.parametrize(
    ("act", "arrived", "status"),
    [
        (Retrieve(), UIDS, 0x0000),
        (Retrieve(omit=UIDS[:1]), UIDS[1:], 0x0000),
        (Retrieve(fail=UIDS[:1], final=Respond(0x0000)), UIDS[1:], 0x0000),
        (Retrieve(fail=UIDS[:1]), UIDS[1:], 0xB000),
        (Retrieve(counts=Counts()), UIDS, 0x0000),
        (Retrieve(counts=Counts(0, 5, 0, 0)), UIDS, 0x0000),
        (Retrieve(pendings=False), UIDS, 0x0000),
        (Answer((Send(study_of(2)), *map(Send, INSTANCES), Respond(counts=Counts(0, 4)))), UIDS, 0x0000),
        (Answer((*map(Send, INSTANCES), Ask(), Respond(counts=Counts(0, 3)))), UIDS, 0x0000),
    ],
    ids=[
        *("honest", "missing", "failed-and-success", "failed", "no-counts", "too-many-counted", "no-pendings"),
        *("another-patient's-first", "asked-meanwhile"),
    ],
)
def test_what_was_asked_for_and_arrived_is_told(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, act: RequestAct, arrived: list[str], status: int
) -> None:
    pacs.on_request(Operation.C_MOVE, act)
    assert moved(scu, pacs, tmp_path) == (arrived, status)


@pytest.mark.parametrize("known", ["by an inventory", "by what was announced"])
def test_what_is_on_its_way_is_waited_for_though_the_end_counts_nothing(
    scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path, known: str
) -> None:
    """The counts of a final response are optional: an archive that says it is done may still be sending."""
    gates = [Gate(), Gate()]

    def late(_: Request) -> Iterator[Step]:
        yield Send(INSTANCES[0])
        yield Respond(0xFF00, counts=Counts(2, 1, 0, 0) if known == "by what was announced" else None)
        senders.append(storing())
        yield Respond()

    def storing() -> Thread:
        """Send the rest, each when it is let go, as another association of the archive would."""
        thread = Thread(target=send)
        thread.start()
        return thread

    def send() -> None:
        for gate, instance in zip(gates, INSTANCES[1:], strict=True):
            gate.arrive(10)
            store = StoreScu("PACS")
            assert all(result.is_stored for result in store.store_many(remote, [instance]))

    senders: list[Thread] = []
    pacs.on_request(Operation.C_MOVE, Answer(late))
    inventory = None
    if known == "by an inventory":
        inventory = scu.take_inventory(pacs.remote(LONG), WHAT)
        assert inventory.sop_instance_uids == {*UIDS}
    with Listener("SELF", tmp_path) as listener:
        pacs.know("SELF", listener.port)
        remote = RemoteAE("SELF", "127.0.0.1", listener.port)
        with scu.move_to_self(pacs.remote(LONG), WHAT, listener, inventory=inventory) as arrivals:
            assert next(arrivals).sop_instance_uid == UIDS[0]
            for gate, uid in zip(gates, UIDS[1:], strict=True):
                gate.open()
                assert next(arrivals).sop_instance_uid == uid
            assert list(arrivals) == []
        assert arrivals.progress is not None
        assert (arrivals.progress.status, arrivals.progress.completed) == (0x0000, None)
    for sender in senders:
        sender.join()


def test_a_grace_of_less_than_nothing_is_refused(scu: QueryRetrieveScu, pacs: FakePacs, tmp_path: Path) -> None:
    with scu.associate_for(pacs.remote(LONG)) as association, pytest.raises(ValueError, match="seconds, 0 or more"):
        association.move_to_self(WHAT, Listener("SELF", tmp_path), grace=-1)


@pytest.mark.parametrize("uid", TRAVERSALS, ids=repr)
def test_a_uid_never_leads_the_listener_out_of_its_folder(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, uid: str
) -> None:
    answer, heard = sending(Send(INSTANCES[0], sop_instance_uid=uid or "\0"), Send(INSTANCES[1]))
    pacs.on_request(Operation.C_MOVE, answer)
    arrived, outcome = moved(scu, pacs, folder)
    assert set(arrived) <= {UIDS[1]}
    assert outcome == 0
    assert heard[0] != 0
    assert heard[0] >> 12 != 0xB


@pytest.mark.parametrize(
    "middle", [Break(How.ABORT), Break(How.CLOSE), Break(How.RESET)], ids=["abort", "close", "reset"]
)
def test_a_sub_operation_that_breaks_off_leaves_no_half_file(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, middle: Break
) -> None:
    steps = (FIRST, replace(CUT, middle=middle), Respond(0xB000, counts=Counts(0, 1, 1)))
    pacs.on_request(Operation.C_MOVE, Answer(steps))
    assert moved(scu, pacs, folder) == (UIDS[:1], 0xB000)
    assert [path.name for path in folder.iterdir()] == [f"{UIDS[0]}.dcm"]


@pytest.mark.parametrize(
    ("act", "error"),
    [
        (Respond(0xA801, comment="who is that?"), OperationFailed),
        (Answer((FIRST, Respond(0xA702))), OperationFailed),
        (Answer((FIRST, Respond(None))), BadResponse),
        (Answer((FIRST, Respond(wrong_message_id=True))), BadResponse),
        (Answer((FIRST, Break(How.ABORT))), AssociationAborted),
        (Answer((FIRST, Break(How.RESET))), AssociationLost),
        (Answer((FIRST, Stall())), DimseTimeout),
    ],
    ids=["unknown-destination", "all-failed", "no-status", "other-message", "abort", "reset", "silence"],
)
def test_a_move_that_fails_still_gives_what_came(
    scu: QueryRetrieveScu, pacs: FakePacs, folder: Path, act: RequestAct, error: type[Exception]
) -> None:
    pacs.on_request(Operation.C_MOVE, act)
    arrived, outcome = moved(scu, pacs, folder, SHORT)
    assert isinstance(outcome, error)
    assert arrived == ([] if isinstance(act, Respond) else UIDS[:1])


@pytest.mark.parametrize(
    ("vr", "encoded", "said"),
    [(b"UI", b"1.2\\3\0", ("1.2", "3")), (b"UI", b"no UID", ("no UID",)), (b"UL", b"abc", ()), (b"UI", b"", ())],
    ids=["two", "none", "numbers", "empty"],
)
def test_what_a_peer_says_of_failed_instances_is_taken_as_it_is(
    scu: QueryRetrieveScu, pacs: FakePacs, vr: bytes, encoded: bytes, said: tuple[str, ...]
) -> None:
    """Failed SOP Instance UID List (0008,0058), with whatever in it."""
    listed = b"\x08\x00\x58\x00" + vr + bytes((len(encoded), 0)) + encoded
    pacs.know("ELSEWHERE", 1)
    pacs.on_request(Operation.C_MOVE, Respond(0xB000, dataset=listed))
    (report,) = scu.move(pacs.remote(LONG), WHAT, "ELSEWHERE")
    assert (report.status, report.failed_sop_instance_uids) == (0xB000, said)
