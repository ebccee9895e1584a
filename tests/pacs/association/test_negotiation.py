from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from typing import Any

import pytest

from gurney.dicom.presentation import ContextProposal
from gurney.pacs import (
    AcseTimeout,
    AssociationFailure,
    AssociationRejected,
    BadResponse,
    ClosedAtRequest,
    ConnectFailed,
    ContextResult,
    RemoteAE,
    Scu,
    StoreScu,
    Timeouts,
)
from gurney.pacs.testing import Accept, FakePacs, InPlaceOfAccept, Reject
from gurney.transfer.outcomes import EventKind
from tests.pacs.conftest import CT, CT_ONLY, EXPLICIT, MR, MakeRequests
from tests.services import free_port
from tests.services.waiting import wait_until

SHORT = Timeouts(connect=1, acse=0.3, store=1, network=0.6)
JPEG = "1.2.840.10008.1.2.4.50"


def failure(pacs: FakePacs) -> AssociationFailure:
    with pytest.raises(AssociationFailure) as caught:
        StoreScu().associate(pacs.remote(SHORT), CT_ONLY)
    assert caught.value.event.in_flight is False
    return caught.value


@pytest.mark.parametrize(
    ("reject", "words"),
    [
        (Reject(1, 1, 1), "permanently, by the peer's application, no reason given"),
        (Reject(1, 1, 3), "it does not know our calling AE title"),
        (Reject(1, 1, 7), "it does not answer to the called AE title"),
        (Reject(1, 2, 2), "protocol version not supported"),
        (Reject(2, 3, 1), "for now, by its presentation layer, temporary congestion"),
        (Reject(2, 3, 2), "its limit of associations is reached"),
        (Reject(1, 3, 0), "reason 0"),
        (Reject(7, 8, 9), "result 7, source 8, reason 9"),
    ],
)
def test_a_rejection_is_told_in_numbers_and_words(reject: Reject, words: str) -> None:
    with FakePacs(association=reject) as pacs:
        error = failure(pacs)
    assert isinstance(error, AssociationRejected)
    assert (error.result, error.source, error.reason) == (reject.result, reject.source, reject.reason)
    assert (error.event.kind, error.event.result, error.event.source, error.event.reason) == (
        EventKind.REJECTED,
        reject.result,
        reject.source,
        reject.reason,
    )
    assert words in str(error)
    assert str(error).startswith(f"{pacs.ae_title} at 127.0.0.1:")


@pytest.mark.parametrize("act", [InPlaceOfAccept.CLOSE, InPlaceOfAccept.RESET, InPlaceOfAccept.ABORT])
def test_closing_in_place_of_an_answer_gives_the_hint(act: InPlaceOfAccept) -> None:
    with FakePacs(association=act) as pacs:
        error = failure(pacs)
    assert isinstance(error, ClosedAtRequest)
    assert "usually an unknown calling AE title or address, or a TLS port" in str(error)
    assert str(error).startswith(f"{pacs.ae_title} at 127.0.0.1:")


def test_an_answer_that_is_not_dicom() -> None:
    with FakePacs(association=InPlaceOfAccept.GARBAGE) as pacs:
        error = failure(pacs)
    assert isinstance(error, ClosedAtRequest)
    assert "not DICOM" in str(error)
    assert "usually another service's port" in str(error)


@pytest.mark.parametrize("act", [InPlaceOfAccept.SILENCE, InPlaceOfAccept.HALF_AN_ANSWER])
def test_no_whole_answer_in_time(act: InPlaceOfAccept) -> None:
    begun = time.monotonic()
    with FakePacs(association=act) as pacs:
        error = failure(pacs)
    assert isinstance(error, AcseTimeout)
    assert time.monotonic() - begun < 5


def test_a_port_where_nobody_listens_refuses() -> None:
    port = free_port()
    with pytest.raises(ConnectFailed, match="refused"):
        StoreScu().associate(RemoteAE("NOBODY", "127.0.0.1", port, SHORT), CT_ONLY)


def test_a_name_that_does_not_resolve() -> None:
    with pytest.raises(ConnectFailed, match="name not resolved"):
        StoreScu().associate(RemoteAE("NOBODY", "nowhere.invalid", 104, SHORT), CT_ONLY)


def test_a_connection_that_does_not_come_about_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        port = server.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(ConnectFailed, match="timed out"):
            StoreScu().associate(RemoteAE("FULL", "127.0.0.1", port, SHORT), CT_ONLY)
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_names_and_addresses(host: str) -> None:
    with FakePacs() as pacs, StoreScu().associate(RemoteAE("P", host, pacs.port), CT_ONLY) as association:
        assert association.is_usable


def test_an_ipv6_address_is_connected_to() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        remote = RemoteAE("SIX", "::1", server.getsockname()[1], SHORT)
        with pytest.raises(AcseTimeout):
            StoreScu().associate(remote, CT_ONLY)


