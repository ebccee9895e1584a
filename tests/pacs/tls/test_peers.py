"""TLS with peers that we did not write, each requiring a certificate of ours.

Debian's dcmqrscp and wlmscpfs take no TLS.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file

from gurney.pacs import (
    AssociationFailure,
    ClosedAtRequest,
    DicomEngine,
    Query,
    QueryRetrieveScu,
    RemoteAE,
    Retrieval,
    StoreScu,
    Timeouts,
    Tls,
    TlsFailed,
    TlsIdentity,
    TlsProblem,
    TlsProfile,
)
from gurney.pacs.events import AfterSecureLinkReady
from gurney.transfer.outcomes import EventKind
from tests.pacs.archives import Archive, fill
from tests.services.certificates import Authority, Issued, Secured
from tests.services.dcmjs_archive import DcmjsArchive
from tests.services.dcmtk import StoreScp
from tests.services.orthanc import Orthanc
from tests.services.presence import require
from tests.services.printer import DcmPrScp
from tests.services.process import Service
from tests.services.tiny_pacs import TinyPacs

pytestmark = pytest.mark.peer

CT = "1.2.840.10008.5.1.4.1.1.2"
OTHERS = ["dcmprscp", "dcmjs-dimse", "tiny-pacs"]
TIMEOUTS = Timeouts(connect=5, acse=10, store=20, find=20, move=20)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Issued:
    return authority.issue("server")


@pytest.fixture(scope="module")
def tls(authority: Authority) -> Tls:
    client = authority.issue("client")
    return Tls(ca=authority.file, identity=TlsIdentity(client.certificate, client.key))


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory, authority: Authority, server: Issued) -> Iterator[Orthanc]:
    require("Orthanc")
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(server.certificate),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(authority.file),
        "DicomTlsRemoteCertificateRequired": True,
    }
    with Orthanc(tmp_path_factory.mktemp("orthanc"), settings=settings) as archive:
        yield archive


@pytest.fixture(scope="module")
def storescp(tmp_path_factory: pytest.TempPathFactory, authority: Authority, server: Issued) -> Iterator[StoreScp]:
    require("storescp")
    options = ["--enable-tls", str(server.key), str(server.certificate), "--add-cert-file", str(authority.file)]
    with StoreScp(tmp_path_factory.mktemp("storescp"), options=options) as peer:
        yield peer


@pytest.fixture(scope="module")
def filled(orthanc: Orthanc, tls: Tls, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    remote = RemoteAE(orthanc.ae_title, "127.0.0.1", orthanc.port, TIMEOUTS, tls=tls)
    with DicomEngine():
        return fill(remote, tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def others(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, server: Issued
) -> Iterator[Callable[[str], Service]]:
    """Start one of the others, once for all tests."""
    with ExitStack() as started:

        @cache
        def start(kind: str) -> Service:
            return started.enter_context(secured(kind, tmp_path_factory.mktemp(kind), Secured(server, authority.file)))

        yield start


def secured(kind: str, folder: Path, by: Secured, *, max_tls: str = "TLSv1.3") -> DcmPrScp | DcmjsArchive | TinyPacs:
    if kind == "dcmprscp":
        require("dcmprscp", "openssl")
        return DcmPrScp(folder, secured=by)
    if kind == "dcmjs-dimse":
        return DcmjsArchive(folder, secured=by, max_tls=max_tls)
    certificate, key = str(by.server.certificate), str(by.server.key)
    return TinyPacs(folder, settings={"tls": {"certificate": certificate, "key": key, "ca": str(by.ca)}})


@pytest.fixture(params=["orthanc", "storescp", *OTHERS])
def connect_to(request: pytest.FixtureRequest) -> Callable[[Tls | None], RemoteAE]:
    is_other = request.param in OTHERS
    peer = request.getfixturevalue("others")(request.param) if is_other else request.getfixturevalue(request.param)
    return lambda tls: RemoteAE(peer.ae_title, "127.0.0.1", peer.port, TIMEOUTS, tls=tls)


@pytest.mark.seen("TLS 1.3", "Mutual TLS")
def test_each_side_knows_the_other(connect_to: Callable[[Tls | None], RemoteAE], tls: Tls) -> None:
    scu = StoreScu()
    links: list[AfterSecureLinkReady] = []
    scu.events.after_secure_link_ready(links.append)
    assert scu.verify(connect_to(tls)).status == 0
    (told,) = links
    assert told.error is None
    assert told.link is not None
    assert told.link.protocol == "TLSv1.3"
    assert told.link.certificate is not None
    assert told.link.certificate.subject == "commonName=server"
    assert "127.0.0.1" in told.link.certificate.names


@pytest.mark.seen("TLS 1.2")
@pytest.mark.parametrize("kind", ["orthanc", "storescp", *OTHERS])
def test_a_peer_that_has_tls_1_2_alone(
    kind: str, authority: Authority, server: Issued, tls: Tls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL's own configuration says so to all but node, which has an option for it."""
    if kind not in OTHERS:
        require("Orthanc" if kind == "orthanc" else "storescp")
    (tmp_path / "openssl.cnf").write_text(
        "openssl_conf = first\n[first]\nssl_conf = second\n[second]\nsystem_default = third\n"
        "[third]\nMaxProtocol = TLSv1.2\n"
    )
    monkeypatch.setenv("OPENSSL_CONF", str(tmp_path / "openssl.cnf"))
    options = ["--enable-tls", str(server.key), str(server.certificate), "--add-cert-file", str(authority.file)]
    settings = {
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(server.certificate),
        "DicomTlsPrivateKey": str(server.key),
        "DicomTlsTrustedCertificates": str(authority.file),
    }
    (tmp_path / "peer").mkdir()
    opened: Orthanc | StoreScp | DcmPrScp | DcmjsArchive | TinyPacs
    if kind == "orthanc":
        opened = Orthanc(tmp_path / "peer", settings=settings)
    elif kind == "storescp":
        opened = StoreScp(tmp_path / "peer", options=options)
    else:
        opened = secured(kind, tmp_path / "peer", Secured(server, authority.file), max_tls="TLSv1.2")
    links: list[AfterSecureLinkReady] = []
    scu = StoreScu()
    scu.events.after_secure_link_ready(links.append)
    with opened as peer:
        assert scu.verify(RemoteAE(peer.ae_title, "127.0.0.1", peer.port, TIMEOUTS, tls=tls)).is_success
    assert [event.link.protocol for event in links if event.link is not None] == ["TLSv1.2"]


