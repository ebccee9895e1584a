"""Ports on loopback."""

from __future__ import annotations

import secrets
import socket

__all__ = ["LOOPBACK", "accepts_connections", "free_port"]

LOOPBACK = "127.0.0.1"

# Below what Linux gives to clients (net.ipv4.ip_local_port_range begins at 32768). From there, a connection of some
# other test could sit on the port of a service that is down for a moment and is to come back on it.
_FIRST, _LAST = 20_000, 32_000
_TRIES = 1_000


def free_port() -> int:
    """Find a TCP port that nobody listens on, and that no other test run or worker of one is given.

    It stays reserved until this process ends, so a service may go down and come up again on it. Two calls give two.
    """
    for _ in range(_TRIES):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if _reserve(port) and _is_free(port):
            return port
    raise AssertionError(f"no free port between {_FIRST} and {_LAST}")


def accepts_connections(port: int) -> bool:
    """Tell whether something listens on this port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False


def _reserve(port: int) -> bool:
    """Hold a name for the port, which the kernel gives to one process at a time and frees when that ends."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0gurney-test-port-{port}")
    except OSError:
        name.close()
        return False
    name.detach()
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