def test_small_messages_leave_at_once_and_dead_peers_are_found() -> None:
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        connection = association._assoc.wire.connection
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def test_each_context_has_its_own_result(make_requests: MakeRequests) -> None:
    proposals = [ContextProposal(CT, EXPLICIT), ContextProposal(CT, JPEG), ContextProposal(MR, EXPLICIT)]
    pacs = FakePacs(association=Accept(refuse={(CT, JPEG): 4, MR: 3}))
    with pacs, StoreScu().associate(pacs.remote(), proposals) as association:
        assert association.accepts(CT, EXPLICIT) == 1
        assert association.accepts(CT, JPEG) is None
        assert association.refusal(CT, EXPLICIT) is None
        assert association.refusal(CT, JPEG) is ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED
        assert association.refusal(MR, EXPLICIT) is ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED
        assert [context.context_id for context in association.accepted] == [1]
        requests = make_requests(1, sop_class_uid=MR) + make_requests(1)
        refused, stored = association.store(requests)
    assert (refused.event.kind, refused.event.result) == (EventKind.NO_CONTEXT, 3)
    assert refused.event.detail == "abstract syntax not supported"
    assert stored.is_stored
    assert len(pacs.stored) == 1


@pytest.mark.parametrize("result", [1, 2, 3, 4])
@pytest.mark.parametrize("fast_path", [True, False])
def test_a_peer_that_refuses_everything_is_an_answer(make_requests: MakeRequests, result: int, fast_path: bool) -> None:
    with FakePacs(association=Accept(refuse={CT: result})) as pacs:
        with StoreScu(fast_path=fast_path).associate(pacs.remote(), CT_ONLY) as association:
            assert not association.is_usable
            results = list(association.store(make_requests(3)))
        assert [(one.event.kind, one.event.result) for one in results] == [(EventKind.NO_CONTEXT, result)] * 3


def test_a_context_accepted_in_another_syntax_is_not_used(make_requests: MakeRequests) -> None:
    pacs = FakePacs(association=Accept(other_syntax="1.2.840.10008.1.2"))
    with pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        (result,) = association.store(make_requests(1))
    assert (result.event.kind, result.event.result) == (EventKind.NO_CONTEXT, 4)
    assert pacs.stored == []


def test_a_context_that_was_never_proposed(make_requests: MakeRequests) -> None:
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), CT_ONLY) as association:
        (result,) = association.store(make_requests(1, sop_class_uid=MR))
        assert result.event.kind is EventKind.NO_CONTEXT
        assert "never proposed" in result.event.detail


@pytest.mark.parametrize("max_pdu", [1, 7])
def test_a_peer_that_can_take_nothing(max_pdu: int) -> None:
    with FakePacs(association=Accept(max_pdu=max_pdu)) as pacs:
        error = failure(pacs)
        assert isinstance(error, BadResponse)
        assert f"PDUs of {max_pdu} bytes" in str(error)
        pacs.wait_until_quiet()


def test_all_128_contexts_and_no_more() -> None:
    proposals = [ContextProposal(f"1.2.840.10008.5.1.4.1.1.{n}", EXPLICIT) for n in range(129)]
    with FakePacs() as pacs:
        with StoreScu().associate(pacs.remote(), proposals[:128]) as association:
            assert [context.context_id for context in association.accepted] == list(range(1, 256, 2))
        for wrong in ([], proposals):
            with pytest.raises(ValueError, match="1 to 128"):
                StoreScu().associate(pacs.remote(), wrong)


def test_private_and_unknown_uids_are_proposed_as_they_are() -> None:
    proposals = [
        ContextProposal("1.3.6.1.4.1.99999.1.2", "1.3.6.1.4.1.99999.9"),
        ContextProposal("1.2.840.10008.99.9", JPEG),
    ]
    with FakePacs() as pacs, StoreScu().associate(pacs.remote(), proposals) as association:
        assert len(association.accepted) == 2


def test_the_peers_limit_is_told() -> None:
    with FakePacs(limit=1) as pacs, StoreScu().associate(pacs.remote(), CT_ONLY):
        error = failure(pacs)
        assert isinstance(error, AssociationRejected)
        assert (error.result, error.source, error.reason) == (2, 3, 2)


def test_terms_that_can_not_be_put_into_a_request_leave_nothing_open() -> None:
    with FakePacs() as pacs:
        before = len(os.listdir("/proc/self/fd"))
        scu = Scu()
        wrong: Any = {CT: "no bytes"}
        scu.events.before_associate_request(lambda event: replace(event.terms, extended=wrong))
        with pytest.raises(TypeError, match="should be a bytes object"):
            scu.associate(pacs.remote(), CT_ONLY)
        # The fake PACS closes its side when ours is closed.
        wait_until(lambda: len(os.listdir("/proc/self/fd")) <= before, what="both sides to be closed")
