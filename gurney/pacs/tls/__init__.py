"""TLS: how a connection is secured, and what secures it (PS3.15 B.12, B.13)."""

from __future__ import annotations

from gurney.pacs.tls.options import (
    InboundTls,
    PasswordSource,
    PeerCertificate,
    SecureLink,
    Tls,
    TlsIdentity,
    TlsProfile,
)

__all__ = ["InboundTls", "PasswordSource", "PeerCertificate", "SecureLink", "Tls", "TlsIdentity", "TlsProfile"]
