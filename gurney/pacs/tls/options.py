"""How a connection is secured: who we are, whom we trust, and by which profile (PS3.15 B.12, B.13).

What an SCU shows and trusts (:class:`Tls`, with a :class:`~gurney.pacs.RemoteAE`) and what a listener does
(:class:`InboundTls`) are values of their own, so that the two may be different identities. They name files; what is in
these is read when a connection needs it, and again when a file has changed.
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from hashlib import sha256
from typing import Any, TypeAlias

__all__ = [
    "InboundTls",
    "PasswordSource",
    "PathName",
    "PeerCertificate",
    "SecureLink",
    "Tls",
    "TlsIdentity",
    "TlsProfile",
]

PathName: TypeAlias = "str | os.PathLike[str]"
"""A path, as the system writes it."""

PasswordSource: TypeAlias = "Callable[[], str | bytes] | os.PathLike[str]"
"""What gives a key's password: a callable that returns it, or the path of a file that holds it alone."""


class TlsProfile(Enum):
    """Secure transport connection profiles of PS3.15; with each, TLS 1.2 at least and 1.3 where the peer can.

    BCP_195: what RFC 9325 recommends (PS3.15 B.12).
    MODIFIED_BCP_195: the list of suites that PS3.15 B.13 allows, no others.
    """

    BCP_195 = "bcp195"
    MODIFIED_BCP_195 = "modified-bcp195"


@dataclass(frozen=True, slots=True)
class TlsIdentity:
    """A certificate (PEM, with its intermediate CAs below it) and its private key; no key means the same file.

    ``password`` is where to get the key's password from, if it has one: a callable, or a file. Listeners of
    ``private_key_password`` are asked before it.
    """

    certificate: PathName
    key: PathName | None = None
    password: PasswordSource | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.password, str | bytes):
            # Taken for the name of a file, it would be named by an error.
            raise TypeError("password takes a callable or a Path of the file that holds it, never the password itself")

    @property
    def key_file(self) -> str:
        """The file that holds the private key."""
        return os.fspath(self.key if self.key is not None else self.certificate)


@dataclass(frozen=True, slots=True)
class Tls:
    """How to secure connections that we make. A peer that can't do this is refused: nothing falls back to plain TCP.

    ca: a PEM file of CA certificates, or a folder of them by hash; the system's own without it. The peer must show a
    certificate that one of them vouches for, always.
    identity: what we show a peer that asks for a certificate; many archives require one.
    crl: a PEM file of certificate revocation lists; ``crl_chain`` looks up the CAs between as well, which then need
    lists of their own.
    check_host: whether the certificate must name the host that we connect to, or ``server_name`` in its place. Turn it
    off only where ``ca`` vouches for nobody but your archives: whoever it vouches for may then answer.
    """

    ca: PathName | None = None
    identity: TlsIdentity | None = None
    crl: PathName | None = None
    crl_chain: bool = False
    check_host: bool = True
    server_name: str | None = None
    profile: TlsProfile = TlsProfile.BCP_195

    def __post_init__(self) -> None:
        if self.crl_chain and self.crl is None:
            raise ValueError("crl_chain needs a crl")
        if self.server_name is not None and (not self.server_name or self.server_name.startswith(".")):
            raise ValueError(f"server_name must be a host name or an address, not {self.server_name!r}")


@dataclass(frozen=True, slots=True)
class InboundTls:
    """How a listener of ours secures connections that others make.

    identity: what we show.
    ca: who vouches for those that connect; without it nobody is asked for a certificate.
    optional: take those that show none as well; one that is shown must be good.
    crl, crl_chain: as in :class:`Tls`, for what is shown to us.
    handshake: seconds that a peer has for all of it.
    """

    identity: TlsIdentity
    ca: PathName | None = None
    optional: bool = False
    crl: PathName | None = None
    crl_chain: bool = False
    profile: TlsProfile = TlsProfile.BCP_195
    handshake: float = 10.0

    def __post_init__(self) -> None:
        if self.optional and self.ca is None:
            raise ValueError("optional needs a ca: without one nobody is asked for a certificate")
        if self.crl is not None and self.ca is None:
            raise ValueError("crl needs a ca: without one nobody is asked for a certificate")
        if self.crl_chain and self.crl is None:
            raise ValueError("crl_chain needs a crl")
        if not 0 < self.handshake < float("inf"):
            raise ValueError(f"handshake must be a positive number of seconds, not {self.handshake!r}")


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A certificate as a peer showed it, once it was found good.

    ``names`` are the host names and addresses that it is for; the fingerprint is SHA-256 in hexadecimal.
    """

    subject: str
    issuer: str
    serial_number: str
    not_before: datetime
    not_after: datetime
    names: tuple[str, ...]
    fingerprint: str

    @classmethod
    def read(cls, decoded: Mapping[str, Any], encoded: bytes) -> PeerCertificate:
        """Read what the ssl module gives for a certificate, and its DER bytes."""
        return cls(
            _name(decoded.get("subject", ())),
            _name(decoded.get("issuer", ())),
            str(decoded.get("serialNumber", "")),
            _time(decoded["notBefore"]),
            _time(decoded["notAfter"]),
            tuple(str(value) for _, value in decoded.get("subjectAltName", ())),
            sha256(encoded).hexdigest(),
        )


@dataclass(frozen=True, slots=True)
class SecureLink:
    """What a handshake came to: protocol ("TLSv1.3"), cipher suite and its bits, and the peer's certificate."""

    protocol: str
    cipher: str
    bits: int
    certificate: PeerCertificate | None = None


def _name(parts: Any) -> str:
    return ", ".join(f"{key}={value}" for part in parts for key, value in part)


def _time(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)
