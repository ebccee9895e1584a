"""Ports on loopback."""

from __future__ import annotations

import socket

__all__ = ["LOOPBACK", "accepts_connections", "free_port"]

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """Find a TCP port that nobody listens on at this moment.

    The port is not reserved: take it soon. Two calls in a row give two ports.
    """
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def accepts_connections(port: int) -> bool:
    """Tell whether something listens on this port of loopback."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
