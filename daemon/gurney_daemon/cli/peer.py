"""Whom a command reaches: a ``[[remote]]`` by its name, or a peer that is not configured by its address."""

from __future__ import annotations

import re
from dataclasses import dataclass

import typer

from gurney.pacs import RemoteAE
from gurney.settings import Settings
from gurney.settings.remotes import remote_ae
from gurney_daemon.cli.asked import configured_remote

__all__ = ["Peer", "is_address", "peer_named", "written_address"]

# An IPv6 address stands in brackets: without them nobody could tell where it ends and the port begins.
_ADDRESS = re.compile(r"(?:(?P<ae_title>.+)@)?(?P<host>\[[^][]+\]|[^]@:[]+):(?P<port>[0-9]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call, as whom, and whether the configuration knows it."""

    remote: RemoteAE
    calling_ae_title: str
    is_configured: bool


def is_address(word: str) -> bool:
    """Tell an address, right or wrong, from a name: no ``[[remote]]`` may have these characters in its own."""
    return "@" in word or ":" in word


def peer_named(settings: Settings, word: str) -> Peer:
    """Return whom a word names: ``archive``, ``ARCHIVE@pacs.example.org:104`` or ``ARCHIVE@[::1]:104``.

    Raises Unknown for a name that no ``[[remote]]`` has, and a usage error, with what to write, for a wrong address.
    """
    if is_address(word):
        return Peer(_remote_at(word), settings.node.ae_title, is_configured=False)
    remote = configured_remote(settings, word)
    return Peer(remote_ae(remote), settings.calling_ae_title(remote), is_configured=True)


def _remote_at(address: str) -> RemoteAE:
    parts = _ADDRESS.fullmatch(address)
    if parts is None:
        raise typer.BadParameter(
            f"{address!r} is no AE_TITLE@HOST:PORT, such as ARCHIVE@pacs.example.org:104 or ARCHIVE@[::1]:104"
        )
    if parts["ae_title"] is None:
        raise typer.BadParameter(f"whom to call there is missing: write AE_TITLE@{address}")
    try:
        return RemoteAE(parts["ae_title"], parts["host"].strip("[]"), int(parts["port"]))
    except ValueError as error:
        raise typer.BadParameter(f"{address!r}: {error}") from error


def written_address(host: str, port: int) -> str:
    """Write a host and its port as they can be typed again."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
