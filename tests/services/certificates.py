"""Certificates of a test's own: a CA, what it issues, and what it revokes."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

__all__ = ["Authority", "Issued", "Secured"]

LOCAL = ("localhost", "127.0.0.1")
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    """A certificate and its key, as files in PEM."""

    certificate: Path
    key: Path
    serial_number: int


@dataclass(frozen=True)
class Secured:
    """What a server shows, and the CA whose certificates it asks of its callers."""

    server: Issued
    ca: Path


@cache
def _rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key for everything: what is tested is who vouches for whom, and a key takes long to make."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


class Authority:
    """A CA that writes what it issues into a folder."""

    def __init__(self, folder: Path, name: str = "Gurney's tests") -> None:
        self._folder = folder
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        # A key of its own: two CAs that share one would vouch for each other's certificates.
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=True,
            encipher_only=False,
            decipher_only=False,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 2 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self,
        name: str,
        *,
        hosts: Sequence[str] = LOCAL,
        begins: timedelta = -_DAY,
        ends: timedelta = _DAY,
        password: str = "",
        bits: int = 2048,
    ) -> Issued:
        """Issue a certificate for these hosts; its validity counts from now."""
        now = datetime.now(UTC)
        key = _rsa_key(bits)
        serial_number = x509.random_serial_number()
        names: list[x509.GeneralName] = []
        for host in hosts:
            try:
                names.append(x509.IPAddress(ipaddress.ip_address(host)))
            except ValueError:
                names.append(x509.DNSName(host))
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(serial_number)
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        issued = Issued(self._folder / f"{name}.pem", self._folder / f"{name}.key", serial_number)
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
        issued.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock))
        os.chmod(issued.key, 0o600)
        return issued

    def revocation_list(self, *revoked: Issued, name: str = "crl", ends: timedelta = _DAY) -> Path:
        """Write a revocation list of these certificates."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - _DAY)
            .next_update(now + ends)
        )
        for issued in revoked:
            entry = (
                x509.RevokedCertificateBuilder().serial_number(issued.serial_number).revocation_date(now - _DAY).build()
            )
            builder = builder.add_revoked_certificate(entry)
        path = self._folder / f"{name}.pem"
        path.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
        return path