@pytest.mark.parametrize("profile", TlsProfile)
def test_a_peer_is_reached_with_both_profiles(
    connect_to: Callable[[Tls | None], RemoteAE], tls: Tls, profile: TlsProfile
) -> None:
    chosen = Tls(ca=tls.ca, identity=tls.identity, profile=profile)
    assert StoreScu().verify(connect_to(chosen)).status == 0


def test_instances_arrive_whole(storescp: StoreScp, tls: Tls, fast_path: bool, tmp_path: Path) -> None:
    """Small ones, and one of many records, whose size is no multiple of anything."""
    remote = RemoteAE(storescp.ae_title, "127.0.0.1", storescp.port, TIMEOUTS, tls=tls)
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    paths = []
    for number, size in enumerate((0, 17, 16_000, 5_000_001)):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{int(fast_path)}.{number}"
        template.add_new(0x00091002, "OB", os.urandom(size))
        paths.append(tmp_path / f"{number}.dcm")
        template.save_as(paths[-1])
    before = set(storescp.files())
    results = list(StoreScu(fast_path=fast_path).store_many(remote, paths))
    assert all(result.is_stored for result in results)
    arrived = {dcmread(path).SOPInstanceUID: path for path in set(storescp.files()) - before}
    for path in paths:
        sent = dcmread(path)
        assert dcmread(arrived[sent.SOPInstanceUID])[0x00091002].value == sent[0x00091002].value


def test_store_in_an_archive(orthanc: Orthanc, tls: Tls, fast_path: bool, tmp_path: Path) -> None:
    remote = RemoteAE(orthanc.ae_title, "127.0.0.1", orthanc.port, TIMEOUTS, tls=tls)
    template = dcmread(str(get_testdata_file("CT_small.dcm")))
    paths = []
    for number in range(20):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = f"1.2.4.{int(fast_path)}.{number}"
        paths.append(tmp_path / f"{number}.dcm")
        template.save_as(paths[-1])
    assert all(result.is_stored for result in StoreScu(fast_path=fast_path).store_many(remote, paths))
    assert {f"1.2.4.{int(fast_path)}.{number}" for number in range(20)} <= orthanc.sop_instance_uids()


def test_find_and_get_go_over_tls(filled: Archive, fast_path: bool, tmp_path: Path) -> None:
    scu = QueryRetrieveScu(fast_path=fast_path)
    study = filled.studies[1]
    with scu.find(filled.remote, Query(study_instance_uid=study)) as search:
        assert [match.value.study_instance_uid for match in search] == [study]
    with scu.get(filled.remote, Retrieval(study_instance_uid=study), tmp_path, [CT]) as arrivals:
        received = list(arrivals)
    assert {one.sop_instance_uid for one in received} == filled.instances[study]
    assert all(dcmread(one.path).pixel_array.shape == (128, 128) for one in received)


def test_no_certificate_of_ours(connect_to: Callable[[Tls | None], RemoteAE], tls: Tls) -> None:
    """Under TLS 1.3 the peer says so only after the handshake."""
    with pytest.raises(TlsFailed) as caught:
        StoreScu().verify(connect_to(Tls(ca=tls.ca)))
    assert caught.value.problem is TlsProblem.CERTIFICATE_WANTED
    assert caught.value.event.kind is EventKind.TLS_FAILED


def test_a_certificate_that_the_peer_does_not_know(
    connect_to: Callable[[Tls | None], RemoteAE], tls: Tls, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "Stranger").issue("stranger")
    remote = connect_to(Tls(ca=tls.ca, identity=TlsIdentity(stranger.certificate, stranger.key)))
    with pytest.raises(AssociationFailure) as caught:
        StoreScu().verify(remote)
    if remote.ae_title == DcmjsArchive.ae_title:  # node closes without an alert
        assert isinstance(caught.value, ClosedAtRequest)
        assert "a certificate of ours that it does not take" in str(caught.value)
    else:
        assert isinstance(caught.value, TlsFailed)
        assert caught.value.problem is TlsProblem.CERTIFICATE_REFUSED


def test_plain_to_a_tls_port(connect_to: Callable[[Tls | None], RemoteAE]) -> None:
    with pytest.raises(AssociationFailure, match="TLS port"):
        StoreScu().verify(connect_to(None))


@pytest.mark.parametrize("kind", ["orthanc", "storescp"])
def test_tls_to_a_plain_port(kind: str, tls: Tls, tmp_path: Path) -> None:
    require("Orthanc" if kind == "orthanc" else "storescp")
    with Orthanc(tmp_path) if kind == "orthanc" else StoreScp(tmp_path) as peer:
        remote = RemoteAE("PLAIN", "127.0.0.1", peer.port, TIMEOUTS, tls=tls)
        with pytest.raises(TlsFailed, match="usually no TLS there") as caught:
            StoreScu().verify(remote)
    assert caught.value.problem is TlsProblem.NO_TLS
