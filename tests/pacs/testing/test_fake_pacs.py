"""The fake PACS is held to pynetdicom's own SCU, which knows nothing of ours."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE

from gurney.pacs import (
    STUDY_ROOT,
    AssociationFailure,
    ConnectFailed,
    DicomEngine,
    OperationFailed,
    Query,
    QueryRetrieveScu,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import Answer, Ask, FakePacs, Gate, Operation, Respond
from gurney.pacs.testing.link import Link
from gurney.pacs.testing.request import number_of, read_message
from gurney.pacs.testing.upper_layer import Proposed, associate, command_set, fragments, p_data
from tests.pacs.conftest import CT, CT_ONLY, MakeRequests, digest


def test_pynetdicom_can_talk_to_it() -> None:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.PatientID = CT, "1.2.3", "X"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ae = AE()
    ae.add_requested_context(CT, ExplicitVRLittleEndian)
    ae.add_requested_context("1.2.840.10008.1.1")
    with FakePacs(instance=Respond(0xB000, comment="coerced")) as pacs:
        association = ae.associate("127.0.0.1", pacs.port)
        assert association.is_established
        assert association.send_c_echo().Status == 0
        status = association.send_c_store(dataset)
        association.release()
        pacs.wait_until_quiet()
        assert (status.Status, status.ErrorComment) == (0xB000, "coerced")
        assert pacs.stored_uids() == ["1.2.3"]
        assert pacs.endings == ["released"]


def test_it_goes_down_and_comes_up_at_the_same_port(make_requests: MakeRequests) -> None:
    requests = make_requests(2)
    pacs = FakePacs()
    pacs.start()
    port, remote = pacs.port, pacs.remote()
    with StoreScu().associate(remote, CT_ONLY) as association:
        running = association.store(requests)
        next(running)
        pacs.stop()
        with pytest.raises(ConnectFailed):
            StoreScu().associate(remote, CT_ONLY)
    pacs.start()
    assert pacs.port == port
    with pacs, StoreScu().associate(remote, CT_ONLY) as association:
        assert all(result.is_stored for result in association.store(requests))
    assert pacs.stored_uids() == ["1.2.3.1", "1.2.3.1", "1.2.3.2"]
    assert pacs.stored[2].digest == digest(requests[1])
    assert [stored.association for stored in pacs.stored] == [1, 2, 2]
    pacs.stop()


def test_acts_for_one_instance_are_used_up(make_requests: MakeRequests) -> None:
    with FakePacs() as pacs:
        pacs.on_uid("1.2.3.2", Respond(0xA700), Respond(0xC000))
        with StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            told = [[result.status for result in association.store(make_requests(2))] for _ in range(3)]
    assert told == [[0, 0xA700], [0, 0xC000], [0, 0]]
    assert pacs.stored_uids() == ["1.2.3.1", "1.2.3.1", "1.2.3.1", "1.2.3.2"]


def test_a_stranger_does_it_no_harm() -> None:
    with FakePacs() as pacs:
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"", b"\x01\x00\x00\x00\x00\x02xx"):
            with socket.create_connection(("127.0.0.1", pacs.port)) as stranger:
                stranger.sendall(nonsense)
        pacs.wait_until_quiet()
        with StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            assert association.is_usable


def test_a_response_waits_at_a_gate(make_requests: MakeRequests) -> None:
    first, second = make_requests(2)
    gate = Gate()
    with FakePacs() as pacs, ThreadPoolExecutor(1) as worker:
        pacs.on_uid("1.2.3.1", Respond(gate=gate))
        with StoreScu().associate(pacs.remote(), CT_ONLY) as association:
            storing = worker.submit(lambda: list(association.store([first, second])))
            gate.wait_until_reached()
            assert pacs.stored == []
            gate.open()
            assert [result.is_stored for result in storing.result(10)] == [True, True]


def test_an_instance_at_a_gate_is_stored_even_if_its_sender_goes(make_requests: MakeRequests) -> None:
    gate = Gate()
    with FakePacs(instance=Respond(gate=gate)) as pacs, ThreadPoolExecutor(1) as worker:
        association = StoreScu().associate(pacs.remote(), CT_ONLY)
        storing = worker.submit(lambda: list(association.store(make_requests(1))))
        gate.wait_until_reached()
        association.abort()
        assert isinstance(storing.exception(10), AssociationFailure)
        gate.open()
        pacs.wait_until_quiet()
        assert pacs.stored_uids() == ["1.2.3.1"]


def test_a_pacs_with_a_closed_gate_can_be_stopped(make_requests: MakeRequests) -> None:
    gate = Gate()
    with ThreadPoolExecutor(1) as worker:
        with FakePacs(instance=Respond(gate=gate)) as pacs:
            association = StoreScu().associate(pacs.remote(), CT_ONLY)
            storing = worker.submit(lambda: list(association.store(make_requests(1))))
            gate.wait_until_reached()
        assert isinstance(storing.exception(10), AssociationFailure)
        assert pacs.stored == []


# --- Requests that come while it is at another ------------------------------------------------------------------------


def said(link: Link) -> tuple[int, int]:
    """Return the command field of the next message, and the ID of the message that it is about."""
    message = read_message(link, lambda _: None)
    field = message.command_field
    return field, number_of(message.elements, 0x0120 if field & 0x8000 else 0x0110)


def command(field: int, number: int) -> bytes:
    elements = {
        0x0002: b"1.2.840.10008.1.1\0",
        0x0100: struct.pack("<H", field),
        (0x0120 if field & 0x8000 else 0x0110): struct.pack("<H", number),
        0x0800: struct.pack("<H", 0x0101),
    }
    if field & 0x8000:
        elements[0x0900] = b"\0\0"
    return b"".join(map(p_data, fragments(1, command_set(elements), 1000, is_command=True)))


@pytest.fixture
def pacs() -> Iterator[FakePacs]:
    with FakePacs() as pacs:
        yield pacs


@pytest.fixture
def link(pacs: FakePacs) -> Iterator[Link]:
    with socket.create_connection(("127.0.0.1", pacs.port), timeout=20) as connection:
        verification = Proposed(1, "1.2.840.10008.1.1", ("1.2.840.10008.1.2",))
        connection.sendall(associate("FAKEPACS", "RAW", [verification]))
        link = Link(connection)
        assert link.pdu()[0] == 0x02
        yield link


def test_requests_that_come_in_place_of_an_answer_are_served_behind_it(pacs: FakePacs, link: Link) -> None:
    pacs.on_request(Operation.C_ECHO, Answer((Respond(), Ask())))
    link.send(command(0x0030, 1))
    assert [said(link), said(link)] == [(0x8030, 1), (0x0030, 1)]
    # Two of ours before the answer to its own.
    link.send(command(0x0030, 2) + command(0x0030, 3) + command(0x8030, 1))
    assert [said(link), said(link)] == [(0x8030, 2), (0x8030, 3)]
    assert [request.message_id for request in pacs.requests] == [1, 2, 3]


def test_a_request_between_two_steps_of_an_answer_is_served_behind_it(pacs: FakePacs, link: Link) -> None:
    gate = Gate()
    pacs.on_request(Operation.C_ECHO, Answer((Respond(0xFF00, gate=gate), Respond())))
    link.send(command(0x0030, 1))
    gate.wait_until_reached()
    link.send(command(0x0030, 2))
    gate.open()
    assert [said(link) for _ in range(3)] == [(0x8030, 1), (0x8030, 1), (0x8030, 2)]


def matches() -> Iterator[Respond]:
    for number in range(3):
        entry = Dataset()
        entry.QueryRetrieveLevel, entry.StudyInstanceUID = "STUDY", f"1.2.{number}"
        yield Respond(0xFF00, dataset=entry)


@pytest.mark.parametrize(
    "steps", [list(matches()), matches(), lambda _: matches()], ids=["a list", "a generator", "a function"]
)
def test_an_answer_without_an_end_gets_one(steps: Iterable[Respond]) -> None:
    with DicomEngine(), FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer(steps))
        with QueryRetrieveScu("GURNEY").find(pacs.remote(Timeouts(find=5)), Query()) as search:
            assert len(list(search)) == 3
        assert search.status == 0


def test_an_end_of_ones_own_is_the_only_one() -> None:
    with DicomEngine(), FakePacs() as pacs:
        pacs.on_request(Operation.C_FIND, Answer((*matches(), Respond(0xB001))), Answer([Respond(0xA700)]))
        scu = QueryRetrieveScu("GURNEY")
        with scu.associate_for(pacs.remote(), STUDY_ROOT) as association:
            with association.find(Query()) as search:
                assert len(list(search)) == 3
            assert search.status == 0xB001
            with pytest.raises(OperationFailed, match="A700"):
                list(association.find(Query()))
            # A second end would stand here in place of the answer to this.
            assert list(association.find(Query())) == []


def test_nobody_waits_for_it_as_long_as_for_an_archive() -> None:
    with FakePacs() as pacs:
        waits = asdict(pacs.remote().timeouts)
        own = Timeouts(find=0.5)
        assert pacs.remote(own).timeouts is own
    assert max(seconds for name, seconds in waits.items() if name != "network") <= 10
