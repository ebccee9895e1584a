"""The TCP connection beneath an association."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

from gurney.pacs.errors import ConnectFailed
from gurney.pacs.remote import RemoteAE
from gurney.pacs.wire.transport import PlainSocket

__all__ = ["connect", "keep_alive"]

_KEEPALIVE_IDLE, _KEEPALIVE_INTERVAL, _KEEPALIVE_PROBES = 60, 15, 4


def connect(
    remote: RemoteAE, deadline: float, on_resolved: Callable[[tuple[str, ...]], object] = lambda _: None
) -> PlainSocket:
    """Connect to a remote AE until ``deadline`` (``time.monotonic``) and return a socket that does not block.

    The name is resolved now, ``on_resolved`` is told its addresses, and they are tried in the resolver's order, each
    for its share of the time: one that leads nowhere, as those of IPv6 may, must not keep us from the next. Small
    messages leave at once (TCP_NODELAY: without it each response waits for a delayed acknowledgement), and a peer that
    vanished behind a firewall is found out by keepalive probes.

    Raises :class:`ConnectFailed`.
    """
    try:
        addresses = socket.getaddrinfo(remote.host, remote.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ConnectFailed(f"{remote}: name not resolved: {_words(error)}") from error
    on_resolved(tuple(dict.fromkeys(str(address[0]) for *_, address in addresses)))
    failure: OSError | None = None
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            break
        try:
            return _connected(PlainSocket(family, kind, protocol), address, remaining / (len(addresses) - tried))
        except OSError as error:
            failure = error
    raise ConnectFailed(f"{remote}: {_words(failure) if failure else 'timed out'}") from failure


def _connected(connection: PlainSocket, address: tuple[Any, ...], seconds: float) -> PlainSocket:
    """Connect to one address. Raises OSError, and then it is closed."""
    try:
        connection.settimeout(seconds)
        connection.connect(address)
        keep_alive(connection)
    except OSError:
        connection.close()
        raise
    return connection


def keep_alive(connection: socket.socket) -> None:
    """Prepare a TCP connection, whoever made it: non-blocking, its small messages sent at once, and probed."""
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _KEEPALIVE_PROBES)


def _words(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
