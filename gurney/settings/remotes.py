"""Remotes as the PACS framework takes them. Apart from the rest of the settings, which load no network stack."""

from __future__ import annotations

from gurney.pacs.remote import RemoteAE, Timeouts
from gurney.settings.model import Remote

__all__ = ["remote_ae"]


def remote_ae(remote: Remote) -> RemoteAE:
    """Return the remote AE that a ``[[remote]]`` describes."""
    waits = remote.timeouts
    timeouts = Timeouts(connect=waits.connect, acse=waits.acse, store=waits.store)
    return RemoteAE(remote.ae_title, remote.host, remote.port, timeouts=timeouts, max_pdu=remote.max_pdu)
