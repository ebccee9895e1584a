"""What TLS refuses, told apart. The peers are Python's own TLS server, and sockets that say what none would."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from gurney.pacs import (
    AssociationFailure,
    ConnectFailed,
    RemoteAE,
    Scu,
    StoreScu,
    Timeouts,
    Tls,
    TlsFailed,
    TlsIdentity,
    TlsProblem,
)
from gurney.pacs.events import AfterConnect, AfterSecureLinkReady
from gurney.transfer.outcomes import EventKind
from tests.pacs.tls_relay import TlsRelay, server_side
from tests.services.certificates import Authority

SHORT = Timeouts(connect=5, acse=5, store=5)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


def try_to_associate(
    port: int,
    tls: Tls,
    *,
    host: str = "127.0.0.1",
    scu: Scu | None = None,
    kind: EventKind = EventKind.TLS_FAILED,
) -> TlsFailed:
    with pytest.raises(TlsFailed) as caught:
        (scu or StoreScu()).verify(RemoteAE("PEER", host, port, SHORT, tls=tls))
    assert caught.value.event.kind is kind
    assert f"PEER at {host}:{port}" in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("problem", "begins", "ends", "hosts"),
    [
        (TlsProblem.EXPIRED, -2 * DAY, -DAY, ("127.0.0.1",)),
        (TlsProblem.NOT_YET_VALID, DAY, 2 * DAY, ("127.0.0.1",)),
        (TlsProblem.WRONG_HOST, -DAY, DAY, ("pacs.example", "10.0.0.1")),
    ],
    ids=["expired", "not-yet-valid", "wrong-host"],
)
def test_a_certificate_that_is_not_good(
    authority: Authority, problem: TlsProblem, begins: timedelta, ends: timedelta, hosts: tuple[str, ...]
) -> None:
    issued = authority.issue(problem.value, begins=begins, ends=ends, hosts=hosts)
    with TlsRelay(server_side(issued)) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is problem


def test_a_name_in_place_of_the_host(authority: Authority) -> None:
    issued = authority.issue("other-name", hosts=("pacs.example",))
    with TlsRelay(server_side(issued)) as peer:
        told: list[AfterSecureLinkReady] = []
        for tls in (
            Tls(ca=authority.file, server_name="pacs.example"),
            Tls(ca=authority.file, check_host=False),
        ):
            scu = StoreScu()
            scu.events.after_secure_link_ready(told.append)
            with pytest.raises(AssociationFailure):  # nobody answers it
                scu.verify(RemoteAE("PEER", "127.0.0.1", peer.port, Timeouts(acse=0.1), tls=tls))
        assert [event.error for event in told] == [None, None]
        wrong = Tls(ca=authority.file, server_name="other.example")
        assert try_to_associate(peer.port, wrong).problem is TlsProblem.WRONG_HOST


def test_a_ca_that_we_do_not_know(authority: Authority, tmp_path: Path) -> None:
    stranger = Authority(tmp_path, "Stranger")
    with TlsRelay(server_side(stranger.issue("server"))) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is TlsProblem.UNKNOWN_CA
        # What the system trusts by itself does not include it.
        assert try_to_associate(peer.port, Tls()).problem is TlsProblem.UNKNOWN_CA


def test_a_revoked_certificate(authority: Authority, tmp_path: Path) -> None:
    bad, good = authority.issue("revoked"), authority.issue("in-force")
    crl = authority.revocation_list(bad)
    tls = Tls(ca=authority.file, crl=crl)
    with TlsRelay(server_side(bad)) as peer:
        assert try_to_associate(peer.port, tls).problem is TlsProblem.REVOKED
    told: list[AfterSecureLinkReady] = []
    scu = StoreScu()
    scu.events.after_secure_link_ready(told.append)
    with TlsRelay(server_side(good)) as peer, pytest.raises(AssociationFailure):
        scu.verify(RemoteAE("PEER", "127.0.0.1", peer.port, Timeouts(acse=0.1), tls=tls))
    assert told[0].error is None
    with TlsRelay(server_side(good)) as peer:
        old = Tls(ca=authority.file, crl=authority.revocation_list(name="old", ends=-timedelta(hours=1)))
        assert try_to_associate(peer.port, old).problem is TlsProblem.CRL
        foreign = Tls(ca=authority.file, crl=Authority(tmp_path, "Stranger").revocation_list())
        assert try_to_associate(peer.port, foreign).problem is TlsProblem.CRL


def test_a_key_that_is_too_short(authority: Authority) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    issued = authority.issue("short", bits=1024)
    context.load_cert_chain(issued.certificate, issued.key)
    with TlsRelay(context) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is TlsProblem.WEAK


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1], ids=["1.0", "1.1"])
def test_a_version_that_is_too_old(authority: Authority, version: ssl.TLSVersion) -> None:
    context = server_side(authority.issue("old"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with TlsRelay(context) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is TlsProblem.VERSION


def test_no_cipher_suite_in_common(authority: Authority) -> None:
    """Without forward secrecy (RFC 9325 4.1)."""
    context = server_side(authority.issue("static"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-GCM-SHA256")
    with TlsRelay(context) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is TlsProblem.CIPHER


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def test_a_certificate_of_ours_is_wanted_or_refused(
    authority: Authority, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    context = server_side(authority.issue("demanding"), trusts=authority)
    context.maximum_version = version
    with TlsRelay(context) as peer:
        assert try_to_associate(peer.port, Tls(ca=authority.file)).problem is TlsProblem.CERTIFICATE_WANTED
        stranger = Authority(tmp_path, "Stranger").issue("stranger")
        expired = authority.issue("expired-client", begins=-2 * DAY, ends=-DAY)
        for ours, words in ((stranger, "does not know the CA"), (expired, "has expired")):
            tls = Tls(ca=authority.file, identity=TlsIdentity(ours.certificate, ours.key))
            refused = try_to_associate(peer.port, tls)
            assert refused.problem is TlsProblem.CERTIFICATE_REFUSED
            assert words in str(refused)


@contextmanager
def port_that(*says: bytes, hangs: bool = False, pause: float = 0.0) -> Iterator[int]:
    """Listen on a port that says this after the first bytes came, and closes or hangs."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(5)
            connection.recv(1 << 16)
            for part in says:
                try:
                    connection.sendall(part)
                except OSError:
                    return
                if over.wait(pause):
                    return
            if hangs:
                over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        over.set()
        thread.join()


