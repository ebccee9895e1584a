from __future__ import annotations

import ssl
from datetime import UTC, datetime

import pytest

from gurney.pacs import InboundTls, PeerCertificate, RemoteAE, Tls, TlsIdentity

OURS = TlsIdentity("ours.pem", "ours.key")


def test_a_key_may_lie_beside_its_certificate() -> None:
    assert OURS.key_file == "ours.key"
    assert TlsIdentity("both.pem").key_file == "both.pem"


def test_values_are_values() -> None:
    assert Tls(ca="ca.pem", identity=OURS) == Tls(ca="ca.pem", identity=TlsIdentity("ours.pem", "ours.key"))
    assert hash(RemoteAE("A", "host", 104, tls=Tls(ca="ca.pem"))) != hash(RemoteAE("A", "host", 104))
    assert RemoteAE("A", "host", 104).tls is None


def test_what_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="crl_chain needs a crl"):
        Tls(crl_chain=True)
    for name in ("", ".example"):
        with pytest.raises(ValueError, match="server_name must be"):
            Tls(server_name=name)
    with pytest.raises(ValueError, match="optional needs a ca"):
        InboundTls(OURS, optional=True)
    with pytest.raises(ValueError, match="crl needs a ca"):
        InboundTls(OURS, crl="crl.pem")
    with pytest.raises(ValueError, match="crl_chain needs a crl"):
        InboundTls(OURS, ca="ca.pem", crl_chain=True)
    for seconds in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="handshake must be"):
            InboundTls(OURS, handshake=seconds)


def test_a_certificate_is_read_into_a_value() -> None:
    decoded = {
        "subject": ((("countryName", "DE"),), (("commonName", "pacs"),)),
        "issuer": ((("commonName", "CA"),),),
        "serialNumber": "0A",
        "notBefore": "Jan  5 09:34:43 2026 GMT",
        "notAfter": "Jan  5 09:34:43 2027 GMT",
        "subjectAltName": (("DNS", "pacs.example"), ("IP Address", "10.0.0.1")),
    }
    certificate = PeerCertificate.read(decoded, b"der")
    assert certificate.subject == "countryName=DE, commonName=pacs"
    assert certificate.issuer == "commonName=CA"
    assert certificate.not_before == datetime(2026, 1, 5, 9, 34, 43, tzinfo=UTC)
    assert certificate.not_after.year == 2027
    assert certificate.names == ("pacs.example", "10.0.0.1")
    assert len(certificate.fingerprint) == 64
    assert ssl.cert_time_to_seconds(decoded["notBefore"]) == certificate.not_before.timestamp()  # type: ignore[arg-type]
