"""Remotes as the PACS framework takes them. Apart from the rest of the settings, which load no network stack."""

from __future__ import annotations

from pathlib import Path

from gurney.pacs.remote import RemoteAE, Timeouts
from gurney.pacs.tls import InboundTls, Tls, TlsIdentity, TlsProfile
from gurney.settings import model

__all__ = ["inbound_tls_of", "remote_ae", "tls_of"]


def remote_ae(remote: model.Remote) -> RemoteAE:
    """Return the remote AE that a ``[[remote]]`` describes."""
    waits = remote.timeouts
    timeouts = Timeouts(
        connect=waits.connect, acse=waits.acse, store=waits.store, find=waits.find, move=waits.move_idle
    )
    tls = tls_of(remote.tls) if remote.tls is not None else None
    return RemoteAE(remote.ae_title, remote.host, remote.port, timeouts=timeouts, max_pdu=remote.max_pdu, tls=tls)


def tls_of(tls: model.Tls) -> Tls:
    """Return how connections are secured, as the table ``tls`` says."""
    identity = None
    if tls.certificate:
        password = Path(tls.key_password_file) if tls.key_password_file else None
        identity = TlsIdentity(tls.certificate, tls.key or None, password)
    return Tls(
        ca=tls.ca or None,
        identity=identity,
        crl=tls.crl or None,
        crl_chain=tls.crl_chain,
        check_host=tls.check_host,
        server_name=tls.server_name or None,
        profile=TlsProfile(tls.profile),
    )


def inbound_tls_of(tls: model.InboundTls) -> InboundTls:
    """Return how connections to a port of ours are secured, as the table ``tls`` says."""
    password = Path(tls.key_password_file) if tls.key_password_file else None
    return InboundTls(
        TlsIdentity(tls.certificate, tls.key or None, password),
        ca=tls.ca or None,
        optional=tls.optional,
        crl=tls.crl or None,
        crl_chain=tls.crl_chain,
        profile=TlsProfile(tls.profile),
    )