@pytest.mark.parametrize(
    "says",
    [b"\x07\x00\x00\x00\x00\x04\x00\x00\x02\x01", b"HTTP/1.1 400 Bad Request\r\n\r\n", bytes(range(256))],
    ids=["A-ABORT", "HTTP", "garbage"],
)
def test_a_peer_that_speaks_no_tls(authority: Authority, says: bytes) -> None:
    with port_that(says) as port:
        assert try_to_associate(port, Tls(ca=authority.file)).problem is TlsProblem.NO_TLS


def test_a_peer_that_closes_is_tried_again(authority: Authority) -> None:
    """It may restart, and a destination that is held waits for somebody to look."""
    with port_that() as port:
        failure = try_to_associate(port, Tls(ca=authority.file), kind=EventKind.CONNECT_FAILED)
        assert failure.problem is TlsProblem.NO_TLS


def test_a_peer_that_is_silent_or_drips(authority: Authority) -> None:
    """One timeout for the connection and the whole handshake, however often something comes (FAULTS 25, 26)."""
    drip = [b"\x16\x03\x03\x40\x00", *(b"\x00" for _ in range(1000))]
    for says, pause in ((list[bytes](), 0.0), (drip, 0.05)):
        with port_that(*says, hangs=True, pause=pause) as port:
            remote = RemoteAE("PEER", "127.0.0.1", port, Timeouts(connect=0.5), tls=Tls(ca=authority.file))
            with pytest.raises(ConnectFailed, match="no TLS handshake in time"):
                StoreScu().verify(remote)


def test_what_is_told_of_a_failure(authority: Authority, tmp_path: Path) -> None:
    told: list[object] = []
    scu = StoreScu()
    scu.events.after_connect(told.append)
    scu.events.after_secure_link_ready(told.append)
    stranger = Authority(tmp_path, "Stranger")
    with TlsRelay(server_side(stranger.issue("server"))) as peer:
        failure = try_to_associate(peer.port, Tls(ca=authority.file), scu=scu)
    connected, secured = told
    assert isinstance(connected, AfterConnect)
    assert connected.error is None
    assert isinstance(secured, AfterSecureLinkReady)
    assert secured.error is failure
    assert secured.link is None


def test_our_own_files_are_looked_at_before_the_peer(tmp_path: Path) -> None:
    told: list[AfterConnect] = []
    scu = StoreScu()
    scu.events.after_connect(told.append)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        failure = try_to_associate(listener.getsockname()[1], Tls(ca=tmp_path / "none.pem"), scu=scu)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert failure.problem is TlsProblem.OURS
    assert "none.pem" in str(failure)
    assert told[0].error is failure
