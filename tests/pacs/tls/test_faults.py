"""What a peer does wrong has the same results over TLS as over plain TCP, on the wire fast path and without it.

The peer is our fake PACS behind a front of Python's own TLS: no real one can be asked for these faults.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.pacs import (
    AssociationEnded,
    AssociationFailure,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreRequest,
    StoreScu,
    Timeouts,
    Tls,
)
from gurney.pacs.events import AfterSecureLinkReady
from gurney.pacs.testing import Break, FakePacs, Gate, How, Respond, Stall, When
from gurney.pacs.testing.acts import InstanceAct
from gurney.transfer.outcomes import Event
from tests.pacs.conftest import CT, CT_ONLY, MakeRequests, digest
from tests.pacs.tls_relay import TlsRelay, server_side
from tests.services.certificates import Authority, Issued

SHORT = Timeouts(connect=5, acse=2, store=0.5, find=5, move=5)
PATIENT = Timeouts(connect=5, acse=5, store=20, find=20, move=20)

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue("server")


@pytest.fixture(params=["1.2", "1.3"])
def context(request: pytest.FixtureRequest, server: Issued) -> ssl.SSLContext:
    made = server_side(server)
    made.maximum_version = VERSIONS[request.param]
    return made


@pytest.fixture(params=[True, False], ids=["fast", "plain"])
def fast_path(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@contextmanager
def secured(
    pacs: FakePacs, context: ssl.SSLContext, authority: Authority, timeouts: Timeouts, *, is_polite: bool = True
) -> Iterator[RemoteAE]:
    with TlsRelay(context, pacs.port, is_polite=is_polite) as relay:
        yield RemoteAE("FAKEPACS", "127.0.0.1", relay.port, timeouts, tls=Tls(ca=authority.file))


Outcome = tuple[list[tuple[int | None, Event]], type[AssociationFailure] | None]


def outcome(scu: StoreScu, remote: RemoteAE, requests: list[StoreRequest]) -> Outcome:
    """Store, and return what came of each, and what ended the association.

    Without its words: OpenSSL tells a reset no better than an end.
    """
    results: list[tuple[int | None, Event]] = []
    try:
        with scu.associate(remote, CT_ONLY) as association:
            results.extend((result.status, replace(result.event, detail="")) for result in association.store(requests))
    except AssociationFailure as failure:
        return results, type(failure)
    return results, None


def test_everything_arrives(
    context: ssl.SSLContext, authority: Authority, fast_path: bool, make_requests: MakeRequests
) -> None:
    scu = StoreScu(fast_path=fast_path)
    links: list[AfterSecureLinkReady] = []
    scu.events.after_secure_link_ready(links.append)
    requests = make_requests(30) + make_requests(2, size=4_000_001)
    with FakePacs() as pacs, secured(pacs, context, authority, PATIENT) as remote:
        results, failure = outcome(scu, remote, requests)
    assert failure is None
    assert [status for status, _ in results] == [0] * 32
    assert [stored.digest for stored in pacs.stored] == [digest(request) for request in requests]
    assert links[0].link is not None
    assert links[0].link.protocol == f"TLSv{'1.2' if context.maximum_version is ssl.TLSVersion.TLSv1_2 else '1.3'}"


ACTS: dict[str, InstanceAct] = {
    "abort": Break(How.ABORT),
    "abort-in-the-middle": Break(How.ABORT, When.MIDDLE),
    "close": Break(How.CLOSE),
    "release": Break(How.RELEASE),
    "reset": Break(How.RESET),
    "silence": Stall(),
    "wrong-message-id": Respond(wrong_message_id=True),
    "wrong-context-id": Respond(wrong_context_id=True),
    "no-status": Respond(status=None),
    "out-of-space": Respond(0xA700),
    "many-fragments": Respond(pdvs=4),
    "one-pdu": Respond(pdvs=4, one_pdu=True),
    "asks-first": Respond(ask_first=True),
}


@pytest.mark.parametrize("name", ACTS)
def test_a_fault_is_the_same(
    name: str, server: Issued, authority: Authority, fast_path: bool, make_requests: MakeRequests
) -> None:
    context, requests = server_side(server), make_requests(4)
    outcomes = []
    for over_tls in (False, True):
        with FakePacs() as pacs, secured(pacs, context, authority, SHORT) as remote:
            pacs.on_instance(2, ACTS[name])
            outcomes.append(
                outcome(StoreScu(fast_path=fast_path), remote if over_tls else pacs.remote(SHORT), requests)
            )
    assert outcomes[0] == outcomes[1]
    assert outcomes[0][0][0][0] == 0


def test_an_end_without_close_notify_is_an_end(
    context: ssl.SSLContext, authority: Authority, fast_path: bool, make_requests: MakeRequests
) -> None:
    ends = []
    for is_polite in (True, False):
        with FakePacs() as pacs, secured(pacs, context, authority, SHORT, is_polite=is_polite) as remote:
            pacs.on_instance(2, Break(How.CLOSE))
            ends.append(outcome(StoreScu(fast_path=fast_path), remote, make_requests(3)))
    assert ends[0] == ends[1]
    assert ends[0][1] is not None


def test_another_thread_aborts(
    context: ssl.SSLContext, authority: Authority, fast_path: bool, make_requests: MakeRequests
) -> None:
    gate = Gate()
    with (
        FakePacs(instance=Respond(gate=gate)) as pacs,
        secured(pacs, context, authority, PATIENT) as remote,
        StoreScu(fast_path=fast_path).associate(remote, CT_ONLY) as association,
    ):
        aborting = threading.Thread(target=lambda: (gate.wait_until_reached(), association.abort()))
        aborting.start()
        with pytest.raises(AssociationEnded):
            list(association.store(make_requests(1)))
        aborting.join()
        gate.open()
        pacs.wait_until_quiet()


def test_many_matches_and_instances(
    context: ssl.SSLContext, authority: Authority, fast_path: bool, tmp_path: Path
) -> None:
    """Many messages in one record, and many records for one message."""
    held = []
    for number in range(60):
        dataset = dcmread(str(get_testdata_file("CT_small.dcm")))
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        dataset.StudyInstanceUID = f"1.2.4.{number}"
        held.append(dataset)
    scu = QueryRetrieveScu(fast_path=fast_path)
    with FakePacs(holdings=held) as pacs, secured(pacs, context, authority, PATIENT) as remote:
        with scu.find(remote, Query()) as search:
            assert {match.value.study_instance_uid for match in search} == {f"1.2.4.{n}" for n in range(60)}
        with scu.get(remote, Retrieval(study_instance_uid="1.2.4.7"), tmp_path, [CT]) as arrivals:
            (received,) = arrivals
    assert dcmread(received.path).PixelData == held[7].PixelData
